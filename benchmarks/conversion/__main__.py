"""What data-aware conversion of a network of the paper's size takes: PreAct-ResNet-18 at 32x32 with 256 images.

    /usr/bin/time -v python -m benchmarks.conversion     # beside its own figures, those of the system

The weights are He-initialised and the images random: time and memory depend on shapes alone. The conversion is the
whole of ``gdws.convert``; calibration images under attack would be made before it, by ``gdws.pipeline``.

Writes ``results.json`` and ``results.md`` beside this file. Returns 1 unless it takes at most 3 minutes and 4 GB.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.measured import machine, write_results
from gdws import convert
from gdws.networks import zoo as nets

HERE = Path(__file__).resolve().parent

IMAGES, MEAN_RANK = 256, 2
MOST_S, MOST_GB = 180.0, 4.0


def measured() -> dict[str, Any]:
    """Seconds, and the most memory that the process held, in GB (10^9 bytes)."""
    network = nets.build("preact-resnet18").eval()
    images = torch.rand(IMAGES, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    began, spent = time.perf_counter(), time.process_time()
    _, plan = convert(network, mean_rank=MEAN_RANK, layout="stacked", data=images)
    return {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - spent,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "layers": len(plan.converted),
    }


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    found = results["found"]
    return "\n".join(
        [
            "# Data-aware conversion of PreAct-ResNet-18",
            "",
            f"{found['layers']} layers at mean rank {MEAN_RANK}, {IMAGES} images, {results['threads']} threads.",
            "",
            f"Machine: `{json.dumps(results['machine'])}`.",
            "",
            "| | measured | at most |",
            "|---|---|---|",
            f"| time | **{found['seconds']:.0f} s** ({found['cpu_seconds']:.0f} s on all cores) | {MOST_S:g} s |",
            f"| memory of the process | **{found['peak_gb']:.2f} GB** | {MOST_GB:g} GB |",
            "",
        ]
    )


def main() -> int:
    """Measure, write the results, and return 1 when the target is missed."""
    found = measured()
    results = {
        "what": "time and memory of data-aware conversion",
        "machine": {**machine(), "torch": torch.__version__},
        "threads": torch.get_num_threads(),
        "found": found,
    }
    write_results(HERE, results, table(results))
    return 0 if found["seconds"] <= MOST_S and found["peak_gb"] <= MOST_GB else 1


if __name__ == "__main__":
    sys.exit(main())
