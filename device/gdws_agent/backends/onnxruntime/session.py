"""Sessions of ONNX Runtime: loading it, setting one up, and checking what it read."""

from __future__ import annotations

import os
from typing import Any, List

from gdws_agent.backends.base import EngineSpec
from gdws_agent.backends.interface import Tensor, check_interface
from gdws_agent.errors import BackendUnavailable

CPU = "CPUExecutionProvider"
INSTALL_HINT = 'install it into the agent\'s environment: pip install "gdws-agent[onnxruntime]"'

#: Read when the module is loaded. Late releases for Linux (1.31 is one) keep a database in the home folder
#: and send what they see of models to their maker; ``disable_telemetry_events()`` comes too late for that. And a model
#: must not choose the settings of its session.
RUNTIME_ENVIRONMENT = {"ORT_DISABLE_TELEMETRY": "1", "ORT_LOAD_CONFIG_FROM_MODEL": "0"}

_NUMPY_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}


def load_runtime(hint: str = INSTALL_HINT) -> Any:
    """Return the module ``onnxruntime``, with its telemetry off.

    Raises:
        BackendUnavailable: it cannot be imported; ``hint`` goes with it.
    """
    os.environ.update(RUNTIME_ENVIRONMENT)
    try:
        import onnxruntime
    except Exception as error:  # also what a broken installation raises: a missing library, an ABI that differs
        raise BackendUnavailable(f"onnxruntime cannot be loaded: {error}", hint=hint) from error
    return onnxruntime


def session_options(runtime: Any, threads: int) -> Any:
    """All graph optimisations, one operator at a time on ``threads`` threads, which spin within a run alone.

    By default a session's threads go on to spin after a run, waiting for the next. With several sessions alive, that
    takes the cores from the one whose turn it is: measured in turns, networks then seem up to twice as slow as alone.
    Without any spinning, each operator would pay for waking the threads; so it is the run that does, once.
    """
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.force_spinning_stop", "1")
    # And not its own format, which it would take for one by a few bytes: that is not what was checked.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.log_severity_level = 4  # errors are raised, and need not be printed too
    return options


def options_in_words(provider: str, threads: int) -> List[str]:
    """Return what :func:`session_options` sets, as name=value."""
    return [
        f"provider={provider}",
        f"intra_op_threads={threads}",
        "inter_op_threads=1",
        "execution_mode=sequential",
        "graph_optimization=all",
        "force_spinning_stop=1",
    ]


def check_session(session: Any, spec: EngineSpec) -> None:
    """Pass a session whose inputs and outputs are those of ``spec``.

    Raises:
        BuildFailed: they are not.
    """
    inputs = [
        Tensor(
            node.name,
            _NUMPY_TYPES.get(node.type, node.type),
            [axis if isinstance(axis, int) else None for axis in node.shape],
        )
        for node in session.get_inputs()
    ]
    check_interface(inputs, [output.name for output in session.get_outputs()], spec)
