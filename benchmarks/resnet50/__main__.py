"""How long does converting ResNet-50 at ImageNet size take, and how much memory?

    python -m benchmarks.resnet50 [--rounds 5] [--threads 2]

torchvision's ResNet-50 with random weights, on 3x224x224 images: the layers are looked into, a plan with mean rank 3 is
made, the factors are found and the network is rebuilt. Each round has a process of its own, which reports the time of
the conversion, without that of imports and of building the network, and the peak of its resident memory, with all of
it. Writes ``results.json`` and ``results.md`` beside this file. Returns 1 if a target is missed by the median.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

TARGET_S = 10.0
TARGET_MIB = 2048.0
MEAN_RANK = 3.0


def once() -> dict[str, Any]:
    """The figures of one conversion in this process; ``imported_mib`` is the peak before it."""
    import torch
    from torchvision.models import resnet50

    import gdws

    torch.manual_seed(0)
    model = resnet50(weights=None).eval()
    imported = peak_mib()
    start = time.perf_counter()
    _, plan = gdws.convert(model, mean_rank=MEAN_RANK, example_input=(3, 224, 224))
    seconds = time.perf_counter() - start
    totals = plan.totals
    return {
        "seconds": seconds,
        "peak_mib": peak_mib(),
        "imported_mib": imported,
        "layers": totals.layers,
        "converted": totals.converted,
        "parameters": [totals.parameters_dense, totals.parameters_gdws],
        "macs": [totals.macs_dense, totals.macs_gdws],
    }


def peak_mib() -> float:
    """The greatest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def measure(rounds: int, threads: int) -> list[dict[str, Any]]:
    """The figures of each round, a process each."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "benchmarks.resnet50", "--once"]
    runs = [
        subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True) for _ in range(rounds)
    ]
    return [json.loads(run.stdout) for run in runs]


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    figures = results["rounds"]
    first = figures[0]
    return "\n".join(
        [
            "# Converting ResNet-50 at ImageNet size",
            "",
            f"torchvision's ResNet-50, random weights, 3x224x224 images, mean rank {MEAN_RANK:g}, plan included;",
            f"{first['converted']} of {first['layers']} layers converted, {results['threads']} threads,",
            f"{len(figures)} rounds, each in a process of its own. Targets: {TARGET_S:g} s and {TARGET_MIB:g} MiB.",
            "",
            f"Machine: `{json.dumps(results['machine'])}`.",
            "",
            "| | median | least | greatest |",
            "|---|---|---|---|",
            _row("conversion (s)", [each["seconds"] for each in figures], 2),
            _row("peak resident memory (MiB)", [each["peak_mib"] for each in figures], 0),
            _row("of it before the conversion (MiB)", [each["imported_mib"] for each in figures], 0),
            "",
        ]
    )


def _row(what: str, values: list[float], digits: int) -> str:
    three = (statistics.median(values), min(values), max(values))
    return f"| {what} | " + " | ".join(f"{value:.{digits}f}" for value in three) + " |"


def main() -> int:
    """Measure, write the results, and return 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--once", action="store_true", help="convert in this process, and print JSON")
    options = parser.parse_args()
    if options.once:
        print(json.dumps(once()))
        return 0
    from benchmarks.measured import machine, write_results

    results = {
        "what": "conversion of ResNet-50 at ImageNet size, time and memory",
        "machine": machine(),
        "threads": options.threads,
        "targets": {"seconds": TARGET_S, "peak_mib": TARGET_MIB},
        "rounds": measure(options.rounds, options.threads),
    }
    write_results(HERE, results, table(results))
    seconds = statistics.median(each["seconds"] for each in results["rounds"])
    peak = statistics.median(each["peak_mib"] for each in results["rounds"])
    return 0 if seconds <= TARGET_S and peak <= TARGET_MIB else 1


if __name__ == "__main__":
    sys.exit(main())
