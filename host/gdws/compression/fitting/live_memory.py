"""Estimates the memory of a paused forward pass."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from gdws.compression.layers import Conv

#: Storages, rather than tensors, are what memory is in; views share them.
Storages = dict[int, int]


class _Tracker(TorchFunctionMode):
    """Tracks the bytes of live results of operations."""

    def __init__(self) -> None:
        super().__init__()
        self._alive: Storages = {}

    @property
    def bytes(self) -> int:
        return sum(self._alive.values())

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        results = func(*args, **(kwargs or {}))
        for result in results if isinstance(results, tuple | list) else (results,):
            if isinstance(result, Tensor):
                self._note(result)
        return results

    def _note(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage.data_ptr()
        if key not in self._alive:
            self._alive[key] = storage.nbytes()
            weakref.finalize(storage, self._alive.pop, key, None)


def stopped_bytes(network: nn.Module, convolutions: Sequence[Conv], sample: Tensor) -> int:
    """The peak memory of a pass of ``sample`` (1, C, H, W) after any of the ``convolutions``.

    Counts activations that later layers still need, but not the weights and the sample.
    """
    tracker, most = _Tracker(), 0
    sample = sample.to(next(network.parameters()).device)

    def look(*_: object) -> None:
        nonlocal most
        most = max(most, tracker.bytes)

    handles = [convolution.register_forward_hook(look) for convolution in convolutions]
    try:
        with torch.no_grad(), tracker:
            network(sample)
    finally:
        for handle in handles:
            handle.remove()
    return most
