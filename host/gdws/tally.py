"""Who was right so far in an evaluation, image by image, and how that is stored so that it can go on later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gdws.errors import ResultError
from gdws.files import write_atomic
from gdws.judging import Outcome

_FORMAT, _VERSION = "gdws.evaluation-state", 1

#: How an image stands, as one letter: not judged yet, wrong as it is, fooled by the attack, right.
_OPEN, _WRONG, _FOOLED, _RIGHT = "-", "w", "f", "r"


@dataclass
class Tally:
    """How each image stands: ``marks`` has one letter for each; ``duration_s`` is the time spent so far."""

    marks: list[str]
    duration_s: float = 0.0

    @classmethod
    def empty(cls, count: int) -> Tally:
        """Nothing judged yet of ``count`` images."""
        return cls([_OPEN] * count)

    def open(self) -> Tensor:
        """The indices (n,) of the images that are still to be judged, ascending."""
        return torch.tensor([index for index, mark in enumerate(self.marks) if mark == _OPEN], dtype=torch.int64)

    def add(self, outcome: Outcome) -> None:
        """Take in a batch."""
        robust = outcome.natural if outcome.robust is None else outcome.robust
        rows = zip(outcome.indices.tolist(), outcome.natural.tolist(), robust.tolist(), strict=True)
        for index, right, resists in rows:
            self.marks[index] = _WRONG if not right else _RIGHT if resists else _FOOLED

    @property
    def total(self) -> int:
        """Images judged."""
        return len(self.marks) - self.marks.count(_OPEN)

    @property
    def natural(self) -> int:
        """Images classified correctly as they are."""
        return self.robust + self.marks.count(_FOOLED)

    @property
    def robust(self) -> int:
        """Images classified correctly under the attack too."""
        return self.marks.count(_RIGHT)


def write(path: Path, tally: Tally, settings: Mapping[str, Any]) -> None:
    """Store ``tally`` for :func:`read`. Raises :class:`OSError`."""
    content = {
        "format": _FORMAT,
        "version": _VERSION,
        "settings": dict(settings),
        "duration_s": tally.duration_s,
        "marks": "".join(tally.marks),
    }
    write_atomic(path, json.dumps(content).encode())


def read(path: Path, settings: Mapping[str, Any]) -> Tally | None:
    """What :func:`write` stored for the same settings; None if there is no file.

    Raises :class:`~gdws.errors.ResultError` if the file is of another evaluation, or damaged.
    """
    if not path.exists():
        return None
    hint = f"delete {path} to start anew, or write elsewhere"
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != _FORMAT or content["version"] != _VERSION:
            raise ValueError("another format")
        marks, spent, stored = list(content["marks"]), float(content["duration_s"]), dict(content["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise ResultError(f"{path} holds no state of an evaluation: {error}", hint=hint) from error
    wanted = json.loads(json.dumps(dict(settings)))
    differing = [name for name in wanted if stored.get(name) != wanted[name]]
    if differing:
        raise ResultError(f"{path} is of an evaluation with other {', '.join(differing)}", hint=hint)
    if len(marks) != settings["count"] or set(marks) - {_OPEN, _WRONG, _FOOLED, _RIGHT}:
        raise ResultError(f"{path} is damaged", field="marks", hint=hint)
    return Tally(marks, spent)


def digest_of_network(model: nn.Module) -> str:
    """SHA-256 of the structure and of every parameter and stored buffer, by name."""
    digest = hashlib.sha256(repr(model).encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        _update(digest, tensor)
    return digest.hexdigest()


def digest_of_images(images: Tensor, labels: Tensor) -> str:
    """SHA-256 of images (N, C, H, W) and labels (N,)."""
    digest = hashlib.sha256(str(tuple(images.shape)).encode())
    _update(digest, images)
    _update(digest, labels)
    return digest.hexdigest()


def _update(digest: hashlib._Hash, tensor: Tensor) -> None:
    digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
