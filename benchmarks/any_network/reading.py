"""Whether two networks that recognise text read the same, for ``gdws convert --metric``."""

from __future__ import annotations

import torch
from torch import Tensor


def same_text(found: Tensor, reference: Tensor) -> Tensor:
    """1 for each image of which both read the same characters, else 0, (N,); the blank is the first class.

    Both are scores (N, T, K) of K classes at T places, decoded greedily as connectionist temporal classification
    (Graves et al., 2006): repeated classes count once, blanks not at all.
    """
    return _same(found, reference, blank=0)


def same_text_blank_last(found: Tensor, reference: Tensor) -> Tensor:
    """As :func:`same_text`, where the blank is the last class."""
    return _same(found, reference, blank=reference.shape[-1] - 1)


def _same(found: Tensor, reference: Tensor, *, blank: int) -> Tensor:
    pairs = zip(found.argmax(dim=-1), reference.argmax(dim=-1), strict=True)
    return torch.tensor([_text(mine, blank) == _text(wanted, blank) for mine, wanted in pairs], dtype=torch.float64)


def _text(classes: Tensor, blank: int) -> list[int]:
    return [each for each in torch.unique_consecutive(classes).tolist() if each != blank]
