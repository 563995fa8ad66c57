"""How many times as fast as dense does ``gdws optimize`` make robust networks, within a point of accuracy?

    python -m benchmarks.planning.goals NETWORK ... [--threads N|auto] [--distill STEPS] [--int8] [--state DIR]

Each network is given to the command as a user would: ``--fastest``, at most one point of natural and of robust accuracy
below dense, in ONNX Runtime at batch 1. ``--distill`` needs no labels; with ``--int8`` networks in INT8 take part, the
dense one among them. The answers are kept with the commands in
``goals.json`` beside this file, one for each network and options, and told in ``goals.md``; searches go on from
``--state``. Run it on a machine at rest.
"""

from __future__ import annotations

import argparse
import json
import lzma
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measured import machine, write_results
from gdws.results.report.optimisation import sentences
from gdws_contract.optimisation import Change, Optimisation, Rival

HERE = Path(__file__).resolve().parent
_ROOT = HERE.parents[1]
_DECLINED = 1
#: How many times as fast as the dense network in INT8 one is to be where networks in INT8 take part, by threads.
_WANTED_OVER_INT8: Mapping[str, float] = {"1": 1.6, "2": 1.4}


@dataclass(frozen=True)
class Subject:
    """A network, its images, and how many times as fast as dense it is to be on two threads, without labels."""

    path: str
    data: str
    wanted: float


SUBJECTS: Mapping[str, Subject] = {
    "mnist-preact-resnet": Subject("mnist-preact-resnet", "mnist-sample", 2.0),
    "mnist-wrn": Subject("benchmarks/networks/mnist-wrn.safetensors", "mnist-sample", 2.0),
    "fashion-mnist-preact-resnet18": Subject(
        "benchmarks/networks/fashion-mnist-preact-resnet18.safetensors", "fashion-mnist", 2.5
    ),
    "fashion-mnist-wrn": Subject("benchmarks/networks/fashion-mnist-wrn.safetensors", "fashion-mnist", 2.0),
}


