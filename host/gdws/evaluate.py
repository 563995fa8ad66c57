"""Natural and robust accuracy of a network, the attack white-box on that very network."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gdws.attacks import AttackSpec
from gdws.attacks.pgd import pgd
from gdws.datasets import check_images
from gdws.errors import DataError, GdwsError, ModelError
from gdws.intervals import proportion
from gdws.modes import evaluation_mode
from gdws.progress import SILENT, Progress
from gdws_contract.measures import Proportion


@dataclass(frozen=True)
class Evaluation:
    """What :func:`evaluate` found; ``robust`` and ``attack`` are None if no attack was run."""

    natural: Proportion
    robust: Proportion | None
    attack: AttackSpec | None
    duration_s: float
    torch_version: str

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; the accuracies and the attack have the fields that the contract gives them."""
        return {
            "natural": self.natural.model_dump(),
            "robust": None if self.robust is None else self.robust.model_dump(),
            "attack": None if self.attack is None else self.attack.to_dict(),
            "duration_s": self.duration_s,
            "torch_version": self.torch_version,
        }


@dataclass(frozen=True)
class Outcome:
    """A batch judged: ``indices``, ``natural`` and ``robust`` are (N,); the latter two tell who was right.

    ``robust`` is None if no attack was run.
    """

    indices: torch.Tensor
    natural: torch.Tensor
    robust: torch.Tensor | None


def evaluate(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    attack: AttackSpec | None = None,
    *,
    batch_size: int = 128,
    progress: Progress = SILENT,
) -> Evaluation:
    """Accuracy on ``images`` (N, C, H, W) in [0, 1] with ``labels`` (N,), each with its 95 % interval.

    The network runs in evaluation mode and is left as it was, on the device where its weights are.
    An image that is misclassified as it is counts as not robust and is not attacked.
    The result is the same for the same ``attack.seed``, whatever the batch size (up to rounding).
    Raises :class:`DataError` for images or labels out of range, :class:`ModelError` for logits that are not
    finite or of the wrong shape.
    """
    check_images(images, labels)
    if batch_size < 1:
        raise GdwsError(f"the batch size is {batch_size}", hint="it must be at least 1")
    progress.start(len(images), "natural accuracy" if attack is None else str(attack))
    started = time.perf_counter()
    total = natural = robust = 0
    for outcome in outcomes(model, images, labels, attack, batch_size=batch_size):
        total += len(outcome.indices)
        natural += int(outcome.natural.sum())
        figures = {"natural": f"{natural / total:.2%}"}
        if outcome.robust is not None:
            robust += int(outcome.robust.sum())
            figures["robust"] = f"{robust / total:.2%}"
        progress.advance(len(outcome.indices), **figures)
    return Evaluation(
        natural=proportion(natural, total),
        robust=None if attack is None else proportion(robust, total),
        attack=attack,
        duration_s=time.perf_counter() - started,
        torch_version=torch.__version__,
    )


def outcomes(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    attack: AttackSpec | None,
    *,
    batch_size: int,
) -> Iterator[Outcome]:
    """Judge the images batch by batch, in order; see :func:`evaluate`."""
    device = _device(model)
    for indices in torch.split(torch.arange(len(images)), batch_size):
        x, y = images[indices].to(device), labels[indices].to(device)
        with evaluation_mode(model):
            natural = predict(model, x, y) == y
            robust = None
            if attack is not None:
                robust = natural.clone()
                kept = natural.nonzero().flatten()
                if len(kept) > 0:
                    adversarial = pgd(model, x[kept], y[kept], attack, indices=indices[kept.cpu()])
                    robust[kept] = predict(model, adversarial, y[kept]) == y[kept]
        yield Outcome(indices, natural.cpu(), None if robust is None else robust.cpu())


@torch.no_grad()
def predict(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The predicted classes (N,), once the logits are known to be finite and to cover the labels."""
    logits: torch.Tensor = model(images)
    if logits.ndim != 2 or len(logits) != len(images):
        raise ModelError(f"images {tuple(images.shape)} give an output {tuple(logits.shape)}, not logits (N, classes)")
    if not bool(torch.isfinite(logits).all()):
        raise ModelError("the network's logits hold NaN or infinity", hint="check the weights and the pixel range")
    if int(labels.max()) >= logits.shape[1] or int(labels.min()) < 0:
        raise DataError(
            f"labels run from {int(labels.min())} to {int(labels.max())}, the network has {logits.shape[1]} classes"
        )
    return logits.argmax(dim=1)


def _device(model: nn.Module) -> torch.device:
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device
