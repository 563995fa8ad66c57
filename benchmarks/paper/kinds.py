"""The kinds of networks that take the place of the paper's, where its checkpoints are not at hand."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """Networks trained on ``data``, which a table calls ``words`` and tells of in ``note``.

    With ``fast`` attacks take their gradients in bfloat16.
    """

    name: str
    data: str
    words: str
    note: str
    fast: bool = False

    @property
    def lines(self) -> list[str]:
        """The lines of the note."""
        return textwrap.dedent(self.note).strip().splitlines()


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "mnist",
            "mnist-sample",
            "the MNIST sample",
            """
            **The networks are narrow ones of the same family, trained on the MNIST sample**, so the paper's figures
            beside them are of other networks on other images. Their plans have the mean rank that the paper's sizes
            imply, and at that rank narrow networks can lose far more than wide ones, VGG-16 most. Pruned networks were
            not trained again after pruning; channels that it left without use are removed.
            """,
        ),
        Kind(
            "fashion",
            "fashion-mnist",
            "Fashion-MNIST",
            """
            **The networks are PreAct-ResNet-18 of half the paper's width, trained adversarially on Fashion-MNIST**, in
            place of WRN-28-4, too, so the paper's figures beside them are of other networks on other images. Plans of
            the paper's method have the mean rank that its sizes imply. Pruned networks were trained adversarially after
            pruning, as docs/networks.md says; channels that pruning left without use are removed. Data-aware rows are
            this project's, fitted to training images without their labels; the distilled ones took some gradient steps,
            too. Attacks take gradients in bfloat16, and adversarial images are judged in float32.
            """,
            fast=True,
        ),
    )
}
