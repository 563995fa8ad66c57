"""Running an ONNX file on this machine: by ONNX Runtime if it is there, else by ONNX's own evaluator."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx.reference import ReferenceEvaluator

from gdws.errors import first_line

Array = npt.NDArray[Any]


class CannotRun(Exception):
    """ONNX Runtime refuses the file or its inputs; the message is one line of its own."""


class Runner:
    """An ONNX file made ready to run; ``inputs`` are the names of its inputs. Raises :class:`CannotRun`."""

    def __init__(self, content: bytes) -> None:
        # Read when the module is loaded, which would else keep a database in the home folder and report to its maker.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        try:
            import onnxruntime
        except ImportError:
            evaluator = _guarded(lambda: ReferenceEvaluator(content))
            self.inputs = list(evaluator.input_names)
            self._run = evaluator.run
            return
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.add_session_config_entry("session.load_model_format", "ONNX")  # not its own, by the look of a few bytes
        session = _guarded(lambda: onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"]))
        self.inputs = [given.name for given in session.get_inputs()]
        self._run = session.run

    def __call__(self, feeds: Mapping[str, Array]) -> list[Array]:
        """All outputs for these inputs by name. Raises :class:`CannotRun`."""
        return [np.asarray(each) for each in _guarded(lambda: self._run(None, dict(feeds)))]


def run(content: bytes, batches: Sequence[Array]) -> list[Array]:
    """Return the first output for each of ``batches``, inputs (N, ...) of a network with one input.

    Raises :class:`CannotRun`.
    """
    runner = Runner(content)
    return [runner(dict.fromkeys(runner.inputs, batch))[0] for batch in batches]


def _guarded(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:  # the exceptions of ONNX Runtime, and of the evaluator's operators, share no other base
        raise CannotRun(first_line(error)) from error
