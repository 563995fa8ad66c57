"""A network with the ranges of its tensors, quantised here or there and compared with itself in floating point."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from glob import escape

import numpy as np
import numpy.typing as npt
import onnx

from gdws.onnx_io.int8.bias import add_to_biases, bias_errors, correctable
from gdws.onnx_io.int8.insertion import insert
from gdws.onnx_io.int8.points import Points, Scheme, find_points
from gdws.onnx_io.int8.ranges import Range
from gdws.onnx_io.int8.view import View, name_of
from gdws.onnx_io.pieces import CannotSplit
from gdws.onnx_io.run import Runner

_BATCH = 64
#: Biases are corrected on so many images, or fewer large ones: a mean over images and pixels needs no more, and the
#: activations of all are in memory at a time.
_CORRECTED_ON = 256
_CORRECTED_PIXELS = 8_000_000
#: Layers are ranked on so many images, each by a network of its own.
_RANKED_ON = 128

Images = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Made:
    """A file in INT8, its ``error``, the ``layers`` that are in INT8 by their outputs, and whether biases were
    ``corrected``."""

    content: bytes
    error: float
    layers: tuple[str, ...]
    corrected: bool


@dataclass(frozen=True, eq=False)
class Trial:
    """``floating`` with ``ranges`` of its tensors, which were found from the images ``fitted``, (N, C, H, W).

    Layers in ``skip``, see :func:`~gdws.onnx_io.int8.points.find_points`, stay in floating point in all that is made.
    Errors are told from ``held_out``: the root mean square of the difference that INT8 makes to the outputs over that
    of the outputs; infinite where these are all 0 and INT8 changes them.
    """

    floating: bytes
    scheme: Scheme
    skip: tuple[str, ...]
    ranges: Mapping[str, Range]
    fitted: Images
    held_out: Images

    def error(self, *, kept: Collection[str] = (), images: int | None = None) -> float:
        """The error in INT8 but for the layers called ``kept``, biases as they are, on the first ``images``."""
        return _error(self.floating, self._written(self.floating, self._points(kept)), self.held_out[:images])

    def made(self, *, kept: Collection[str] = (), correct_biases: bool) -> Made:
        """The network in INT8 but for the layers called ``kept``.

        Biases are corrected if they may be, and if that lessens the error.
        """
        points = self._points(kept)
        plain = self._written(self.floating, points)
        found = Made(plain, _error(self.floating, plain, self.held_out), points.layers, corrected=False)
        if not correct_biases or not len(self.held_out):
            return found
        model = onnx.load_from_string(self.floating)
        few = self.fitted[: max(1, min(_CORRECTED_ON, _CORRECTED_PIXELS // self.fitted[0].size))]
        try:
            errors = bias_errors(self.floating, plain, correctable(model, points.layers), batches(few))
        except CannotSplit:  # a tensor between two layers is of a kind that cannot be told
            return found
        add_to_biases(model, errors)
        corrected = self._written(model.SerializeToString(deterministic=True), points)
        error = _error(self.floating, corrected, self.held_out)
        return Made(corrected, error, points.layers, corrected=True) if error < found.error else found

    @cached_property
    def costly_layers(self) -> tuple[str, ...]:
        """The names of the layers that may be in INT8, those first without whose rounding the error is least."""
        view = View(self._model)
        names = dict.fromkeys(name_of(view.producer[output]) for output in self._points(()).layers)
        errors = {name: self.error(kept=[name], images=_RANKED_ON) for name in names}
        return tuple(sorted(names, key=lambda name: errors[name]))

    @cached_property
    def _model(self) -> onnx.ModelProto:
        return onnx.load_from_string(self.floating)

    def _points(self, kept: Collection[str]) -> Points:
        return find_points(self._model, self.scheme, (*self.skip, *map(escape, kept)))

    def _written(self, floating: bytes, points: Points) -> bytes:
        model = onnx.load_from_string(floating)
        insert(model, points, self.ranges, self.scheme)
        onnx.checker.check_model(model, full_check=True)
        content: bytes = model.SerializeToString(deterministic=True)
        return content


def batches(images: Images) -> list[Images]:
    """``images`` in parts of a size that a network runs on at a time."""
    return [images[at : at + _BATCH] for at in range(0, len(images), _BATCH)]


def _error(floating: bytes, quantized: bytes, images: Images) -> float:
    runners = [Runner(each) for each in (floating, quantized)]
    difference = size = 0.0
    for batch in batches(images):
        for exact, rounded in zip(*(run({run.inputs[0]: batch}) for run in runners), strict=True):
            difference += float(np.square(exact - rounded, dtype=np.float64).sum())
            size += float(np.square(exact, dtype=np.float64).sum())
    return math.sqrt(difference / size) if size else math.inf if difference else 0.0
