"""The way from a checkpoint to a report, in the order in which it is gone.

::

    load -> calibrate_alphas, calibration_images -> convert_all -> evaluate_all -> pack -> benchmark -> report.write

Each step is a function of what the one before it returned; files appear only where a path is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy.typing as npt
import torch
from torch import Tensor

from gdws._util.distributed import Workers
from gdws._util.modes import evaluation_mode
from gdws._util.outputs import logits_of
from gdws._util.progress import SILENT, Progress
from gdws.bundles import packing as bundle
from gdws.bundles.packing import PackedVariant, VerificationSet, host_evaluation, method_of
from gdws.compression import surgery
from gdws.compression.calibration.alphas import Method as AlphaMethod
from gdws.compression.calibration.alphas import alphas
from gdws.compression.eligibility import require_weights
from gdws.compression.fitting import Calibration
from gdws.compression.independence import require_independence
from gdws.datasets import Split, check_images, check_pixels
from gdws.device.benchmark import benchmark
from gdws.errors import GdwsError
from gdws.evaluation.attacks import Spec
from gdws.evaluation.attacks.pgd import pgd
from gdws.evaluation.attacks.protocols import gentle
from gdws.evaluation.evaluate import Evaluation, evaluate
from gdws.networks import converted
from gdws.networks.sources import Source, load, load_module, load_onnx, slimmed
from gdws.networks.sparsity import sizes
from gdws.planning.conversion import convert
from gdws.results.near_chance import NEAR_CHANCE, is_near_chance
from gdws_contract.plan import Layout, Method, Plan

__all__ = [
    "BASELINE",
    "Recipe",
    "Source",
    "benchmark",
    "calibrate_alphas",
    "calibration_images",
    "convert_all",
    "convert_fitted",
    "evaluate_all",
    "evaluate_one",
    "evaluation_doubts",
    "load",
    "load_module",
    "load_onnx",
    "pack",
    "slimmed",
    "with_tuned",
]

#: What the network before conversion is called in a bundle.
BASELINE = "dense"

#: Beyond so many classes exact alphas take too long.
MANY_CLASSES = 100

#: Images in memory at once while alphas are computed.
_ALPHAS_BATCH = 64

Alphas = Mapping[str, npt.ArrayLike]


@dataclass(frozen=True)
class Recipe:
    """How one GDWS network is made: one of six constraints, see :func:`gdws.convert`, and a layout.

    ``method`` ``weights`` is the paper's; ``weighted`` asks it for alphas, without which every input channel weighs the
    same. ``data-aware`` fits to calibration images. Layers that match ``skip`` stay dense, and ``label`` tells so in
    the name.
    """

    mean_rank: float | None = None
    beta: float | None = None
    gamma: int | None = None
    layout: Layout = "gather"
    method: Method = "weights"
    weighted: bool = True
    skip: tuple[str, ...] = ()
    label: str | None = None
    budget: float | None = None
    equal_rank: int | None = None
    mac_saving: float | None = None

    @property
    def name(self) -> str:
        """E.g. ``mean-rank-2``, ``mean-rank-2-stacked``, or ``data-rank-2-stacked`` for a data-aware one."""
        prefix, rank = ("data-", "rank") if self.method == "data-aware" else ("", "mean-rank")
        bounds = {
            rank: self.mean_rank,
            "beta": self.beta,
            "gamma": self.gamma,
            "budget": self.budget,
            "mac-saving": self.mac_saving,
            "equal-rank": self.equal_rank,
        }
        words = [f"{prefix}{constraint}-{bound:g}" for constraint, bound in bounds.items() if bound is not None]
        words += [] if self.layout == "gather" else [self.layout]
        return "-".join([*words, *([] if self.label is None else [self.label])])


def calibrate_alphas(
    source: Source,
    images: Split,
    *,
    method: AlphaMethod | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Alphas:
    """The weight of each input channel of each layer (Equation 8), from natural images of the training split.

    ``method`` and ``seed`` as for :func:`gdws.compression.calibration.alphas.alphas`; by default the method is exact
    for up to :data:`MANY_CLASSES` classes, and by random signs for more, each of which would cost a backward pass.
    """
    if method is None:
        method = "random-signs" if _classes(source) > MANY_CLASSES else "exact"
    progress.start(len(images), f"alphas from {len(images)} images")
    return alphas(
        source.module, images.batches(_ALPHAS_BATCH), method=method, seed=seed, progress=progress.advance
    ).alphas


@torch.no_grad()
def _classes(source: Source) -> int:
    """The number of classes, once the network is known to give logits."""
    require_weights(source.module)
    image = surgery.sample(source.module, source.input_shape)
    with evaluation_mode(source.module):
        return logits_of(source.module, image).shape[1]


def _require_classifier(source: Source) -> None:
    """Raise :class:`~gdws.errors.ModelError` unless the network gives logits, which depend on one image each."""
    _classes(source)
    require_independence(source.module, source.input_shape)


def calibration_images(
    source: Source, images: Split, attack: Spec | None, *, batch_size: int = 128, progress: Progress = SILENT
) -> Tensor:
    """Images (N, C, H, W) to fit a data-aware network to: ``images``, attacked on the network if it is to be robust.

    A few long steps of ``attack`` do: what matters is what the layers see, not to fool the network every time.
    Raises :class:`~gdws.errors.DataError` unless the pixels run from 0 to 1.
    """
    if attack is None:
        pixels = images.images
        check_pixels(pixels)
        return pixels
    check_images(images.by_row, images.labels)
    _require_classifier(source)
    short = gentle(attack, iterations=8)
    progress.start(len(images), f"attack {len(images)} calibration images")
    device = next(source.module.parameters()).device
    attacked: list[Tensor] = []
    with evaluation_mode(source.module):
        for indices in torch.split(torch.arange(len(images)), batch_size):
            x, y = images.by_row[indices].to(device), images.labels[indices].to(device)
            attacked.append(pgd(source.module, x, y, short, indices=indices).cpu())
            progress.advance(len(indices))
    return torch.cat(attacked)


def convert_all(
    source: Source,
    recipes: Sequence[Recipe],
    *,
    plans: Mapping[str, Plan] | None = None,
    weights: Alphas | None = None,
    data: Tensor | None = None,
    convert_first: bool = False,
    progress: Progress = SILENT,
) -> list[PackedVariant]:
    """The dense network, then one GDWS network for each recipe and each of ``plans``, which are given by name.

    ``weights`` are the alphas, ``data`` the calibration images (N, C, H, W) that recipes and plans may ask for.
    Raises :class:`~gdws.errors.GdwsError` if two would have one name, and what :func:`gdws.convert` raises.
    """
    _require_classifier(source)
    if source.plan is not None:
        if recipes or plans:
            raise GdwsError(f"{source.name} is converted already", hint="give the network it was made from")
        return [PackedVariant(source.name, source.module, source.plan)]
    variants = [PackedVariant(BASELINE, source.module, method="as trained")]
    shared = None if data is None else Calibration(source.module, data)
    for recipe in recipes:
        module, plan = convert(
            source.module,
            mean_rank=recipe.mean_rank,
            beta=recipe.beta,
            gamma=recipe.gamma,
            budget=recipe.budget,
            mac_saving=recipe.mac_saving,
            equal_rank=recipe.equal_rank,
            alphas=weights if recipe.method == "weights" and recipe.weighted else None,
            data=_data_for(recipe.method, shared),
            layout=recipe.layout,
            skip=recipe.skip,
            convert_first=convert_first,
            example_input=source.input_shape,
            progress=progress,
        )
        variants.append(PackedVariant(recipe.name, module, plan))
    for name, plan in (plans or {}).items():
        module, _ = convert(source.module, plan=plan, data=_data_for(plan.method, shared), progress=progress)
        variants.append(PackedVariant(name, module, plan))
    names = [variant.name for variant in variants]
    for name in names:
        if names.count(name) > 1:
            raise GdwsError(f"two networks would be called {name!r}", hint="ask for each network once")
    return variants


def convert_fitted(
    source: Source,
    recipes: Sequence[Recipe],
    images: Split,
    attack: Spec | None,
    *,
    plans: Mapping[str, Plan] | None = None,
    weights: Alphas | None = None,
    convert_first: bool = False,
    progress: Progress = SILENT,
) -> list[PackedVariant]:
    """:func:`convert_all`, with :func:`calibration_images` from ``images`` where a network is to be data-aware."""
    data = None
    methods = {recipe.method for recipe in recipes} | {plan.method for plan in (plans or {}).values()}
    if "data-aware" in methods:
        data = calibration_images(source, images, attack, progress=progress)
    return convert_all(
        source, recipes, plans=plans, weights=weights, data=data, convert_first=convert_first, progress=progress
    )


def with_tuned(variants: Sequence[PackedVariant], source: Source, paths: Sequence[Path]) -> list[PackedVariant]:
    """``variants`` and the networks of ``source`` in files that ``gdws finetune`` wrote, under the files' names.

    Raises :class:`~gdws.errors.GdwsError` if a file holds a GDWS network of another network or a name is taken, and
    what :func:`gdws.networks.converted.load` raises.
    """
    found = list(variants)
    for path in paths:
        tuned = converted.load(path)
        if tuned.net != source.provenance.get("net"):
            raise GdwsError(f"{path} was made from {tuned.net}", hint=f"give one that was made from {source.name}")
        if path.stem in {variant.name for variant in found}:
            raise GdwsError(f"two networks would be called {path.stem!r}", hint="rename the file")
        found.append(PackedVariant(path.stem, tuned.module, tuned.plan, method=f"{method_of(tuned.plan)}, fine-tuned"))
    return found


def _data_for(method: Method, data: Calibration | None) -> Calibration | None:
    if method == "weights":
        return None
    if data is None:
        raise GdwsError("a data-aware network is asked for, and there are no calibration images")
    return data


def evaluate_one(
    variant: PackedVariant,
    images: Split,
    attack: Spec | None,
    *,
    state: Path | None = None,
    workers: Workers | None = None,
    progress: Progress = SILENT,
) -> Evaluation:
    """Natural and robust accuracy of one network, the attack white-box on it.

    The attack on a GDWS network runs on the dense network of the same function, whose gradients are the same up to
    rounding and take a fraction of the time. ``state`` and ``workers`` as for
    :func:`gdws.evaluation.evaluate.evaluate`.
    """
    return evaluate(
        variant.module,
        images.by_row,
        images.labels,
        attack,
        attack_on="itself" if variant.plan is None else "dense-equivalent",
        state=state,
        workers=workers,
        progress=_Named(progress, variant.name),
    )


def evaluate_all(
    variants: Sequence[PackedVariant],
    images: Split,
    data: str,
    attack: Spec | None,
    *,
    progress: Progress = SILENT,
) -> list[PackedVariant]:
    """``variants`` with their accuracies, see :func:`evaluate_one`; ``data`` says what the images are."""
    return [
        replace(
            variant,
            evaluation=host_evaluation(evaluate_one(variant, images, attack, progress=progress), data),
        )
        for variant in variants
    ]


def evaluation_doubts(source: Source, variants: Sequence[PackedVariant]) -> list[str]:
    """What a reader of the accuracies of ``variants`` must know, in whole sentences."""
    evaluated = [(variant, variant.evaluation) for variant in variants if variant.evaluation is not None]
    found = [
        f"{variant.name}: {doubt}"
        for variant, evaluation in evaluated
        if evaluation.attack_check is not None
        for doubt in evaluation.attack_check.doubts()
    ]
    dense = next((evaluation.natural for variant, evaluation in evaluated if variant.plan is None), None)
    if dense is not None and is_near_chance(dense, _classes(source)):
        found.append(f"{source.name}: {NEAR_CHANCE}")
    return found


def pack(
    path: Path,
    source: Source,
    variants: Sequence[PackedVariant],
    images: Split,
    data: str,
    attack: Spec | None,
    *,
    description: str | None = None,
    progress: Progress = SILENT,
) -> str:
    """Write the bundle and return its id; ``images`` with ``attack`` become the verification set.

    Of a pruned network it also tells how many parameters of each variant are not zero.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    provenance = dict(source.provenance)
    if sizes(source.module).pruned:
        provenance["non_zero_parameters"] = {each.name: sizes(each.module).non_zero for each in variants}
    return bundle.pack(
        path,
        name=source.name,
        variants=variants,
        verification=VerificationSet(images.images, images.labels, data, attack),
        description=description,
        provenance=provenance,
        progress=progress,
    )


@dataclass(frozen=True)
class _Named:
    """Passes progress on under the name of the network, which says more in a row of networks than the attack."""

    progress: Progress
    name: str

    def start(self, total: int, description: str) -> None:
        self.progress.start(total, f"evaluate {self.name}")

    def advance(self, n: int = 1, **figures: float | str) -> None:
        self.progress.advance(n, **figures)
