"""``trtexec``, the reference that TensorRT brings along: how it is called, and what its output says.

From 8.5 to 10: defaults differ between releases, so everything that shapes a time is stated. trtexec 11 has no
``--fp16``, and its engines are strongly typed: it is not called.
"""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence, Tuple

from gdws_agent.first_run.deadline import Deadline
from gdws_agent.first_run.report import CheckFailed, CheckSkipped

from .program import Finished, run_program

NAME = "trtexec"
#: Where JetPack and the L4T images have it, outside of the PATH.
PLACES = ("/usr/src/tensorrt/bin/trtexec", "/opt/tensorrt/bin/trtexec", "/usr/local/tensorrt/bin/trtexec")
NEWEST_MAJOR = 10
#: As much as the agent's builder gets, so that both choose among the same kernels.
_WORKSPACE_MIB = 1_024

_VERSION = re.compile(r"\[TensorRT v(\d+(?:\.\d+)*)\]")
_SUMMARY = r"{name}:.*?\bmedian = ([\d.]+(?:e[+-]?\d+)?) ms"


class Timing(NamedTuple):
    """One run: medians in milliseconds, over ``inferences``; what was not told is None."""

    compute_ms: float
    enqueue_ms: Optional[float]
    inferences: Optional[int]


class Trtexec:
    """One trtexec; its files lie in ``folder``."""

    def __init__(self, program: Path, folder: Path, deadline: Deadline) -> None:
        self._program = program
        self._folder = folder
        self._deadline = deadline
        #: The command lines that were run, for whoever wants to repeat them.
        self.commands: List[str] = []

    def version(self) -> Tuple[int, ...]:
        """Return the version of TensorRT, e.g. (8, 5, 2).

        Raises:
            CheckFailed: it does not run. CheckSkipped: it is of a release that is called in another way.
        """
        finished = run_program([str(self._program), "--help"], self._deadline)
        version = parse_version(finished.output)
        if version is None:
            raise CheckFailed(
                f"{self._program.name} --help does not tell its release, exit status {finished.status}",
                "start the container with `runtime: nvidia`: trtexec needs the libraries of TensorRT and CUDA",
                log=finished.tail(),
            )
        if version[0] > NEWEST_MAJOR:
            raise CheckSkipped(f"trtexec of TensorRT {version[0]} has no --fp16: its engines are strongly typed")
        return version

    def build(self, model: Path, input_shape: str) -> Path:
        """Build an FP16 engine of the ONNX file ``model`` and return its file; ``input_shape`` as ``input:1x3x8x8``.

        It is built to tell all of its layers, as the agent's are.

        Raises:
            CheckFailed: it cannot be built.
        """
        engine = self._folder / f"{model.stem}.engine"
        # There is no option of all releases that builds alone: one inference is the shortest run.
        self._run(
            [
                f"--onnx={model}",
                f"--saveEngine={engine}",
                f"--shapes={input_shape}",
                "--fp16",
                "--noTF32",
                f"--memPoolSize=workspace:{_WORKSPACE_MIB}",
                "--profilingVerbosity=detailed",
                "--warmUp=0",
                "--duration=0",
                "--iterations=1",
            ]
        )
        return engine

    def time(self, engine: Path, input_shape: str, *, verbosity: str, spin: bool, duration_s: float) -> Timing:
        """Time ``engine`` with the transfers that the agent makes too.

        ``verbosity`` is what the execution context tells NVTX of each layer, which takes time; trtexec sets it from
        its option for builds. ``spin``: the host spins while it waits for the GPU.

        Raises:
            CheckFailed: it does not run, or tells no times.
        """
        times = engine.with_suffix(".json")
        finished = self._run(
            [
                f"--loadEngine={engine}",
                f"--shapes={input_shape}",
                f"--profilingVerbosity={verbosity}",
                "--warmUp=200",
                f"--duration={duration_s:g}",
                "--iterations=10",
                f"--exportTimes={times}",
                *(["--useSpinWait"] if spin else []),
            ]
        )
        timing = read_timing(finished.output, times)
        if timing is None:
            raise CheckFailed(
                "trtexec ended well and told no GPU compute time",
                "attach this report to an issue: its output has another form than is known",
                log=[self.commands[-1], *finished.tail()],
            )
        return timing

    def _run(self, options: Sequence[str]) -> Finished:
        command = [str(self._program), *options]
        self.commands.append(" ".join(command))
        finished = run_program(command, self._deadline)
        if finished.status != 0:
            raise CheckFailed(
                f"trtexec failed with exit status {finished.status}",
                "the end of its output is in the report; `sudo dmesg` on the host shows whether the GPU faulted",
                log=[self.commands[-1], *finished.tail()],
            )
        return finished


def parse_version(output: str) -> Optional[Tuple[int, ...]]:
    """Return the version in trtexec's first line: ``v8502`` is 8.5.2, ``v100300`` is 10.3.0, some write dots."""
    found = _VERSION.search(output)
    if found is None:
        return None
    text = found.group(1)
    if "." in text:
        return tuple(int(part) for part in text.split("."))
    number = int(text)
    if number >= 10_000:
        return number // 10_000, number // 100 % 100, number % 100
    return number // 1_000, number // 100 % 10, number % 100


def read_timing(output: str, exported: Path) -> Optional[Timing]:
    """Return the times of ``--exportTimes``, else those of the summary that was printed; None where neither tells."""
    enqueue_ms = _median(output, "Enqueue Time")
    try:
        compute_ms = [float(each["computeMs"]) for each in json.loads(exported.read_text())]
    except (OSError, ValueError, KeyError, TypeError):
        compute_ms = []
    if compute_ms:
        return Timing(statistics.median(compute_ms), enqueue_ms, len(compute_ms))
    printed_ms = _median(output, "GPU Compute Time") or _median(output, "GPU Compute")
    return None if printed_ms is None else Timing(printed_ms, enqueue_ms, None)


def _median(output: str, name: str) -> Optional[float]:
    found = re.search(rf"\] {_SUMMARY.format(name=name)}", output)
    return None if found is None else float(found.group(1))
