"""The state of an evaluation, image by image, and its storage for resuming."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gdws._util.files import write_atomic
from gdws.datasets import Images
from gdws.errors import ResultError
from gdws.evaluation.judging import Outcome, Outputs, Queried
from gdws_contract.attack_check import LUCKY_SHARE, AttackCheck, is_beyond
from gdws_contract.findings.intervals import proportion

#: History of the format: 1, first version; 2, marks of a second opinion, and queries.
_FORMAT, _VERSION = "gdws.evaluation-state", 2

#: The state of an image as one letter: not judged yet, misclassified, fooled by the attack, robust.
_OPEN, _WRONG, _FOOLED, _RIGHT = "-", "w", "f", "r"
#: Robust where the gradient of the cross-entropy vanishes, and where that of the second loss vanishes too.
_VANISHING, _BLIND = "v", "b"
#: Fooled only by the second loss, where the gradient of the cross-entropy does not vanish, and where it does.
_BY_SECOND, _BY_SECOND_VANISHING = "m", "n"

_RESISTING = (_RIGHT, _VANISHING, _BLIND)
_LETTERS = {_OPEN, _WRONG, _FOOLED, _BY_SECOND, _BY_SECOND_VANISHING, *_RESISTING}

#: Number of images in memory at a time while hashing.
_PIECE = 256

#: The sample for the black-box attack: one of this many images, within limits.
_ONE_OF, _LEAST, _MOST = 32, 4, 64


@dataclass
class Tally:
    """The state of each image: ``marks`` has one letter for each; ``duration_s`` is the time spent so far.

    ``queried`` has another letter for each: fooled by queries, resisted, or not queried. ``outputs`` describes the
    network's outputs so far.
    """

    marks: list[str]
    queried: list[str]
    duration_s: float = 0.0
    outputs: Outputs | None = None

    @classmethod
    def empty(cls, count: int) -> Tally:
        """The initial state for ``count`` images."""
        return cls([_OPEN] * count, [_OPEN] * count)

    def open(self) -> Tensor:
        """The indices (n,) of the images not judged yet, ascending."""
        return _indices(self.marks, (_OPEN,))

    def add(self, outcome: Outcome) -> None:
        """Record a batch."""
        self.outputs = outcome.outputs if self.outputs is None else self.outputs + outcome.outputs
        robust = outcome.natural if outcome.robust is None else outcome.robust
        none = torch.zeros_like(robust)
        columns = (
            outcome.indices,
            outcome.natural,
            robust if outcome.alone is None else outcome.alone,
            robust,
            none if outcome.vanishing is None else outcome.vanishing,
            none if outcome.blind is None else outcome.blind,
        )
        for index, *facts in zip(*(column.tolist() for column in columns), strict=True):
            self.marks[index] = _mark(*facts)

    def add_queries(self, batch: Queried) -> None:
        """Record a batch of the black-box attack."""
        for index, resists in zip(batch.indices.tolist(), batch.robust.tolist(), strict=True):
            self.queried[index] = _RIGHT if resists else _FOOLED

    @property
    def queries_find(self) -> bool:
        """Whether queries fool more of the sample than chance would."""
        sample = [self.queried[index] for index in self.sample().tolist()]
        return is_beyond(sample.count(_FOOLED), len(sample), LUCKY_SHARE)

    def sample(self) -> Tensor:
        """The sample to query: evenly spaced among the images that resist gradients, (n,) ascending.

        Once all images are judged it no longer changes.
        """
        resisting = self.resisting()
        count = min(max(len(self.marks) // _ONE_OF, _LEAST), _MOST, len(resisting))
        return resisting[torch.arange(count) * len(resisting) // max(count, 1)]

    def resisting(self) -> Tensor:
        """The images that resist gradients, (n,) ascending."""
        return _indices(self.marks, _RESISTING)

    def not_queried(self, indices: Tensor) -> Tensor:
        """Those of ``indices`` (n,) that were not queried yet."""
        return indices[torch.isin(indices, _indices(self.queried, (_OPEN,)))]

    @property
    def total(self) -> int:
        """Images judged."""
        return len(self.marks) - self.marks.count(_OPEN)

    @property
    def natural(self) -> int:
        """Images classified correctly as they are."""
        return self.total - self.marks.count(_WRONG)

    @property
    def robust(self) -> int:
        """Images classified correctly under every attack run on them."""
        return len(self.resisting()) - self.queried.count(_FOOLED)

    def right(self) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
        """For each image whether it is classified correctly, and whether under every attack run on it."""
        natural = tuple(mark not in (_OPEN, _WRONG) for mark in self.marks)
        robust = tuple(
            mark in _RESISTING and query != _FOOLED for mark, query in zip(self.marks, self.queried, strict=True)
        )
        return natural, robust

    def check(self, *, queries: int) -> AttackCheck:
        """The result of the second opinion, with this many ``queries`` for an image."""
        count = self.marks.count
        by_second = count(_BY_SECOND) + count(_BY_SECOND_VANISHING)
        return AttackCheck(
            alone=proportion(len(self.resisting()) + by_second, self.total),
            vanishing=count(_VANISHING) + count(_BLIND) + count(_BY_SECOND_VANISHING),
            second_fooled=by_second,
            blind=count(_BLIND),
            queries=queries,
            queried=len(self.queried) - self.queried.count(_OPEN),
            query_fooled=self.queried.count(_FOOLED),
            probabilities=self.outputs is not None and self.outputs.probabilities,
            random=self.outputs is not None and self.outputs.random,
        )


def _indices(letters: Sequence[str], wanted: Container[str]) -> Tensor:
    """Where ``letters`` are among ``wanted``, (n,) ascending."""
    return torch.tensor([index for index, letter in enumerate(letters) if letter in wanted], dtype=torch.int64)


def _mark(natural: bool, alone: bool, robust: bool, vanishing: bool, blind: bool) -> str:
    if not natural:
        return _WRONG
    if not alone:
        return _FOOLED
    if not robust:
        return _BY_SECOND_VANISHING if vanishing else _BY_SECOND
    return _BLIND if blind else _VANISHING if vanishing else _RIGHT


def write(path: Path, tally: Tally, settings: Mapping[str, Any]) -> None:
    """Store ``tally`` for :func:`read`. Raises :class:`OSError`."""
    content = {
        "format": _FORMAT,
        "version": _VERSION,
        "settings": dict(settings),
        "duration_s": tally.duration_s,
        "marks": "".join(tally.marks),
        "queried": "".join(tally.queried),
        "outputs": None if tally.outputs is None else dataclasses.asdict(tally.outputs),
    }
    write_atomic(path, json.dumps(content).encode())


def read(path: Path, settings: Mapping[str, Any]) -> Tally | None:
    """The state stored by :func:`write` for the same settings; None if there is no file.

    Raises :class:`~gdws.errors.ResultError` if the file belongs to another evaluation, or is damaged.
    """
    if not path.exists():
        return None
    hint = f"delete {path} to start over, or choose another file"
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != _FORMAT or content["version"] != _VERSION:
            raise ValueError("another format")
        marks, queried = list(content["marks"]), list(content["queried"])
        outputs = None if content["outputs"] is None else _outputs(content["outputs"])
        spent, stored = float(content["duration_s"]), dict(content["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise ResultError(f"{path} is not the state of an evaluation: {error}", hint=hint) from error
    wanted = json.loads(json.dumps(dict(settings)))
    differing = [name for name in wanted if stored.get(name) != wanted[name]]
    if differing:
        raise ResultError(f"{path} belongs to an evaluation with different {', '.join(differing)}", hint=hint)
    for field, letters, known in (("marks", marks, _LETTERS), ("queried", queried, {_OPEN, _FOOLED, _RIGHT})):
        if len(letters) != settings["count"] or set(letters) - known:
            raise ResultError(f"{path} is damaged", field=field, hint=hint)
    return Tally(marks, queried, spent, outputs)


def _outputs(stored: Mapping[str, Any]) -> Outputs:
    return Outputs(**{**stored, "answered": tuple(stored.get("answered", ()))})


def digest_of_network(model: nn.Module) -> str:
    """SHA-256 of the structure and of every parameter and stored buffer, by name."""
    digest = hashlib.sha256(repr(model).encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        _update(digest, tensor)
    return digest.hexdigest()


def digest_of_images(images: Images, labels: Tensor | None) -> str:
    """SHA-256 of images (N, C, H, W) and labels (N,), if there are any."""
    digest = hashlib.sha256(str(tuple(images.shape)).encode())
    for first in range(0, len(images), _PIECE):
        _update(digest, images[first : first + _PIECE])
    if labels is not None:
        _update(digest, labels)
    return digest.hexdigest()


def _update(digest: hashlib._Hash, tensor: Tensor) -> None:
    digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
