"""The way from a checkpoint to a report, in the order in which it is gone.

::

    load -> calibrate_alphas, calibration_images -> convert_all -> evaluate_all -> pack -> benchmark -> report.write

Each step is a function of what the one before it returned; files appear only where a path is given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from gdws import bundle, checkpoints, nets
from gdws.algorithms.plan import Layout, Method, Plan
from gdws.attacks import AttackSpec
from gdws.attacks.pgd import pgd
from gdws.benchmark import benchmark
from gdws.bundle import PackedVariant, VerificationSet, host_evaluation
from gdws.calibrate import alphas
from gdws.conversion import convert
from gdws.datasets import Split
from gdws.errors import CheckpointMismatch, GdwsError
from gdws.evaluate import Evaluation, evaluate
from gdws.layers import to_dense
from gdws.modes import evaluation_mode
from gdws.progress import SILENT, Progress

__all__ = [
    "BASELINE",
    "Recipe",
    "Source",
    "benchmark",
    "calibrate_alphas",
    "calibration_images",
    "convert_all",
    "evaluate_all",
    "evaluate_one",
    "load",
    "pack",
]

#: What the network before conversion is called in a bundle.
BASELINE = "dense"

Alphas = Mapping[str, npt.ArrayLike]


@dataclass(frozen=True, eq=False)
class Source:
    """A network to convert. ``provenance`` tells where it comes from, ``input_shape`` is (C, H, W)."""

    name: str
    module: nn.Module
    input_shape: tuple[int, int, int]
    provenance: Mapping[str, Any]


@dataclass(frozen=True)
class Recipe:
    """How one GDWS network is made: one of three constraints on each layer, see :func:`gdws.convert`, and a layout.

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

    @property
    def name(self) -> str:
        """E.g. ``mean-rank-2``, ``mean-rank-2-stacked``, or ``data-rank-2-stacked`` for a data-aware one."""
        budgets = {"mean-rank": self.mean_rank, "beta": self.beta, "gamma": self.gamma}
        if self.method == "data-aware":
            budgets = {"data-rank": self.mean_rank, "data-beta": self.beta, "data-gamma": self.gamma}
        words = [f"{constraint}-{budget:g}" for constraint, budget in budgets.items() if budget is not None]
        words += [] if self.layout == "gather" else [self.layout]
        return "-".join([*words, *([] if self.label is None else [self.label])])


def load(checkpoint: str, net: str | None = None) -> Source:
    """The network in the file ``checkpoint``, or the one that ships under that name if there is no such file.

    ``net`` names the network where the file does not. Raises :class:`~gdws.errors.CheckpointError` and
    :class:`~gdws.errors.ModelError`.
    """
    path = Path(checkpoint)
    if not path.exists() and checkpoint in nets.names():
        path = nets.pretrained_path(checkpoint)
    name = net or checkpoints.read(path).metadata.get("net")
    module = checkpoints.load(path, net)
    if name is None:  # load() needs a name from one of the two
        raise CheckpointMismatch(f"{path} does not say which network it belongs to", path=str(path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    provenance = {"net": name, "checkpoint": path.name, "checkpoint_sha256": digest}
    return Source(name, module, nets.info(name).input_shape, provenance)


def calibrate_alphas(source: Source, images: Split, *, progress: Progress = SILENT) -> Alphas:
    """The weight of each input channel of each layer (Equation 8), from natural images of the training split."""
    progress.start(len(images), f"alphas from {len(images)} images")
    done = 0

    def advance(samples: int) -> None:
        nonlocal done
        progress.advance(samples - done)
        done = samples

    return alphas(source.module, [images.images], progress=advance).alphas


def calibration_images(
    source: Source, images: Split, attack: AttackSpec | None, *, batch_size: int = 128, progress: Progress = SILENT
) -> Tensor:
    """Images (N, C, H, W) to fit a data-aware network to: ``images``, attacked on the network if it is to be robust.

    A few long steps of ``attack`` do: what matters is what the layers see, not to fool the network every time.
    """
    if attack is None:
        return images.images
    short = replace(attack, iterations=min(attack.iterations, 8), step=attack.eps / 5, restarts=1)
    progress.start(len(images), f"attack {len(images)} calibration images")
    device = next(source.module.parameters()).device
    attacked: list[Tensor] = []
    with evaluation_mode(source.module):
        for indices in torch.split(torch.arange(len(images)), batch_size):
            x, y = images.images[indices].to(device), images.labels[indices].to(device)
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
    variants = [PackedVariant(BASELINE, source.module, method="as trained")]
    for recipe in recipes:
        module, plan = convert(
            source.module,
            mean_rank=recipe.mean_rank,
            beta=recipe.beta,
            gamma=recipe.gamma,
            alphas=weights if recipe.method == "weights" and recipe.weighted else None,
            data=_data_for(recipe.method, data),
            layout=recipe.layout,
            skip=recipe.skip,
            convert_first=convert_first,
            example_input=source.input_shape,
            progress=progress,
        )
        variants.append(PackedVariant(recipe.name, module, plan))
    for name, plan in (plans or {}).items():
        module, _ = convert(source.module, plan=plan, data=_data_for(plan.method, data), progress=progress)
        variants.append(PackedVariant(name, module, plan))
    names = [variant.name for variant in variants]
    for name in names:
        if names.count(name) > 1:
            raise GdwsError(f"two networks would be called {name!r}", hint="ask for each network once")
    return variants


def _data_for(method: Method, data: Tensor | None) -> Tensor | None:
    if method == "weights":
        return None
    if data is None:
        raise GdwsError("a data-aware network is asked for, and there are no calibration images")
    return data


def evaluate_one(
    variant: PackedVariant, images: Split, attack: AttackSpec | None, *, progress: Progress = SILENT
) -> Evaluation:
    """Natural and robust accuracy of one network, the attack white-box on it.

    A GDWS network is evaluated as the dense network of the same function, whose gradients are the same up to
    rounding and take a fraction of the time.
    """
    module = variant.module if variant.plan is None else to_dense(variant.module)
    return evaluate(module, images.images, images.labels, attack, progress=_Named(progress, variant.name))


def evaluate_all(
    variants: Sequence[PackedVariant],
    images: Split,
    data: str,
    attack: AttackSpec | None,
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


def pack(
    path: Path,
    source: Source,
    variants: Sequence[PackedVariant],
    images: Split,
    data: str,
    attack: AttackSpec | None,
    *,
    description: str | None = None,
    progress: Progress = SILENT,
) -> str:
    """Write the bundle and return its id; ``images`` with ``attack`` become the verification set."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return bundle.pack(
        path,
        name=source.name,
        variants=variants,
        verification=VerificationSet(images.images, images.labels, data, attack),
        description=description,
        provenance=source.provenance,
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
