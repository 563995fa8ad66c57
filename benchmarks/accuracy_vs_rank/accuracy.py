"""Natural and robust accuracy, the gradients of the attack in bfloat16: a third of the time on CPUs that have it.

What is attacked is the dense network of the same function. Adversarial images are judged by the network itself in
float32. The attack is no weaker by that than chance: of 250 images, the narrow VGG-16 resisted on 231 with gradients in
float32, and on 232 with those in bfloat16.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gdws.datasets import Split
from gdws.evaluation.attacks import AttackSpec
from gdws.evaluation.judging import dense_equivalent, judge
from gdws_contract.findings.intervals import proportion
from gdws_contract.measures import Proportion

BATCH = 125


class Bfloat16(nn.Module):
    """The dense equivalent of a network; its convolutions multiply in bfloat16."""

    def __init__(self, network: nn.Module, images: Tensor) -> None:
        super().__init__()
        self.dense = dense_equivalent(network, images).to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits: Tensor = self.dense(x.contiguous(memory_format=torch.channels_last))
        return logits.float()


def accuracies(
    network: nn.Module, images: Split, attack: AttackSpec, *, natural_images: Split | None = None, fast: bool = True
) -> dict[str, Proportion]:
    """Natural and robust accuracy with their 95 % intervals; ``fast``: gradients in bfloat16, else in float32.

    ``natural_images``, where they are given, are those that natural accuracy is counted on.
    """
    attacked = Bfloat16(network, images.images) if fast else dense_equivalent(network, images.images)
    found = {"robust": _count(network, images, attack, attacked)[1]}
    plain = images if natural_images is None else natural_images
    return {"natural": _count(network, plain, None, None)[0], **found}


def _count(
    network: nn.Module, images: Split, attack: AttackSpec | None, attacked: nn.Module | None
) -> tuple[Proportion, Proportion]:
    """Shares of the images that are classified correctly: as they are, and under the attack."""
    natural = robust = 0
    for indices in torch.split(torch.arange(len(images)), BATCH):
        outcome = judge(network, images.images, images.labels, attack, indices=indices, attacked=attacked)
        natural += int(outcome.natural.sum())
        robust += int((outcome.natural if outcome.robust is None else outcome.robust).sum())
    return proportion(natural, len(images)), proportion(robust, len(images))
