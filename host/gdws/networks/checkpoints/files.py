"""Files of weights: reading them without executing code, writing them atomically."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from gdws._util.file_kinds import TORCH, kind_of
from gdws._util.files import write_atomic
from gdws.errors import CheckpointUnreadable, CheckpointUnsafe, NonFiniteWeights
from gdws.networks.checkpoints.pickles import foreign_globals

FORMAT = "gdws-weights/1"
"""Value of the metadata field ``format`` in files that :func:`save` writes."""


def read_file(path: Path) -> tuple[Any, dict[str, str]]:
    """The contents of a file, on the CPU, and its metadata, which are empty unless it is safetensors.

    Raises :class:`CheckpointUnreadable` and :class:`CheckpointUnsafe`.
    """
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise CheckpointUnreadable(f"{path}: {error.strerror}", path=str(path)) from error
    if head[8:9] == b"{":  # a little-endian length of eight bytes, then JSON
        return _read_safetensors(path)
    return read_torch(path), {}


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a file, empty unless it is safetensors; raises as :func:`read_file`."""
    return read_file(path)[1]


def read_torch(path: Path) -> Any:
    """The contents of a file of ``torch.save``, if it has only tensors and plain containers.

    Raises :class:`CheckpointUnreadable` and :class:`CheckpointUnsafe`.
    """
    try:
        with warnings.catch_warnings():  # about files that are refused below
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes fail in many ways
        if isinstance(error, pickle.UnpicklingError) and (calls := foreign_globals(path)):
            raise CheckpointUnsafe(
                f"{path} is rejected: loading it would execute {shortened(calls)}",
                path=str(path),
                hint="if you trust its source, load it yourself and save only the state_dict",
            ) from error
        raise _unreadable(path) from error


def save(path: str | Path, weights: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write a state dict as safetensors with ``metadata``, atomically.

    Equal weights and metadata give equal bytes.
    Raises :class:`NonFiniteWeights` and :class:`OSError`.
    """
    require_finite(weights)
    # Clones, because safetensors rejects tensors that share memory.
    plain = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in weights.items()}
    content = safetensors.torch.save(plain, metadata={"format": FORMAT, **metadata})
    write_atomic(Path(path), _with_sorted_header(content))


def require_finite(weights: Mapping[str, torch.Tensor]) -> None:
    """Raise :class:`NonFiniteWeights` naming the first tensor that contains NaN or infinity."""
    for key, tensor in weights.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            count = int((~torch.isfinite(tensor)).sum())
            raise NonFiniteWeights(f"{key} has {count} values that are NaN or infinite", layer=key)


def shortened(keys: Sequence[str], limit: int = 3) -> str:
    """The first ``limit`` of ``keys``, and dots for the others."""
    shown = ", ".join(keys[:limit])
    return shown if len(keys) <= limit else f"{shown}, ..."


def _with_sorted_header(content: bytes) -> bytes:
    """Sort the JSON header of a safetensors file; the library writes metadata in random order."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # the tensors stay aligned
    return len(header).to_bytes(8, "little") + header + content[start:]


def _read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
            return weights, file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> CheckpointUnreadable:
    kind = kind_of(path)
    other = kind if kind is not TORCH else None
    return CheckpointUnreadable(
        f"{path} is {'not a checkpoint, or is damaged' if other is None else f'{other.name}, not a checkpoint'}",
        path=str(path),
        hint="supported formats: safetensors and torch state dicts" if other is None else other.advice,
    )
