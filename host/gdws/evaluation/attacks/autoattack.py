"""AutoAttack, standard version (Croce and Hein, 2020, arXiv:2003.01690): APGD-CE, APGD-T, FAB-T and Square.

Each attack runs on the images that resisted the ones before. The first two are :mod:`gdws.evaluation.attacks.apgd`; the
minimal perturbations of FAB-T and the queries of Square come from the package torchattacks, with the settings of the
standard version, which differ from the package's own defaults.

Square draws one window for all images that it is given, so unlike that of the other attacks its result depends, in its
random draws, on which images share a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from gdws._util.modes import frozen
from gdws._util.seeds import derive_seed
from gdws.errors import GdwsError
from gdws.evaluation.attacks import balls
from gdws.evaluation.attacks.apgd import TARGETS, apgd
from gdws.evaluation.attacks.spec import AttackSpec

#: Of Square, in the standard version.
QUERIES = 5000

_NORMS = {"linf": "Linf", "l2": "L2"}


def autoattack(
    model: nn.Module, images: Tensor, labels: Tensor, spec: AttackSpec, *, indices: Tensor | None = None
) -> Tensor:
    """Adversarial images (N, C, H, W) of the first attack that fools the network; others are returned as they were.

    ``spec.iterations`` are those of APGD and FAB, 100 in the standard version. Raises
    :class:`~gdws.errors.GdwsError` if torchattacks is not installed.
    """
    require_installed()
    adversarial = images.detach().clone()
    if spec.eps == 0:
        return adversarial
    if indices is None:
        indices = torch.arange(len(images))
    with torch.no_grad():
        classes = model(images[:1]).shape[1]
    remaining = torch.arange(len(images), device=images.device)
    for stage in (_apgd, _fab, _square):
        if len(remaining) == 0:
            break
        x, y = images.detach()[remaining], labels[remaining]
        found = stage(model, x, y, spec, indices[remaining.to(indices.device)], classes)
        found = balls.project(found, x, spec.eps, spec.norm)
        with torch.no_grad():
            fooled = model(found).argmax(dim=1) != y
        adversarial[remaining[fooled]] = found[fooled]
        remaining = remaining[~fooled]
    return adversarial


def require_installed() -> None:
    """Raise :class:`~gdws.errors.GdwsError` with the fix if torchattacks is not there."""
    _torchattacks()


def _apgd(model: nn.Module, x: Tensor, y: Tensor, spec: AttackSpec, indices: Tensor, classes: int) -> Tensor:
    return apgd(model, x, y, spec, indices=indices)


def _fab(model: nn.Module, x: Tensor, y: Tensor, spec: AttackSpec, indices: Tensor, classes: int) -> Tensor:
    def make(package: Any, seed: int) -> Any:
        attack = package.FAB(
            model,
            norm=_NORMS[spec.norm],
            eps=spec.eps,
            steps=spec.iterations,
            n_restarts=1,
            seed=seed,
            multi_targeted=True,
            n_classes=classes,
        )
        attack.n_target_classes = min(TARGETS, classes - 1)
        return attack

    return _foreign(model, x, y, derive_seed(spec.seed, "fab", int(indices[0])), make)


def _square(model: nn.Module, x: Tensor, y: Tensor, spec: AttackSpec, indices: Tensor, classes: int) -> Tensor:
    def make(package: Any, seed: int) -> Any:
        return package.Square(
            model,
            norm=_NORMS[spec.norm],
            eps=spec.eps,
            n_queries=QUERIES,
            n_restarts=1,
            p_init=0.8,
            loss="margin",
            resc_schedule=False,
            seed=seed,
        )

    return _foreign(model, x, y, derive_seed(spec.seed, "square", int(indices[0])), make)


def _foreign(model: nn.Module, x: Tensor, y: Tensor, seed: int, make: Callable[[Any, int], Any]) -> Tensor:
    """Run an attack of torchattacks, which sets torch's generators and leaves gradients behind, without a trace."""
    with _generators_kept(x.device), frozen(model), torch.inference_mode(False), torch.enable_grad():
        found: Tensor = make(_torchattacks(), seed)(x, y)
    return found.detach()


@contextmanager
def _generators_kept(device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def _torchattacks() -> Any:
    try:
        import torchattacks
    except ImportError as error:
        raise GdwsError(
            f"AutoAttack needs the package torchattacks: {error}",
            hint="pip install 'gdws[autoattack]', or use --attack apgd, its strongest half",
        ) from error
    return torchattacks
