"""The kinds of networks that take the place of the paper's, where its checkpoints are not at hand."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.paper.rows import DataAware


@dataclass(frozen=True)
class Kind:
    """Networks trained on ``data``, which a table calls ``words`` and tells of in ``note``.

    ``data_aware`` are networks made of each that is not pruned, to compare with what the paper's method makes. With
    ``fast`` attacks take their gradients in bfloat16.
    """

    name: str
    data: str
    words: str
    note: str
    data_aware: Sequence[DataAware] = ()
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
            beside them are of other networks on other images. Their plans have ranks about those that the paper's
            sizes imply.
            """,
        ),
        Kind(
            "fashion",
            "fashion-mnist",
            "Fashion-MNIST",
            """
            **The networks are narrow ones of the same family, trained adversarially on Fashion-MNIST** for few epochs,
            as docs/networks.md says, so the paper's figures beside them are of other networks on other images.
            PreAct-ResNet-18 has half the paper's width; a WRN-16-2 takes the place of WRN-28-4 in Table 1, and
            PreAct-ResNet-18 in Table 4, since no WRN was pruned. Plans of the paper's method have the mean rank that
            its sizes imply. Pruned networks were trained adversarially after pruning; channels that pruning left
            without use are removed. Data-aware rows are this project's, fitted to training images without their
            labels; the distilled ones took 240 gradient steps, too, five minutes on two cores. Attacks take gradients
            in bfloat16, and adversarial images are judged in float32.
            """,
            data_aware=(DataAware(2), DataAware(2, distilled=True), DataAware(1, distilled=True)),
            fast=True,
        ),
    )
}
