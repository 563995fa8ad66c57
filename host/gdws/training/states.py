"""The state of an unfinished training: a file from which the same training goes on, and no other."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gdws._util.files import write_atomic
from gdws.errors import CheckpointUnreadable, GdwsError
from gdws.networks import checkpoints

STATE_VERSION = 2


def write(path: Path, identity: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    """Write ``content``, tensors and plain containers, for the training that ``identity`` tells, as JSON values."""
    buffer = io.BytesIO()
    torch.save({**content, "version": STATE_VERSION, "identity": json.dumps(identity, sort_keys=True)}, buffer)
    write_atomic(path, buffer.getvalue())


def read(path: Path, identity: Mapping[str, Any]) -> Mapping[str, Any]:
    """The content that :func:`write` stored for the training of this identity.

    Raises :class:`CheckpointUnreadable` for a file of another kind, :class:`GdwsError` for another training's.
    """
    stored, content = _opened(path)
    _require_same(stored, _plain(identity), path)
    return content


def read_if_same(path: Path, identity: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """As :func:`read`; None if there is no file, or another training's."""
    if not path.exists():
        return None
    stored, content = _opened(path)
    return content if stored == _plain(identity) else None


def _opened(path: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The identity and the content."""
    try:
        state = checkpoints.read_torch(path)
        known = state["version"] == STATE_VERSION
        stored = json.loads(state["identity"])
    except (CheckpointUnreadable, TypeError, KeyError, IndexError, ValueError):
        known = False
    if not known:
        raise CheckpointUnreadable(
            f"{path} is not the state of a training run of this release",
            path=str(path),
            hint="remove it to start from the beginning",
        )
    return stored, state


def _plain(identity: Mapping[str, Any]) -> Mapping[str, Any]:
    """The identity as it is stored: JSON has no tuples."""
    found: Mapping[str, Any] = json.loads(json.dumps(identity))
    return found


def _require_same(stored: Mapping[str, Any], asked: Mapping[str, Any], path: Path) -> None:
    different = [
        f"{name} was {stored.get(name)!r}, is {asked.get(name)!r}"
        for name in sorted({*stored, *asked})
        if stored.get(name) != asked.get(name)
    ]
    if different:
        raise GdwsError(
            f"{path} is the state of another run: {'; '.join(different)}",
            hint="resume with the same settings, or remove the file to start from the beginning",
        )
