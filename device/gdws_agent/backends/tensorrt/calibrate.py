"""INT8 ranges found from example inputs, by the entropy calibrator of TensorRT 8.5 to 10.

A network that carries its own ranges (QuantizeLinear and DequantizeLinear nodes) needs none of this.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Iterator, List, Optional

from gdws_agent.backends.errors import typed
from gdws_agent.errors import BuildFailed, PrecisionUnsupported

if TYPE_CHECKING:
    import numpy as np
    from tensorrt import IInt8EntropyCalibrator2

#: Inputs run at a time; the ranges do not depend on it.
_BATCH_SIZE = 8


class Calibration:
    """Example inputs (N, C, H, W), and the table of ranges that TensorRT makes of them.

    ``table`` is one that an earlier build with the same network and inputs left, or empty; after a build it is
    the one in force.
    """

    def __init__(self, cuda: Any, inputs: np.ndarray, table: bytes = b"") -> None:
        import numpy as np

        if not len(inputs):
            raise ValueError("there are no inputs to calibrate with")
        self.table = table
        self._cuda = cuda
        self._inputs = np.ascontiguousarray(inputs)
        self._error: Optional[Exception] = None

    def __len__(self) -> int:
        return len(self._inputs)

    def batch_size(self, fixed: Optional[int]) -> int:
        """Return how many inputs are run at a time: ``fixed`` where the network allows only that."""
        return fixed or min(_BATCH_SIZE, len(self._inputs))

    @contextmanager
    def calibrator(self, trt: Any, name: str, batch_size: int) -> Iterator[IInt8EntropyCalibrator2]:
        """Lend the calibrator for one build, for the network's input ``name``; its memory is freed afterwards.

        Raises:
            OutOfMemory, BuildFailed: the inputs could not be brought to the GPU. TensorRT builds on with those
                that it got, so this is raised at the end of the build, whatever came of it.
        """
        try:
            memory = self._cuda.mem_alloc(batch_size * self._inputs[0].nbytes)
        except self._cuda.Error as error:
            raise typed(error, BuildFailed, "there is no room for calibration inputs") from error
        self._error = None
        try:
            yield _make_calibrator(trt, self, name, _Feed(self._cuda, memory, self._inputs, batch_size))
        finally:
            memory.free()
        if self._error is not None:
            raise typed(self._error, BuildFailed, "calibration failed") from self._error

    def note(self, error: Exception) -> None:
        """Keep what went wrong within a call of TensorRT's, which would swallow it."""
        self._error = error


def check_calibration(trt: Any, calibration: Optional[Calibration]) -> Calibration:
    """Return ``calibration`` for a network without ranges of its own.

    Raises:
        PrecisionUnsupported: this release finds no ranges by itself. BuildFailed: there are no inputs.
    """
    if not hasattr(trt, "IInt8EntropyCalibrator2"):
        raise PrecisionUnsupported(
            f"TensorRT {trt.__version__} does not calibrate, and the model carries no ranges for int8",
            hint="quantise the model before export: every release reads QuantizeLinear and DequantizeLinear nodes",
        )
    if calibration is None:
        raise BuildFailed(
            "int8 needs inputs to calibrate with, and there are none",
            hint="pack the bundle with a verification set, or quantise the model before export",
        )
    return calibration


class _Feed:
    """Inputs in batches, each brought to the same place on the GPU. The last is filled up from the first inputs."""

    def __init__(self, cuda: Any, memory: Any, inputs: np.ndarray, batch_size: int) -> None:
        self.batch_size = batch_size
        self._cuda = cuda
        self._memory = memory
        self._inputs = inputs
        self._next = 0

    def next(self) -> List[int]:
        """Return the address of the next batch, or nothing after the last."""
        if self._next >= len(self._inputs):
            return []
        places = range(self._next, self._next + self.batch_size)
        self._cuda.memcpy_htod(self._memory, self._inputs.take(places, axis=0, mode="wrap"))
        self._next += self.batch_size
        return [int(self._memory)]


def _make_calibrator(trt: Any, calibration: Calibration, name: str, feed: _Feed) -> IInt8EntropyCalibrator2:
    class Calibrator(trt.IInt8EntropyCalibrator2):  # type: ignore[misc]  # its base is known at run time alone
        def __init__(self) -> None:
            super().__init__()

        def get_batch_size(self) -> int:
            return feed.batch_size

        def get_batch(self, names: List[str]) -> List[int]:
            if names != [name]:
                calibration.note(ValueError(f"the network takes {names}, the inputs are for {name!r}"))
                return []
            try:
                return feed.next()
            except Exception as error:
                calibration.note(error)
                return []

        def read_calibration_cache(self) -> Optional[bytes]:
            return calibration.table or None

        def write_calibration_cache(self, cache: Any) -> None:
            calibration.table = bytes(cache)

    made: IInt8EntropyCalibrator2 = Calibrator()
    return made
