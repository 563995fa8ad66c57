"""Running an ONNX file on this machine: by ONNX Runtime if it is there, else by ONNX's own evaluator."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx.reference import ReferenceEvaluator

from gdws.errors import first_line

Array = npt.NDArray[Any]


class CannotRun(Exception):
    """ONNX Runtime refuses the file or its inputs; the message is one line of its own."""


def run(content: bytes, batches: Sequence[Array]) -> list[Array]:
    """Return the first output for each of ``batches``, inputs (N, ...) of a network with one input.

    Raises :class:`CannotRun`.
    """
    # Read when the module is loaded, which would else keep a database in the home folder and report to its maker.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        import onnxruntime
    except ImportError:
        return _evaluate(content, batches)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.load_model_format", "ONNX")  # not its own, by the look of a few bytes
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        [given] = session.get_inputs()
        return [session.run(None, {given.name: batch})[0] for batch in batches]
    except Exception as error:  # its exceptions have no common base but this
        raise CannotRun(first_line(error)) from error


def _evaluate(content: bytes, batches: Sequence[Array]) -> list[Array]:
    try:
        evaluator = ReferenceEvaluator(content)
        [name] = evaluator.input_names
        return [np.asarray(evaluator.run(None, {name: batch})[0]) for batch in batches]  # type: ignore[index]
    except Exception as error:  # whatever its operators raise
        raise CannotRun(first_line(error)) from error