def main(argv: Sequence[str]) -> int:
    """Search for each network, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="+", choices=list(SUBJECTS), metavar="NETWORK", help=", ".join(SUBJECTS))
    parser.add_argument("--threads", default="2", help="a number, or auto")
    parser.add_argument("--distill", type=int, default=240, metavar="STEPS")
    parser.add_argument("--int8", action="store_true", help="networks in INT8, too")
    parser.add_argument("--judgements", type=int, default=6, metavar="N")
    parser.add_argument("--state", type=Path, default=HERE / "state")
    options = parser.parse_args(argv)
    kept = HERE / "goals.json"
    goals = json.loads(kept.read_text())["goals"] if kept.exists() else {}
    for name in options.networks:
        here = machine()
        subject = SUBJECTS[name]
        tuning = [f"--distill={options.distill}"] if options.distill else []
        wanted = ["--fastest", "--max-natural-drop=1", "--max-robust-drop=1", f"--threads={options.threads}"]
        tuning += ["--int8"] if options.int8 else []
        effort = [f"--judgements={options.judgements}"]
        of_it = [f"--data={subject.data}", *wanted, *tuning, *effort]
        key = " ".join(["gdws", "optimize", subject.path, *of_it])
        found = _search(subject.path, of_it, options.state / name)
        goals[key] = {"network": name, "machine": here, "found": found.model_dump(mode="json")}
        results = {"goals": dict(sorted(goals.items()))}
        write_results(HERE, results, table(results["goals"]), name="goals")
    return 0


def _search(path: str, options: Sequence[str], state: Path) -> Optimisation:
    """The answer of the command. Raises CalledProcessError where there is none."""
    state.mkdir(parents=True, exist_ok=True)
    asked = ["optimize", _unpacked(path, state), *options]
    places = [f"--out={state / 'best.gdws'}", f"--state={state}", f"--known-costs={state / 'costs'}"]
    report = state / "report.html"
    done = subprocess.run(
        [sys.executable, "-m", "gdws", *asked, *places, f"--report={report}", "--json"],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode not in (0, _DECLINED):
        raise subprocess.CalledProcessError(done.returncode, asked)
    return Optimisation.model_validate_json(done.stdout)


def _unpacked(path: str, state: Path) -> str:
    """The file of a network, which may be kept packed as ``path.xz``."""
    packed = _ROOT / f"{path}.xz"
    if not packed.exists():
        return path
    plain = state / Path(path).name
    plain.write_bytes(lzma.decompress(packed.read_bytes()))
    return str(plain.resolve())


def table(goals: Mapping[str, Mapping[str, Any]]) -> str:
    """The answers in words."""
    lines = [
        "# As fast as the accuracy limits allow",
        "",
        "What `gdws optimize --fastest` delivers in ONNX Runtime at batch 1: at most one point of natural and of",
        "robust accuracy below the dense network, on test images. Choices are made on validation images; where the",
        "test images refuse a plan, at most two of less error are tried. Speed-ups are measured in turns with the",
        "dense network; intervals are 95 %. `wanted` is the goal without training: over dense on two threads, or over",
        "the fastest dense form where networks in INT8 take part.",
        "",
        "| network | setting | distilled | as fast as dense | as the fastest dense form | wanted | reached "
        "| natural lost | robust lost | MACs |",
        "|---|---|--:|---|---|--:|---|---|---|---|",
    ]
    notes = []
    for command, goal in goals.items():
        found = Optimisation.model_validate(goal["found"])
        lines.append(_row(command, goal["network"], found))
        notes += ["", f"`{command}`: {' '.join(sentences(found))}", f"{json.dumps(goal['machine'])}"]
    return "\n".join([*lines, *notes]) + "\n"


def _row(command: str, name: str, found: Optimisation) -> str:
    asked = dict(word.partition("=")[::2] for word in command.split() if word.startswith("--"))
    has_int8 = "--int8" in asked
    wanted = _wanted(name, asked["--threads"], has_int8=has_int8)
    aim = "–" if wanted is None else f"{wanted:g}"
    setting = f"{found.setting}{' and INT8' if has_int8 else ''}"
    head = f"| {name} | {setting} | {asked.get('--distill', '–')} |"
    if not found.delivered:
        return f"{head} dense is kept: {found.reason} | | {aim} | {'–' if wanted is None else 'no'} | | | |"
    best, rival = found.delivered[0], found.rival
    speedup = (best.speedup, best.speedup_low, best.speedup_high)
    over = (rival.gain, rival.gain_low, rival.gain_high) if has_int8 and rival is not None else None
    reached = "–" if wanted is None else _reached(over if has_int8 else speedup, wanted)
    times = f"{_times(speedup)}{', in INT8' if best.int8 else ', in FP32' if has_int8 else ''}"
    lost = f"{_points(best.final_natural)} | {_points(best.final_robust)}"
    return f"{head} {times} | {_over(over, rival)} | {aim} | {reached} | {lost} | {best.macs / 1e6:.1f} M |"


def _wanted(name: str, threads: str, *, has_int8: bool) -> float | None:
    """How many times as fast the network is to be, where something was aimed at."""
    if has_int8:
        return _WANTED_OVER_INT8.get(threads)
    return SUBJECTS[name].wanted if threads == "2" else None


_Times = tuple[float | None, float | None, float | None]


def _times(found: _Times) -> str:
    return "{:.2f} ({:.2f} to {:.2f})".format(*found)


def _over(found: _Times | None, rival: Rival | None) -> str:
    """How many times as fast as the fastest dense form; a dense form itself is no gain."""
    if found is None or rival is None:
        return "–"
    return "it is that form" if None in found else f"{_times(found)}, {rival.name}"


def _reached(found: _Times | None, wanted: float) -> str:
    """Whether the whole interval says so."""
    if found is None or found[1] is None or found[2] is None:
        return "no"
    if found[1] >= wanted:
        return "yes"
    return "no" if found[2] < wanted else "as far as measured"


def _points(change: Change | None) -> str:
    if change is None:
        return "–"
    return f"{change.points:+.1f} ({change.low:+.1f} to {change.high:+.1f}) of {change.images}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
