"""The range of values that each quantised tensor covers, from what it holds while the network runs on images.

A wide range keeps the largest values and rounds all others coarsely; a narrow one clips. Each method chooses between
the two from a histogram of the tensor's values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import onnx

from gdws.errors import DataError
from gdws.onnx_io.run import Runner

RangeMethod = Literal["min-max", "percentile", "mse"]
RANGE_METHODS: tuple[RangeMethod, ...] = get_args(RangeMethod)

_BINS = 2048
#: The share of the values that ``percentile`` keeps.
_KEPT = 0.9999
#: What ``mse`` tries: shares of the whole range.
_SHARES = np.linspace(0.3, 1.0, 71)
#: Levels of INT8; what a scale of free zero point spreads over.
_LEVELS = 255

Floats = npt.NDArray[np.float64]
Images = npt.NDArray[np.float32]


class Range(NamedTuple):
    """The values that a tensor keeps, 0 among them."""

    low: float
    high: float


@dataclass(eq=False)
class Values:
    """What a tensor held: its least and greatest value, ``counts`` of values in bins between them, and the largest
    absolute value of each channel, (C,), where the tensor has four axes."""

    low: float = np.inf
    high: float = -np.inf
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(_BINS, np.int64))
    channels: npt.NDArray[np.float32] | None = None

    def widen(self, array: Images) -> None:
        """Take the values of ``array`` into the range."""
        self.low, self.high = min(self.low, float(array.min())), max(self.high, float(array.max()))
        if array.ndim == 4:
            found = np.abs(array).max(axis=(0, 2, 3))
            self.channels = found if self.channels is None else np.maximum(self.channels, found)

    def count(self, array: Images) -> None:
        """Count the values of ``array``, which are within the range."""
        span = (self.high - self.low) or 1.0  # in float64: neither a tiny nor a huge one overflows
        places = ((array.ravel().astype(np.float64) - self.low) * (_BINS / span)).astype(np.int64)
        self.counts += np.bincount(places.clip(0, _BINS - 1), minlength=_BINS)

    @property
    def centres(self) -> Floats:
        """The middle of each bin."""
        return self.low + (np.arange(_BINS) + 0.5) * (self.high - self.low) / _BINS


def observe(content: bytes, images: Sequence[Images], tensors: Iterable[str]) -> dict[str, Values]:
    """What ``tensors`` of an ONNX file hold on batches of ``images`` (N, C, H, W); the file is run twice.

    Raises :class:`~gdws.errors.DataError` if one of them is not finite, and
    :class:`~gdws.onnx_io.run.CannotRun` if the file does not run.
    """
    found = {name: Values() for name in tensors}
    run = recorder(content, _in_order(content, found))
    for see in (Values.widen, Values.count):
        for batch in images:
            for name, array in run(batch).items():
                _require_finite(name, array)
                see(found[name], array)
    return found


def choose(values: Values, method: RangeMethod) -> Range:
    """The range by ``method``: all values; all but one in ten thousand; or the least mean squared error."""
    low, high = min(values.low, 0.0), max(values.high, 0.0)
    if method == "min-max" or low == high or not values.counts.any():
        return Range(low, high)
    if method == "percentile":
        share = np.cumsum(values.counts) / values.counts.sum()
        inner = values.centres[[np.searchsorted(share, 1 - _KEPT), np.searchsorted(share, _KEPT)]]
        return Range(max(low, min(inner[0], 0.0)), min(high, max(inner[1], 0.0)))
    candidates = [Range(share * low, share * high) for share in _SHARES]
    return min(candidates, key=lambda each: _squared_error(values, each))


def _squared_error(values: Values, kept: Range) -> float:
    """Of rounding to the levels of ``kept`` and clipping to it, summed over the values."""
    step = (kept.high - kept.low) / _LEVELS
    rounded = (np.round(values.centres / step) * step).clip(kept.low, kept.high)
    return float((values.counts * (values.centres - rounded) ** 2).sum())


def recorder(content: bytes, tensors: Sequence[str]) -> Callable[[Images], Mapping[str, Images]]:
    """What an ONNX file has in ``tensors`` for a batch of images (N, C, H, W), by tensor.

    It, and what it gives, raise :class:`~gdws.onnx_io.run.CannotRun`.
    """
    model = onnx.load_from_string(content)
    known = {value.name for value in model.graph.output}
    inside = [name for name in tensors if name not in known and name != model.graph.input[0].name]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inside)
    runner = Runner(model.SerializeToString())
    names = [value.name for value in model.graph.output]

    def run(images: Images) -> Mapping[str, Images]:
        arrays = dict(zip(names, runner({runner.inputs[0]: images}), strict=True))
        arrays[runner.inputs[0]] = images
        return {name: arrays[name] for name in tensors}

    return run


def _in_order(content: bytes, tensors: Iterable[str]) -> list[str]:
    """``tensors`` as the file makes them, so that the first that is not finite is where it went wrong."""
    graph = onnx.load_from_string(content).graph
    made = [*(value.name for value in graph.input), *(name for node in graph.node for name in node.output)]
    return sorted(tensors, key=made.index)


def _require_finite(name: str, array: Images) -> None:
    if not np.isfinite(array).all():
        raise DataError(
            f"the tensor {name!r} contains NaN or infinity on the calibration images",
            hint="check their range and the network's normalisation",
        )
