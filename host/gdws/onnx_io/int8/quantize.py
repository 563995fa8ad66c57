"""From a file in float32 and images to a file in INT8."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from gdws.datasets import require_shape
from gdws.errors import DataError, GdwsError
from gdws.onnx_io.int8.folding import balance_channels, balanced_tensors, fold_batch_norms
from gdws.onnx_io.int8.points import SCHEMES, Scheme, find_points
from gdws.onnx_io.int8.ranges import RANGE_METHODS, RangeMethod, choose, observe
from gdws.onnx_io.int8.trial import Images, Trial, batches
from gdws.onnx_io.int8.view import View, is_of_integers, multiplies, name_of


@dataclass(frozen=True, kw_only=True)
class Int8Settings:
    """How a network is quantised.

    ``scheme`` says for whom, see :mod:`gdws.onnx_io.int8.points`. ``ranges`` is the method that chooses them; None
    tries each and takes the one whose outputs are nearest to those in float32 on the second half of the images, with
    ranges from the first. With ``correct_biases`` biases take back what rounding does to the mean of each channel, if
    that brings the outputs nearer on the second half.

    Layers stay in floating point whose name, or that of a module around them, matches one of ``skip``, and so do those
    that cost most: ``keep`` of them, or with ``limit`` as few as bring the error of the outputs, see
    :class:`Quantized`, down to it. One layer at least is in INT8.
    """

    scheme: Scheme = "symmetric"
    ranges: RangeMethod | None = None
    skip: tuple[str, ...] = ()
    correct_biases: bool = True
    keep: int = 0
    limit: float | None = None

    def __post_init__(self) -> None:
        for name, legal in (("scheme", SCHEMES), ("ranges", (None, *RANGE_METHODS))):
            if getattr(self, name) not in legal:
                words = ", ".join(str(each) for each in legal if each is not None)
                raise GdwsError(f"{name} of INT8 is {getattr(self, name)!r}", hint=f"it must be one of {words}")
        if self.keep < 0:
            raise GdwsError(f"keep of INT8 is {self.keep}", hint="it must be at least 0")
        if self.limit is not None and not (0 < self.limit < math.inf):
            raise GdwsError(f"limit of INT8 is {self.limit}", hint="it must be greater than 0, e.g. 0.02")
        if self.keep and self.limit is not None:
            raise GdwsError("keep and limit of INT8 exclude each other", hint="leave out one of them")


@dataclass(frozen=True, eq=False)
class Quantized:
    """A file in INT8, and how it was made.

    ``layers`` of the network are in INT8, ``kept`` in floating point, among them what cannot be quantised; ``balanced``
    is how many tensors between layers were evened out by channel, and ``corrected`` whether biases were. ``error`` is
    the root mean square of the difference that INT8 makes to the outputs on images that the ranges were not found from,
    over that of the outputs; None where one image was all there was.
    """

    content: bytes
    settings: Int8Settings
    ranges: RangeMethod
    images: int
    layers: tuple[str, ...]
    kept: tuple[str, ...]
    balanced: int
    corrected: bool
    error: float | None

    @property
    def method(self) -> str:
        """How it was made, in a few words."""
        biases = ", biases corrected" if self.corrected else ""
        return f"{self.ranges} ranges{biases}, {self.settings.scheme}"


def quantize(content: bytes, images: Images, settings: Int8Settings | None = None) -> Quantized:
    """Return an ONNX file of float32 with its layers in INT8.

    ``content`` takes images (N, C, H, W) in float32 and has a free batch size; its opset is 13 or newer. ``images``
    (N, C, H, W) are such as it will meet: attacked ones among them, if it is to be robust, for they reach further.

    Raises :class:`~gdws.errors.GdwsError` if no layer can be quantised, none is called as one to skip, the file is
    in INT8 already, or no layer can be in INT8 within the limit, :class:`~gdws.errors.DataError` if there are no
    images, they have another shape than the file takes, all are of one value, or values are not finite, and
    :class:`~gdws.onnx_io.run.CannotRun` if the file does not run.
    """
    settings = settings or Int8Settings()
    trial, ranges, balanced = _trial(content, images, settings)
    kept: tuple[str, ...] = ()
    if settings.keep and len(images) > 1:
        kept = trial.costly_layers[:-1][: settings.keep]
    made = trial.made(kept=kept, correct_biases=settings.correct_biases)
    while settings.limit is not None and made.error > settings.limit and len(images) > 1:
        kept = trial.costly_layers[: len(kept) + 1]
        if len(kept) == len(trial.costly_layers):
            raise GdwsError(
                f"with any layer in INT8 the outputs differ by more than {settings.limit:.2g} of their size",
                hint="raise the limit, or leave the network in floating point",
            )
        made = trial.made(kept=kept, correct_biases=settings.correct_biases)
    view = View(onnx.load_from_string(trial.floating))
    layers = tuple(name_of(view.producer[output]) for output in made.layers)
    floating = tuple(name_of(node) for node in view.nodes if multiplies(node) and node.output[0] not in made.layers)
    error = made.error if len(images) > 1 else None
    return Quantized(made.content, settings, ranges, len(images), layers, floating, balanced, made.corrected, error)


def costly_layers(content: bytes, images: Images, settings: Int8Settings) -> tuple[str, ...]:
    """The names of the layers that :func:`quantize` may have in INT8, those first that cost most.

    That is, without whose rounding alone the outputs are nearest to those in float32 on the second half of the images,
    two at least. Raises as :func:`quantize`.
    """
    return _trial(content, images, settings)[0].costly_layers


def _trial(content: bytes, images: Images, settings: Int8Settings) -> tuple[Trial, RangeMethod, int]:
    """The network with its best ranges, the method that found them, and how many tensors were balanced."""
    if len(images) == 0:
        raise DataError("INT8 needs images to find ranges from", hint="give some of the training split")
    _require_range(images)
    model = onnx.load_from_string(content)
    if any(is_of_integers(node) for node in model.graph.node):
        raise GdwsError("the network is already quantised", hint="give the network in floating point")
    axes = [axis.dim_value or None for axis in model.graph.input[0].type.tensor_type.shape.dim]
    require_shape("the calibration images", images.shape[1:], axes[1:])
    fold_batch_norms(model)
    fitted, held_out = images[::2], images[1::2]
    balanced = balance_channels(model, _channels(model, batches(fitted)))
    floating: bytes = model.SerializeToString(deterministic=True)
    points = find_points(model, settings.scheme, settings.skip)
    if not points.layers:
        raise GdwsError(
            "the network has no layer that can be quantised",
            hint="Conv, Gemm and MatMul nodes with constant weights can be, unless they are skipped",
        )
    found = observe(floating, batches(fitted), points.tensors)  # what takes another's scale may need its own
    methods = RANGE_METHODS if settings.ranges is None else (settings.ranges,)
    ranges = {method: {name: choose(values, method) for name, values in found.items()} for method in methods}
    trials = {
        method: Trial(floating, settings.scheme, settings.skip, ranges[method], fitted, held_out) for method in methods
    }
    best = methods[0] if len(methods) == 1 else min(methods, key=lambda method: trials[method].error())
    return trials[best], best, balanced


def _require_range(images: Images) -> None:
    """Raise :class:`~gdws.errors.DataError` for images that no range can be found from."""
    if not np.isfinite(images).all():
        raise DataError("the calibration images contain NaN or infinity", hint="check how they are prepared")
    if images.min() == images.max():
        raise DataError(
            f"all pixels of the calibration images are {images.min():g}, which says nothing of others",
            hint="give images as the network will meet them",
        )


def _channels(model: onnx.ModelProto, images: Sequence[Images]) -> dict[str, npt.NDArray[np.float32]]:
    """The largest absolute value in each channel of the tensors that may be balanced."""
    found = observe(model.SerializeToString(), images, balanced_tensors(model))
    return {name: each.channels for name, each in found.items() if each.channels is not None}
