"""Runs the backend's builder on the real builder of TensorRT-RTX, in a process of its own.

TensorRT and torch bring libraries of the same names, and a crash in either should end one test alone. Run as a
script, it reads the orders, a JSON list, from standard input, and writes the results to standard output.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ABSENT = "tensorrt-rtx-cu12-bindings and tensorrt-rtx-cu12-libs are not installed: there is no real builder to run"
_TIMEOUT_S = 120


def is_installed() -> bool:
    """Whether the real builder is here."""
    return find_spec("tensorrt_rtx_bindings") is not None


def build_all(
    folder: Path,
    models,
    *,
    shape,
    classes,
    precision="fp32",
    timings=b"",
    dtype="float32",
    batch_sizes=(),
    free_bytes=2**60,
    **engine,
):
    """Build each of ``models``, ONNX bytes, for two images of ``shape``; return one dict of results for each.

    ``free_bytes`` is what the GPU is said to have. ``engine`` are fields of EngineOptions. A result has either
    ``error``, ``message`` and ``hint``, or ``engine_bytes``, ``timing_bytes``, ``notes``, the configuration in force
    and ``words``, the options as they are told.
    """
    orders = []
    for index, content in enumerate(models):
        path = folder / f"{index}.onnx"
        path.write_bytes(content)
        orders.append(
            {
                "model": str(path),
                "shape": list(shape),
                "classes": classes,
                "precision": precision,
                "timings": timings.hex(),
                "dtype": dtype,
                "batch_sizes": list(batch_sizes),
                "free_bytes": free_bytes,
                "engine": engine,
            }
        )
    done = subprocess.run(
        [sys.executable, __file__], input=json.dumps(orders), capture_output=True, text=True, timeout=_TIMEOUT_S
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _build(trt, log, order):
    from gdws_agent.backends.base import EngineSpec
    from gdws_agent.backends.cuda.context import FreeMemory
    from gdws_agent.backends.tensorrt.builder import build_plan, check_release
    from gdws_agent.backends.tensorrt.options import BuilderOptions
    from gdws_agent.backends.tensorrt.progress import timeout_in_words
    from gdws_agent.errors import BackendError
    from gdws_contract.engines import EngineOptions
    from gdws_contract.manifest import OutputSpec, TensorSpec

    spec = EngineSpec(
        precision=order["precision"],
        batch_size=2,
        input=TensorSpec(name="input", shape=order["shape"], dtype=order["dtype"]),
        outputs=(OutputSpec(name="logits", shape=[order["classes"]]),),
        threads=1,
        cache_dir=Path("unused"),
        options=EngineOptions(**order["engine"]),
        batch_sizes=tuple(order["batch_sizes"]),
    )
    seen = {}

    def prepare(config):
        """Name a GPU, since there is none; the oldest that is both near Orin's and known to TensorRT-RTX."""
        config.num_compute_capabilities = 1
        config.set_compute_capability(trt.ComputeCapability.SM89, 0)
        seen["workspace_bytes"] = config.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE)
        seen["optimization_level"] = config.builder_optimization_level
        seen["avg_timing_iterations"] = config.avg_timing_iterations
        seen["tf32"] = config.get_flag(trt.BuilderFlag.TF32)
        seen["profiles"] = config.num_optimization_profiles

    check_release(trt)
    try:
        timings = bytes.fromhex(order["timings"])
        plan = build_plan(
            trt,
            log,
            Path(order["model"]).read_bytes(),
            spec,
            timing_cache=timings,
            free_memory=lambda: FreeMemory(order["free_bytes"], shared=True),
            prepare=prepare,
        )
    except BackendError as error:
        return {"error": type(error).__name__, "message": error.message, "hint": error.hint}
    return {
        "engine_bytes": len(plan.engine),
        "timing_bytes": len(plan.timing_cache),
        "notes": plan.notes,
        **seen,
        "words": [*BuilderOptions.of(spec).in_words(trt), timeout_in_words(trt, spec.options.build_timeout_s)],
    }


def _main() -> None:
    import tensorrt_rtx_bindings as trt

    from gdws_agent.backends.tensorrt.log import Log

    log = Log(trt)
    json.dump([_build(trt, log, order) for order in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    _main()
