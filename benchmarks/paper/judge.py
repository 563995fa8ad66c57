"""Which images a network classifies correctly, column by column."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.accuracy_vs_rank.accuracy import Bfloat16
from gdws._util.modes import evaluation_mode
from gdws._util.progress import Progress
from gdws.datasets import Split
from gdws.evaluation.attacks import AttackSpec
from gdws.evaluation.attacks.run import perturb
from gdws.evaluation.judging import dense_equivalent, device_of
from gdws_contract.findings.intervals import proportion

#: Columns of Table 6 under attacks in one norm; an image counts for ``union`` if it resists them all.
NORMS = ("linf", "l1", "l2")

#: More classes are likelier than the right one than there are in any data set.
_FOOLED = 1_000_000


def outcomes(
    network: nn.Module,
    images: Split,
    attacks: Mapping[str, AttackSpec],
    *,
    top5: bool = False,
    fast: bool = False,
    batch_size: int = 100,
    progress: Progress,
) -> dict[str, Tensor]:
    """``natural``, one outcome for each of ``attacks`` by its name, and their ``union`` if there are several.

    Each says of every image whether it is classified correctly, (N,) bool. With ``top5`` there are also
    ``<name>_top5``: the right class is among the five likeliest. Attacks are white-box and run on the dense network of
    the same function; an image that is misclassified as it is counts as fooled. With ``fast`` attacks take gradients
    in bfloat16; adversarial images are judged in float32 all the same.
    """
    attacked = Bfloat16(network, images.images) if fast else dense_equivalent(network, images.images)
    device = device_of(network)
    ranks = {"natural": 5 if top5 else 1}
    right: dict[str, list[Tensor]] = {}
    progress.start(len(images), "accuracies")
    with evaluation_mode(network), evaluation_mode(attacked):
        for indices in torch.split(torch.arange(len(images)), batch_size):
            x, y = images.images[indices].to(device), images.labels[indices].to(device)
            natural = _places(network, x, y)
            batch = {"natural": natural}
            kept = (natural < ranks["natural"]).nonzero().flatten()
            for name, attack in attacks.items():
                places = torch.full_like(natural, _FOOLED)
                if len(kept) > 0:
                    adversarial = perturb(attacked, x[kept], y[kept], attack, indices=indices[kept.cpu()])
                    # A second likeliest that an attack makes the likeliest is no resistance.
                    places[kept] = torch.maximum(_places(network, adversarial, y[kept]), natural[kept])
                batch[name] = places
            if len(attacks) > 1:
                batch["union"] = torch.stack([batch[name] for name in attacks]).amax(0)
            for name, places in batch.items():
                right.setdefault(name, []).append(places == 0)
                if top5:
                    right.setdefault(f"{name}_top5", []).append(places < 5)
            progress.advance(len(indices))
    return {name: torch.cat(parts) for name, parts in right.items()}


@torch.no_grad()
def natural_outcome(network: nn.Module, images: Split, *, batch_size: int = 500) -> Tensor:
    """Whether each of ``images`` is classified correctly as it is, (N,) bool."""
    with evaluation_mode(network):
        parts = [
            _places(network, images.images[rows], images.labels[rows]) == 0
            for rows in torch.split(torch.arange(len(images)), batch_size)
        ]
    return torch.cat(parts)


@torch.no_grad()
def _places(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """How many classes are likelier than the right one, (N,)."""
    logits = network(images)
    return (logits > logits.gather(1, labels[:, None])).sum(1)


def share(right: Tensor) -> dict[str, Any]:
    """The share of ``right`` images, a proportion as JSON."""
    return proportion(int(right.sum()), len(right)).model_dump()


def packed(right: Tensor) -> str:
    """An outcome as text, eight images a byte in base64."""
    return base64.b64encode(np.packbits(right.cpu().numpy()).tobytes()).decode()


def unpacked(text: str, count: int) -> list[bool]:
    """The inverse of :func:`packed` for ``count`` images."""
    bits = np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8), count=count)
    return [bool(bit) for bit in bits]
