"""Weights in files: reading them without running code, writing them whole.

Two forms are read, told apart by their first bytes: safetensors, and what ``torch.save`` writes.
The latter is a pickle and is opened with ``weights_only=True``, always: a file that needs more than
tensors and plain containers is refused. Our own files are safetensors whose metadata name the network.
"""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from gdws import nets
from gdws.errors import CheckpointMismatch, CheckpointUnreadable, CheckpointUnsafe, NonFiniteWeights
from gdws.files import write_atomic
from gdws.pickles import foreign_globals

FORMAT = "gdws-weights/1"
"""Value of the metadata field ``format`` in files that :func:`save` writes."""


@dataclass(frozen=True)
class Checkpoint:
    """``weights``: tensors by parameter or buffer name; ``metadata``: text by field, empty for foreign files."""

    weights: Mapping[str, torch.Tensor]
    metadata: Mapping[str, str]


def load(path: str | Path, net: str | nn.Module | None = None, **options: Any) -> nn.Module:
    """The network with the weights of a file, on the CPU, in evaluation mode.

    ``net`` is a registered name, built with ``options``, or a module, which is copied. Without it the
    file's metadata must name the network; ``options`` then override those of the file.
    Raises :class:`CheckpointUnreadable`, :class:`CheckpointUnsafe`, :class:`CheckpointMismatch` if keys or
    shapes are not the network's, and :class:`NonFiniteWeights`.
    """
    path = Path(path)
    checkpoint = read(path)
    require_finite(checkpoint.weights)
    if isinstance(net, nn.Module):
        model = deepcopy(net).cpu()
        _require_fit(model, checkpoint.weights, path)
    else:
        name, options = _named_network(checkpoint, net, options, path)
        with torch.device("meta"):  # settles the question before memory is spent on it
            _require_fit(nets.build(name, **options), checkpoint.weights, path)
        with torch.random.fork_rng(devices=[]):
            model = nets.build(name, **options)
    model.load_state_dict(checkpoint.weights, strict=False)
    return model.eval()


def read(path: str | Path) -> Checkpoint:
    """The weights in a file, as stored, on the CPU; a ``module.`` prefix is taken off.

    Raises :class:`CheckpointUnreadable` and :class:`CheckpointUnsafe`.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise CheckpointUnreadable(f"{path}: {error.strerror}", path=str(path)) from error
    if head[8:9] == b"{":  # a little-endian length of eight bytes, then JSON
        return _read_safetensors(path)
    return Checkpoint(_state_dict(read_torch(path), path), {})


def read_torch(path: Path) -> Any:
    """What ``torch.save`` wrote, if it consists of tensors and plain containers alone.

    Raises :class:`CheckpointUnreadable` and :class:`CheckpointUnsafe`.
    """
    try:
        with warnings.catch_warnings():  # about files that are refused below
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes fail in many ways
        if isinstance(error, pickle.UnpicklingError) and (calls := foreign_globals(path)):
            raise CheckpointUnsafe(
                f"{path} is refused: to load it is to run {_shortened(calls)}",
                path=str(path),
                hint="where you trust its source, load it there and store the state_dict alone",
            ) from error
        raise _unreadable(path) from error


def save(path: str | Path, weights: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write a state dict as safetensors with ``metadata``, whole or not at all.

    Equal weights and metadata give equal bytes.
    Raises :class:`NonFiniteWeights` and :class:`OSError`.
    """
    require_finite(weights)
    # Clones, for safetensors refuses tensors that share memory.
    plain = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in weights.items()}
    content = safetensors.torch.save(plain, metadata={"format": FORMAT, **metadata})
    write_atomic(Path(path), _with_sorted_header(content))


def require_finite(weights: Mapping[str, torch.Tensor]) -> None:
    """Raise :class:`NonFiniteWeights` naming the first tensor that holds NaN or infinity."""
    for key, tensor in weights.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            count = int((~torch.isfinite(tensor)).sum())
            raise NonFiniteWeights(f"{key} holds {count} values that are NaN or infinite", layer=key)


def _with_sorted_header(content: bytes) -> bytes:
    """Put the JSON header of a safetensors file in order; the library writes metadata in a random one."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # the tensors stay aligned
    return len(header).to_bytes(8, "little") + header + content[start:]


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework="pt") as file:
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
            return Checkpoint(_without_prefix(weights), file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise _unreadable(path) from error


def _state_dict(content: Any, path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a state dict, bare or under ``state_dict``."""
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not content:
        raise CheckpointUnreadable(f"{path} holds no state dict", path=str(path))
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            raise CheckpointUnreadable(
                f"{path} holds no state dict: {key!r} is a {type(value).__name__}, not a tensor",
                path=str(path),
            )
    return _without_prefix(content)


def _without_prefix(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """``module.`` taken off, which multi-GPU training puts before every key."""
    if all(key.startswith("module.") for key in weights):
        return {key.removeprefix("module."): tensor for key, tensor in weights.items()}
    return dict(weights)


def _named_network(
    checkpoint: Checkpoint, net: str | None, options: Mapping[str, Any], path: Path
) -> tuple[str, dict[str, Any]]:
    """Name and options of the network: what the caller says, then what the file says."""
    if net is not None and net != checkpoint.metadata.get("net"):
        return net, dict(options)
    name = checkpoint.metadata.get("net")
    if name is None:
        raise CheckpointMismatch(
            f"{path} does not say which network it belongs to",
            path=str(path),
            hint=f"name the network, one of: {', '.join(nets.names())}",
        )
    try:
        stored = json.loads(checkpoint.metadata.get("net_options", "{}"))
        return name, {**stored, **options}
    except (ValueError, TypeError) as error:
        raise CheckpointUnreadable(f"{path}: the metadata field net_options is malformed", path=str(path)) from error


def _require_fit(model: nn.Module, weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Every tensor of the network must be in the file with its shape, and no others.

    BN counts its batches since torch 0.4.1; older files lack the counter, which evaluation does not use.
    """
    expected = model.state_dict()
    missing = [key for key in expected if key not in weights and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in weights if key not in expected]
    wrong_shape = [key for key in expected if key in weights and expected[key].shape != weights[key].shape]
    if not (missing or unexpected or wrong_shape):
        return
    shapes = [f"{key} {tuple(weights[key].shape)} instead of {tuple(expected[key].shape)}" for key in wrong_shape]
    parts = [
        f"{len(keys)} {what}: {_shortened(keys)}"
        for what, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if keys
    ]
    raise CheckpointMismatch(
        f"{path} does not fit the network; {'; '.join(parts)}",
        path=str(path),
        missing=missing,
        unexpected=unexpected,
        wrong_shape=wrong_shape,
        hint="choose the network that was trained, with the same options",
    )


def _shortened(keys: list[str], limit: int = 3) -> str:
    shown = ", ".join(keys[:limit])
    return shown if len(keys) <= limit else f"{shown}, ..."


def _unreadable(path: Path) -> CheckpointUnreadable:
    return CheckpointUnreadable(
        f"{path} is no checkpoint, or is damaged",
        path=str(path),
        hint="safetensors and torch state dicts are read",
    )
