"""What networks lose of their accuracy, on the same images as the dense one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gdws._util.progress import SILENT, Progress
from gdws.bundles.variant import BASELINE, GdwsStep, Variant
from gdws.datasets import Split
from gdws.evaluation.attacks import Spec
from gdws.evaluation.evaluate import Evaluation
from gdws.evaluation.tally import digest_of_images, digest_of_network
from gdws.networks.sources import Source
from gdws.pipeline.evaluation import evaluate_one
from gdws.pipeline.optimize.state import State
from gdws.planning.conversion import convert
from gdws.planning.search.evidence import Loss, PointsLost
from gdws.planning.search.options import Offer
from gdws.planning.search.space import Choice, key_of
from gdws_contract.findings.accuracy import paired_change


@dataclass(frozen=True, eq=False)
class EvaluationJudge:
    """Fits networks to the calibration images and evaluates them, the attack white-box on each.

    ``validation`` are the images that choices are made on, ``test`` those of the final figures; they must be disjoint.
    An evaluation that was interrupted goes on, and one that has ended is not done again.
    """

    source: Source
    offer: Offer
    validation: Split
    test: Split
    attack: Spec | None
    state: State
    progress: Progress = SILENT

    def loss(self, choice: Choice, *, final: bool = False) -> Loss:
        """What a network loses; see :class:`gdws.planning.search.evidence.Judge`."""
        dense, mine = self._right(self.offer.space.dense, final), self._right(choice, final)
        return Loss(
            natural=_lost(dense["natural"], mine["natural"]),
            robust=None if self.attack is None else _lost(dense["robust"], mine["robust"]),
        )

    def variant(self, choice: Choice, name: str) -> Variant:
        """The network of a choice, with factors fitted layer by layer to the calibration images."""
        if choice == self.offer.space.dense:
            return Variant(BASELINE, self.source.module)
        plan = self.offer.plan(choice, fitted=True)
        module, _ = convert(self.source.module, plan=plan, data=self.offer.calibration, progress=self.progress)
        return Variant(name, module, (GdwsStep(plan),))

    def evaluate(self, variant: Variant, choice: Choice, *, final: bool) -> Evaluation:
        """The accuracies of a network, from the state as far as they are known."""
        images = self.test if final else self.validation
        kind = "test" if final else "validation"
        network = digest_of_network(variant.module)
        path = self.state.path(f"evaluation-{kind}-{key_of(choice)}", [*self._key(final), network])
        return evaluate_one(variant, images, self.attack, state=path, progress=self.progress)

    def _right(self, choice: Choice, final: bool) -> dict[str, str]:
        """Of each image 1 where the network is right, 0 where it is wrong: as it is, and under the attack."""

        def make() -> dict[str, str]:
            variant = self.variant(choice, f"plan-{key_of(choice)}")
            natural, robust = self.evaluate(variant, choice, final=final).right
            return {"natural": _digits(natural), "robust": _digits(robust)}

        found: dict[str, str] = self.state.recall("right", [*self._key(final), choice], make)
        return found

    def _key(self, final: bool) -> list[Any]:
        images = self.test if final else self.validation
        attack = None if self.attack is None else self.attack.to_dict()
        calibration = self.offer.calibration.identity.sha256
        return [
            digest_of_network(self.source.module),
            self.offer.space.digest,
            calibration,
            digest_of_images(images.by_row, images.labels),
            attack,
        ]


def _digits(right: tuple[bool, ...]) -> str:
    return "".join("1" if each else "0" for each in right)


def _lost(dense: str, network: str) -> PointsLost:
    """The points that a network loses, with its 95 % interval."""
    change = paired_change([digit == "1" for digit in dense], [digit == "1" for digit in network])
    return PointsLost(points=-change.points, low=-change.high, high=-change.low, images=len(dense))
