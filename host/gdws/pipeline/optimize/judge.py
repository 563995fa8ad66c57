"""What networks lose of their accuracy, on the same images as the dense one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor

from gdws._util.progress import SILENT, Progress
from gdws.bundles.packing import host_evaluation
from gdws.bundles.variant import GdwsStep, Variant
from gdws.datasets import Dataset, Split
from gdws.errors import GdwsError
from gdws.evaluation.agreement import agreement
from gdws.evaluation.attacks import Spec
from gdws.evaluation.evaluate import Evaluation
from gdws.evaluation.tally import digest_of_images, digest_of_network
from gdws.evaluation.tasks import Classification
from gdws.networks.sources import Source
from gdws.onnx_io.int8 import Int8Settings
from gdws.pipeline.evaluation import evaluate_one
from gdws.pipeline.optimize.forms import Form
from gdws.pipeline.optimize.state import State
from gdws.pipeline.optimize.time_left import TimeLeft
from gdws.pipeline.optimize.tuning import Tuning, tuned
from gdws.pipeline.quantisation import costly_int8_layers, with_int8, without_layers
from gdws.planning.conversion import convert
from gdws.planning.search.evidence import Loss, PointsLost
from gdws.planning.search.options import Offer
from gdws.planning.search.space import Choice
from gdws_contract.findings.accuracy import paired_change
from gdws_contract.findings.agreement import AGREEMENT, disagreement
from gdws_contract.manifest import HostEvaluation
from gdws_contract.measures import Metric

_METRICS = TypeAdapter(dict[str, Metric])
#: Natural accuracy is told on so many times as many images as are attacked. An attack takes tens of passes: they cost a
#: fraction of it, and tell half a point from one where the attacked ones alone do not.
_NATURAL_TIMES = 10


@dataclass(frozen=True)
class Making:
    """How networks are made of plans: ``tuning`` after the fit, None for none, and how they are quantised."""

    calibration: int
    tuning: Tuning | None = None
    int8: Int8Settings | None = None


@dataclass(frozen=True, eq=False)
class EvaluationJudge:
    """Fits networks to the calibration images and evaluates them, the attack white-box on each.

    A network that is not a classifier is judged by its agreement with the dense one.

    Choices are made on ``validation`` images of ``data``, under the attack ``choosing``; ``test`` images and ``attack``
    are for the final figures. Where there is an attack, what is lost of natural accuracy is told on more images of the
    same split. An evaluation or a tuning that was interrupted goes on, and one that has ended is not done again.
    """

    source: Source
    offer: Offer
    data: Dataset
    validation: Split
    test: Split
    attack: Spec | None
    choosing: Spec | None
    making: Making
    state: State
    progress: Progress = SILENT
    time_left: TimeLeft = field(default_factory=TimeLeft)
    _made: dict[Form, Variant] = field(default_factory=dict, init=False)
    _costly: dict[Choice, tuple[str, ...]] = field(default_factory=dict, init=False)

    def loss(self, choice: Choice, *, final: bool = False) -> Loss:
        """What a network loses; see :class:`gdws.planning.search.evidence.Judge`."""
        return self.loss_of(Form(choice), final=final)

    def loss_of(self, form: Form, *, final: bool = False) -> Loss:
        """What a network in one precision loses against the dense one in floating point.

        Raises :class:`~gdws.errors.GdwsError` if there is nothing in the images to agree on.
        """
        if not self._classifies:
            return self._disagreement(form, final)
        dense, mine = self._right(Form(self.offer.space.dense), final), self._right(form, final)
        return Loss(
            natural=_lost(dense["natural"], mine["natural"]),
            robust=None if self.attack is None else _lost(dense["robust"], mine["robust"]),
        )

    def variant(self, form: Form, name: str) -> Variant:
        """The network of a form: factors fitted layer by layer to the calibration images, tuned, in INT8 if it is."""
        if form not in self._made:
            self._made[form] = self._quantised(form) if form.int8 else self._in_floating_point(form)
        return replace(self._made[form], name=name)

    def _quantised(self, form: Form) -> Variant:
        floating = Form(form.choice)
        made = self.variant(floating, floating.name(self.offer.space))
        settings = self.making.int8 or Int8Settings()
        images = self._range_images()
        if form.kept:
            settings = without_layers(settings, self._ranked(form.choice, made, images, settings)[: form.kept])
        [_, quantised] = with_int8([made], self.source, images, settings, progress=self.progress)
        return quantised

    def _ranked(self, choice: Choice, made: Variant, images: Tensor, settings: Int8Settings) -> tuple[str, ...]:
        """The layers that may stay in floating point, those first that cost most in INT8."""
        if choice not in self._costly:
            self._costly[choice] = costly_int8_layers(made, self.source, images, settings, progress=self.progress)
        return self._costly[choice][:-1]  # one is in INT8

    def _in_floating_point(self, form: Form) -> Variant:
        name = form.name(self.offer.space)
        if form.choice == self.offer.space.dense:
            return Variant(name, self.source.module)
        plan = self.offer.plan(form.choice, fitted=True)
        module, _ = convert(self.source.module, plan=plan, data=self.offer.calibration, progress=self.progress)
        variant = Variant(name, module, (GdwsStep(plan),))
        if self.making.tuning is None:
            return variant
        return tuned(
            variant,
            plan,
            self.making.tuning,
            self.source,
            self.data,
            self.state.path("tuned", [*self._weights(), form.choice], ".safetensors"),
            progress=self.progress,
        )

    def _range_images(self) -> Tensor:
        """Images to find ranges from: natural ones, and the attacked ones that factors are fitted to."""
        natural = self.data.train.first(self.making.calibration).images
        return natural if self.attack is None else torch.cat([natural, self.offer.calibration.images])

    def evaluate(self, variant: Variant, form: Form, *, final: bool) -> Evaluation:
        """The accuracies of a network, from the state as far as they are known."""
        images = self.test if final else self.validation
        kind = "test" if final else "validation"
        network = digest_of_network(variant.module)
        path = self.state.path(f"evaluation-{kind}-{form.name(self.offer.space)}", [*self._key(final), network])
        attack = self._attack(final)
        is_light = attack != self.attack  # then there is no second opinion either
        return evaluate_one(variant, images, attack, check=not is_light, state=path, progress=self.progress)

    def final_evaluation(self, variant: Variant, form: Form, data: str) -> HostEvaluation:
        """The final figures of a network for the bundle: accuracies, or by the metrics of its task."""
        if self._classifies:
            return host_evaluation(self.evaluate(variant, form, final=True), data)
        origin = "labelled" if self.test.truth is not None else self.test.without_labels().origin
        return HostEvaluation(data=data, origin=origin, metrics=self._metrics(form, final=True))

    def evaluate_other(self, variant: Variant) -> Evaluation:
        """The final accuracies of a classifier that is no choice of the search."""
        key = [*self._key(True), digest_of_network(variant.module)]
        path = self.state.path(f"evaluation-other-{variant.name}", key)
        return evaluate_one(variant, self.test, self.attack, state=path, progress=self.progress)

    def _attack(self, final: bool) -> Spec | None:
        return self.attack if final else self.choosing

    def _right(self, form: Form, final: bool) -> dict[str, str]:
        """Of each image 1 where the network is right, 0 where it is wrong: as it is, and under the attack."""

        def make() -> dict[str, str]:
            variant = self.variant(form, form.name(self.offer.space))
            natural, robust = self.evaluate(variant, form, final=final).right
            if len(plain) > len(natural):
                natural, _ = evaluate_one(variant, plain, None, progress=self.progress).right
            return {"natural": _digits(natural), "robust": _digits(robust)}

        plain = self._plain(final)
        found: dict[str, str] = self._recall("right", [*self._key(final), len(plain)], form, make)
        return found

    def _plain(self, final: bool) -> Split:
        """The images that natural accuracy is told on; those that are attacked are the first of them."""
        images, split = (self.test, self.data.test) if final else (self.validation, self.data.validation)
        return images if self._attack(final) is None else split.first(_NATURAL_TIMES * len(images))

    def _recall(self, name: str, key: list[Any], form: Form, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What ``make`` finds of a form, or found before for the same ``key`` and the same weights."""
        is_known = True

        def timed() -> dict[str, Any]:
            nonlocal is_known
            is_known = False
            with self.time_left.step("judgement"):
                return make()

        made_by = self._weights() if form.choice != self.offer.space.dense else []
        int8 = [vars(self.making.int8)] if form.int8 and self.making.int8 is not None else []
        found: dict[str, Any] = self.state.recall(name, [*key, form.choice, form.int8, form.kept, made_by, int8], timed)
        if is_known:
            self.time_left.known("judgement")
        return found

    @property
    def _classifies(self) -> bool:
        return isinstance(self.source.task, Classification)

    def _disagreement(self, form: Form, final: bool) -> Loss:
        images = self.test if final else self.validation
        found = disagreement(self._metrics(form, final=final))
        kind = self.source.task.contract.kind
        if found is None:
            raise GdwsError(
                f"no metric of {kind} says how far two networks agree on these {len(images)} images",
                hint="give images that hold what the network looks for",
            )
        return Loss(PointsLost(*found, images=len(images)), None, AGREEMENT[kind])

    def _metrics(self, form: Form, *, final: bool) -> dict[str, Metric]:
        """By the metrics of the task, beside the dense network in floating point, from the state if they are known."""
        images = self.test if final else self.validation

        def make() -> dict[str, Any]:
            variant = self.variant(form, form.name(self.offer.space))
            found = agreement(
                self.source.module,
                {variant.name: variant.module},
                images.by_row,
                self.source.task,
                truth=images.truth,
                progress=self.progress,
            )
            return {name: metric.model_dump(mode="json") for name, metric in found[variant.name].items()}

        if images.truth is not None:  # annotations are not part of any key
            return _METRICS.validate_python(make())
        key = [digest_of_images(images.by_row, None), self.source.task.contract.model_dump(mode="json")]
        return _METRICS.validate_python(self._recall("metrics", key, form, make))

    def identity(self) -> list[Any]:
        """What the networks of all forms depend on, as JSON values."""
        return [*self._weights(), None if self.making.int8 is None else vars(self.making.int8)]

    def _weights(self) -> list[Any]:
        """What the weights of a choice depend on."""
        tuning = self.making.tuning
        tuned_by = [] if tuning is None else [tuning.key(), self.data.name, len(self.data.train)]
        source = [digest_of_network(self.source.module), self.offer.space.digest]
        return [*source, self.offer.calibration.identity.sha256, *tuned_by]

    def _key(self, final: bool) -> list[Any]:
        """What accuracies depend on beside the network."""
        images = self.test if final else self.validation
        spec = self._attack(final)
        attack = None if spec is None else spec.to_dict()
        source = digest_of_network(self.source.module)
        return [source, self.offer.space.digest, digest_of_images(images.by_row, images.labels), attack]


def _digits(right: tuple[bool, ...]) -> str:
    return "".join("1" if each else "0" for each in right)


def _lost(dense: str, network: str) -> PointsLost:
    """The points that a network loses, with its 95 % interval."""
    change = paired_change([digit == "1" for digit in dense], [digit == "1" for digit in network])
    return PointsLost(points=-change.points, low=-change.high, high=-change.low, images=len(dense))
