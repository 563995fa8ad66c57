"""A ``trtexec`` for tests: options, files and output of the real one of a release, times as a script says.

It refuses what that release does not know, an ONNX file that is none, and an engine that it did not write itself.
Its times are told by form and verbosity::

    program = install_trtexec(folder, release="8.5.2", compute_ms={("dense", "none"): 2.0, ("dense", "detailed"): 2.2})

Runs on Python 3.8, with the standard library and the agent's reader of ONNX alone.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Mapping, Optional, Tuple

_FLAGS = {"--fp16", "--noTF32", "--useSpinWait", "--help", "--int8", "--useCudaGraph", "--noDataTransfers"}
_VALUES = {
    "--onnx",
    "--saveEngine",
    "--loadEngine",
    "--shapes",
    "--memPoolSize",
    "--profilingVerbosity",
    "--warmUp",
    "--duration",
    "--iterations",
    "--exportTimes",
}
_COUNT = 20


def install_trtexec(
    folder: Path,
    *,
    release: str = "8.5.2",
    compute_ms: Optional[Mapping[Tuple[str, str], float]] = None,
    spin_ms: float = 0.0,
    exports: bool = True,
    fails: str = "",
) -> Path:
    """Write the program to ``folder`` and return its path.

    ``compute_ms`` is by (name of the ONNX file without its ending, verbosity); ``spin_ms`` is added when the host
    spins. Without ``exports`` it writes no file of times. ``fails``: what it says in place of running an engine.
    """
    script = {
        "release": release,
        "compute_ms": {"/".join(key): value for key, value in (compute_ms or {}).items()},
        "spin_ms": spin_ms,
        "exports": exports,
        "fails": fails,
    }
    program = folder / "trtexec"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path[:0] = {sys.path!r}\n"
        f"from support.fake_trtexec import main\nsys.exit(main({script!r}))\n"
    )
    program.chmod(0o755)
    return program


def main(script: dict) -> int:
    """Do what the command line asks, as the release does."""
    line = f"TensorRT.trtexec [TensorRT v{_number(script['release'])}]"
    print(f"&&&& RUNNING {line} # {' '.join(sys.argv)}")
    try:
        options = _parse(sys.argv[1:])
        if "--help" in options:
            print("=== Model Options ===\n  --onnx=<file>               ONNX model")
            return 0
        _run(script, options)
    except ValueError as error:
        print(f"[11/29/2026-10:00:00] [E] {error}")
        print(f"&&&& FAILED {line} # {' '.join(sys.argv)}")
        return 1
    print(f"&&&& PASSED {line} # {' '.join(sys.argv)}")
    return 0


def _number(release: str) -> str:
    """8.5.2 is v8502, 10.3.0 is v100300."""
    major, minor, patch = (int(part) for part in release.split("."))
    return str(major * 10_000 + minor * 100 + patch if major >= 10 else major * 1_000 + minor * 100 + patch)


def _parse(arguments: list) -> dict:
    options = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name not in (_VALUES if equals else _FLAGS):
            raise ValueError(f"Unknown option: {name} {value}")
        options[name] = value
    return options


def _run(script: dict, options: dict) -> None:
    verbosity = options.get("--profilingVerbosity", "layer_names_only")
    if verbosity not in ("none", "layer_names_only", "detailed"):
        raise ValueError(f"Unknown profilingVerbosity: {verbosity}")
    if "--loadEngine" in options:
        engine = json.loads(Path(options["--loadEngine"]).read_text())
        if engine["release"] != script["release"]:
            raise ValueError("The engine plan file is not compatible with this version of TensorRT")
        if engine["shapes"] != options.get("--shapes"):
            raise ValueError("Static dimension mismatch while setting input shape")
    else:
        engine = _build(script, options)
    if script["fails"]:
        raise ValueError(script["fails"])
    compute_ms = script["compute_ms"].get(f"{engine['model']}/{verbosity}", 1.0)
    if "--useSpinWait" in options:
        compute_ms += script["spin_ms"]
    _tell(script, options, compute_ms)


def _build(script: dict, options: dict) -> dict:
    from gdws_agent.backends.onnx_nodes import read_nodes

    model = Path(options["--onnx"])
    if not read_nodes(model.read_bytes()):
        raise ValueError(f"Failed to parse onnx file {model}")
    pool = options.get("--memPoolSize", "workspace:1")
    if not pool.startswith("workspace:") or not pool.partition(":")[2].isdigit():
        raise ValueError(f"Invalid --memPoolSize: {pool}")
    engine = {"model": model.stem, "release": script["release"], "shapes": options.get("--shapes")}
    if "--saveEngine" in options:
        Path(options["--saveEngine"]).write_text(json.dumps(engine))
    return engine


def _tell(script: dict, options: dict, compute_ms: float) -> None:
    """Print the summary and export the times; the first is an outlier, as it often is."""
    times = [10 * compute_ms] + [compute_ms] * (_COUNT - 1)
    if "--exportTimes" in options and script["exports"]:
        entries = [
            {
                "startEnqMs": 0,
                "endEnqMs": 0.1,
                "h2dMs": 0.01,
                "computeMs": each,
                "d2hMs": 0.01,
                "latencyMs": each + 0.02,
            }
            for each in times
        ]
        text = "[\n  " + "\n, ".join(json.dumps(entry) for entry in entries) + "\n]\n"
        Path(options["--exportTimes"]).write_text(text)
    stamp = "[11/29/2026-10:00:00] [I]"
    print(f"{stamp} === Performance summary ===")
    print(f"{stamp} Throughput: {1e3 / compute_ms:g} qps")
    for name, median in (
        ("Latency", compute_ms + 0.02),
        ("Enqueue Time", 0.1),
        ("H2D Latency", 0.01),
        ("GPU Compute Time", compute_ms),
        ("D2H Latency", 0.01),
    ):
        print(
            f"{stamp} {name}: min = {median:g} ms, max = {10 * median:g} ms, mean = {1.45 * median:g} ms, "
            f"median = {median:g} ms, percentile(90%) = {median:g} ms, percentile(95%) = {median:g} ms, "
            f"percentile(99%) = {10 * median:g} ms"
        )
    print(f"{stamp} Total Host Walltime: 3.0 s")
