"""Prefixes and infixes that wrappers add to the parameter names of a network.

A network that was trained inside a wrapper is stored under the wrapper's names: ``module.`` of DistributedDataParallel,
``_orig_mod.`` of torch.compile, ``model.`` or any other of a Lightning module, in any order. So the prefix is found by
searching for the network's own names, not from a list of prefixes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import torch

from gdws.errors import CheckpointMismatch
from gdws.networks.checkpoints.files import shortened

Weights = Mapping[str, torch.Tensor]

#: Parts of a name that belong to a wrapper wherever they occur, also around a part of a network.
_WRAPPERS = frozenset(("module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"))


def under_one_prefix(
    expected: Weights, weights: Weights, path: Path, *, as_they_are: bool = False
) -> tuple[Weights, tuple[str, ...]]:
    """``weights`` by the names in the network's state dict ``expected``, and notes on entries that were left out.

    They are searched under every prefix. If none fits, the closest names are returned, which the caller will reject.
    ``as_they_are`` prefers those without a prefix if several are found.

    Raises :class:`~gdws.errors.CheckpointMismatch` if several prefixes have the network, with different weights.
    """
    for name in (str, _without_wrappers):
        ours, theirs = _renamed(expected, name), _renamed(weights, name)
        if ours is None or theirs is None:
            continue
        fitting = [prefix for prefix in _prefixes(ours, theirs) if _fits(ours, theirs, prefix)]
        if fitting:
            chosen = min(fitting, key=len)
            if not (as_they_are and not chosen):
                _require_one(fitting, ours, theirs, path)
            found = _under(theirs, chosen, others=fitting)
            taken = set(map(id, found.values()))
            left_out = [key for key, tensor in theirs.items() if id(tensor) not in taken]
            own_names = {name(key): key for key in expected}
            return {own_names.get(key, key): tensor for key, tensor in found.items()}, _note(left_out)
    closest = max(["", *_prefixes(expected, weights)], key=lambda prefix: _present(expected, weights, prefix))
    return {key.removeprefix(closest): tensor for key, tensor in weights.items()}, ()


def _without_wrappers(key: str) -> str:
    return ".".join(part for part in key.split(".") if part not in _WRAPPERS)


def _renamed(weights: Weights, name: Callable[[str], str]) -> dict[str, torch.Tensor] | None:
    """The tensors under new names; None if two would have the same name."""
    renamed = {name(key): tensor for key, tensor in weights.items()}
    return renamed if len(renamed) == len(weights) else None


def _required(expected: Weights) -> list[str]:
    return [key for key in expected if not key.endswith("num_batches_tracked")]


def _prefixes(expected: Weights, weights: Collection[str]) -> list[str]:
    """The prefixes of all occurrences of the network's longest name."""
    longest = max(_required(expected), key=len, default=None)
    ends = [key for key in weights if longest is not None and f".{key}".endswith(f".{longest}")]
    return [key[: len(key) - len(longest or "")] for key in ends]


def _fits(expected: Weights, weights: Weights, prefix: str) -> bool:
    return all(
        f"{prefix}{key}" in weights and weights[f"{prefix}{key}"].shape == expected[key].shape
        for key in _required(expected)
    )


def _present(expected: Weights, weights: Weights, prefix: str) -> int:
    return sum(f"{prefix}{key}" in weights for key in _required(expected))


def _under(weights: Weights, prefix: str, others: Collection[str]) -> dict[str, torch.Tensor]:
    """The weights under ``prefix``, except those under a longer one in ``others``."""
    longer = tuple(other for other in others if other != prefix and other.startswith(prefix))
    return {
        key.removeprefix(prefix): tensor
        for key, tensor in weights.items()
        if key.startswith(prefix) and not key.startswith(longer)
    }


def _require_one(prefixes: Collection[str], expected: Weights, weights: Weights, path: Path) -> None:
    first, *others = prefixes
    same = all(
        torch.equal(weights[f"{first}{key}"], weights[f"{other}{key}"])
        for other in others
        for key in _required(expected)
    )
    if not same:
        names = [prefix.removesuffix(".") for prefix in prefixes]
        shown = ", ".join(repr(name) if name else "no prefix" for name in names)
        raise CheckpointMismatch(
            f"{path} contains the network {len(names)} times, with different weights: under {shown}",
            path=str(path),
            hint="choose one, e.g. --prefix " + (repr("") if not names[0] else names[0]),
        )


def _note(left_out: list[str]) -> tuple[str, ...]:
    if not left_out:
        return ()
    return (f"left out {len(left_out)} entries outside the network: {shortened(left_out)}",)
