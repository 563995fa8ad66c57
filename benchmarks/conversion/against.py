"""CPU time of data-aware conversion against the code of another commit, in turns.

    git worktree add /tmp/before COMMIT
    python -m benchmarks.conversion.against --before /tmp/before [--case shipped] [--case deep] [--rounds 3]

Each conversion runs in a process of its own on one thread, and the two codes take turns, so both meet the same state of
the machine. What counts is the CPU time of the conversion itself (user and system), which holds on a busy machine too,
where wall time does not; what two conversions share of a core's caches still shows.

The factors are the same up to rounding, which a test shows in double precision. In single precision rounding decides
where the alternating least squares end: the same images in another order move a layer's weights by a quarter, with
either code. What can be compared is how far the converted network is from the dense one on images that it was not
fitted to.

Writes ``against.json`` and ``against.md`` beside this file. Returns 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

ROOT = HERE.parents[1]


@dataclass(frozen=True)
class Case:
    """A network to convert at mean rank 2, and how many times faster than before it should be."""

    title: str
    images: int
    times: float


CASES = {
    "shipped": Case("`mnist-preact-resnet` as it ships, 12 layers", 1024, 5.0),
    "deep": Case("a PreAct-ResNet of 50 layers, widths 16, 32 and 64, random weights", 512, 8.0),
}
#: The share of the logits' variance that is lost may grow by this.
ROUNDING = 1.1
TEST_IMAGES = 500


def convert_once(name: str) -> None:
    """Convert in this process, with whichever gdws is on the path; print the seconds and how far the logits are off."""
    import torch

    from gdws import convert, datasets

    checkpoints = _first_of("gdws.networks.checkpoints", "gdws.checkpoints")
    nets = _first_of("gdws.networks.zoo", "gdws.nets")
    preact_resnet = _first_of("gdws.networks.zoo.preact_resnet", "gdws.nets.preact_resnet")
    data = datasets.load("mnist-sample")
    images, held_out = data.train.first(CASES[name].images).images, data.test.first(TEST_IMAGES).images
    torch.manual_seed(0)
    make: dict[str, Callable[[], torch.nn.Module]] = {
        "shipped": lambda: checkpoints.load(nets.pretrained_path("mnist-preact-resnet")),
        "deep": lambda: preact_resnet.PreActResNet(blocks=(8, 8, 8), widths=(16, 32, 64), in_channels=1, classes=10),
    }
    network = make[name]().eval()
    convert(network, mean_rank=2, data=images[:12])  # what is imported and set up at the first call is not measured
    began, spent = time.perf_counter(), time.process_time()
    converted, plan = convert(network, mean_rank=2, data=images)
    figures = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - spent}
    with torch.no_grad():
        wanted, found = network(held_out), converted.eval()(held_out)
    lost = float((found - wanted).square().sum() / (wanted - wanted.mean(0)).square().sum())
    print(json.dumps({**figures, "lost": lost, "layers": len(plan.converted)}))


def _first_of(*names: str) -> Any:
    """The first of the modules that there is: another commit may have it elsewhere."""
    found = next((name for name in names if importlib.util.find_spec(name.rpartition(".")[0])), names[-1])
    return importlib.import_module(found)


def run(name: str, code: Path) -> dict[str, Any]:
    """The figures of one conversion with the code in a folder that has ``host`` and ``device``."""
    path = os.pathsep.join(str(code / part) for part in ("host", "device"))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.conversion.against", "--once", name]
    found = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(found.stdout))


def compare(name: str, before: Path, rounds: int) -> dict[str, Any]:
    """CPU seconds of both codes in ``rounds`` rounds, their ratios, and what is lost of the logits."""
    codes = {"before": before, "now": ROOT}
    runs: dict[str, list[dict[str, Any]]] = {each: [] for each in codes}
    for number in range(rounds):
        for each in sorted(codes, reverse=number % 2 == 1):
            runs[each].append(run(name, codes[each]))
            print(f"{name}, round {number + 1}, {each}: {runs[each][-1]}", file=sys.stderr, flush=True)
    figures = {each: [found["cpu_seconds"] for found in runs[each]] for each in codes}
    ratios = [old / new for old, new in zip(figures["before"], figures["now"], strict=True)]
    return {
        "cpu_seconds": figures,
        "ratios": ratios,
        "ratio": statistics.median(ratios),
        "layers": runs["now"][-1]["layers"],
        "lost": {each: runs[each][-1]["lost"] for each in codes},
        "load_average_after": round(os.getloadavg()[0], 1),
    }


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "# Data-aware conversion against the code before",
        "",
        "CPU seconds (user and system) of one conversion at mean rank 2 on one thread, medians of rounds in turns; the "
        f"code before is commit {results['before']}. {_how_busy(results)}",
        "",
        f"Machine: `{json.dumps(results['machine'])}`.",
        "",
        "| network | images | layers | before | now | times faster | target | lost before | lost now |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, found in results["cases"].items():
        case = CASES[name]
        before, now = (statistics.median(found["cpu_seconds"][each]) for each in ("before", "now"))
        spread = f"{min(found['ratios']):.1f} to {max(found['ratios']):.1f} in {len(found['ratios'])} rounds"
        spread = spread if len(found["ratios"]) > 1 else "one round"
        lines.append(
            f"| {case.title} | {case.images:,} | {found['layers']} | {before:.1f} | {now:.1f} | "
            f"**{found['ratio']:.1f}** ({spread}) | {case.times:g} | {found['lost']['before']:.2%} | "
            f"{found['lost']['now']:.2%} |"
        )
    lines += ["", f"Lost: of the variance of the logits of the dense network, on {TEST_IMAGES} test images."]
    return "\n".join([*lines, ""])


def _how_busy(results: dict[str, Any]) -> str:
    loads = [found["load_average_after"] for found in results["cases"].values()]
    cores = results["machine"]["logical_cores"]
    if max(loads) <= cores:
        return "The machine was at rest."
    return (
        f"**The machine was busy**, with a load average of up to {max(loads):g} on {cores} cores: wall time means "
        "nothing then, and CPU time is higher than at rest for both."
    )


def main() -> int:
    """Measure the cases that are asked for, write all results, and return 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="a checkout of the commit to compare with")
    parser.add_argument("--case", action="append", choices=list(CASES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--once", choices=list(CASES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        convert_once(options.once)
        return 0
    if options.before is None:
        parser.error("--before is needed")
    import torch

    from benchmarks.measured import machine

    stored = HERE / "against.json"
    cases = json.loads(stored.read_text())["cases"] if stored.exists() else {}
    for name in options.case or CASES:
        cases[name] = compare(name, options.before.resolve(), options.rounds)
    commit = subprocess.check_output(["git", "-C", options.before, "rev-parse", "--short", "HEAD"], text=True)
    results = {
        "what": "CPU time of data-aware conversion against the code before",
        "before": commit.strip(),
        "machine": {**machine(), "torch": torch.__version__},
        "cases": cases,
    }
    stored.write_text(json.dumps(results, indent=2) + "\n")
    (HERE / "against.md").write_text(table(results))
    print(table(results))
    reached = (cases[name]["ratio"] >= CASES[name].times for name in cases)
    same = (found["lost"]["now"] <= ROUNDING * found["lost"]["before"] for found in cases.values())
    return 0 if all(reached) and all(same) else 1


if __name__ == "__main__":
    sys.exit(main())
