"""Does measuring in turns change what is measured? Each variant's median in turns against its median alone.

    python -m benchmarks.interleaving [--bundle model.gdws] [--repetitions 12] [--threads 1 2]

Each repetition starts the worker several times, in random order: once with all variants in turns, and twice with
each variant alone, so that ``alone / alone`` tells the noise. The ratios are formed within a repetition; their
medians come with 95 % intervals (order statistics).

The same with threads that spin between runs, the runtime's default, and with threads that never spin, shows why the
backend has them spin within a run alone. Writes ``results.json`` and ``results.md`` beside this file.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.measured import (
    in_words,
    machine,
    make_order,
    median_ratio,
    pack_bundle,
    run_worker,
    variants_of,
    write_results,
)
from gdws_agent.measuring.environment import usable_cores
from gdws_contract.rest import Protocol

HERE = Path(__file__).resolve().parent

_WITH_ENTRY = """
from gdws_agent.backends import onnxruntime as backend
agents_own = backend.session_options
def other(runtime, threads):
    options = agents_own(runtime, threads)
    options.add_session_config_entry("{}", "0")
    return options
backend.session_options = other
"""
#: When threads spin -> what makes it so, in the worker alone.
SPINNING = {
    "within a run": "",
    "always": _WITH_ENTRY.format("session.force_spinning_stop"),
    "never": _WITH_ENTRY.format("session.intra_op.allow_spinning"),
}
AGENTS_OWN = "within a run"


class Setting(NamedTuple):
    """How the sessions are set up."""

    threads: int
    spinning: str


class Arm(NamedTuple):
    """One kind of worker run: ``variants`` in turns, or one of them alone, for the first or the second time."""

    name: str
    variants: tuple[str, ...]


def measure(path: Path, setting: Setting, repetitions: int, duration_ms: float) -> list[dict[str, Any]]:
    """Return one row for each variant."""
    variants = variants_of(path)
    arms = [Arm("in turns", tuple(variants))]
    arms += [Arm(name, (variant,)) for name in ("alone", "alone again") for variant in variants]
    protocol = Protocol(
        rounds=10, min_duration_ms=duration_ms, min_iterations=10, warmup_max_ms=1_000, threads=setting.threads
    )
    medians_ms: dict[tuple[str, str], list[float]] = defaultdict(list)
    shuffled = random.Random(0)
    for _ in range(repetitions):
        for arm in shuffled.sample(arms, len(arms)):
            order = make_order(path, variants=arm.variants, protocol=protocol)
            for variant, cell in run_worker(order, SPINNING[setting.spinning]).items():
                assert cell.latency is not None
                medians_ms[arm.name, variant].append(cell.latency.median_ms)
    return [row(setting, variant, medians_ms) for variant in variants]


def row(setting: Setting, variant: str, medians_ms: dict[tuple[str, str], list[float]]) -> dict[str, Any]:
    """Return the comparison of one variant."""
    together, alone, again = (medians_ms[arm, variant] for arm in ("in turns", "alone", "alone again"))
    return {
        "variant": variant,
        **setting._asdict(),
        "repetitions": len(alone),
        "in_turns_ms": together,
        "alone_ms": alone,
        "alone_again_ms": again,
        "in_turns_over_alone": median_ratio(together, alone),
        "alone_again_over_alone": median_ratio(again, alone),
    }


def table(results: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    lines = [
        f"| {row['variant']} | {row['threads']} | {row['spinning']} | {min(row['alone_ms']):.3f} "
        f"| {in_words(row['in_turns_over_alone'])} | {in_words(row['alone_again_over_alone'])} |"
        for row in results["figures"]
    ]
    return "\n".join(
        [
            "# Measured in turns, against measured alone",
            "",
            "Median latency, batch 1. The ratios are medians over repetitions, with 95 % intervals.",
            "`alone again / alone` compares two runs of the same thing: what it differs from 1 is noise.",
            "The agent has threads spin within a run alone. Where they always may, the runtime's default, those of",
            "the other sessions take the cores from the one whose turn it is; where they never do, each operator",
            "waits for them to wake.",
            "",
            f"Machine: `{json.dumps(results['machine'])}`; {results['repetitions']} repetitions.",
            "",
            "| variant | threads | spinning | alone, least (ms) | in turns / alone | alone again / alone |",
            "|---|---|---|---|---|---|",
            *lines,
            "",
        ]
    )


def undisturbed(row: dict[str, Any]) -> bool:
    """Return whether in turns and alone agree within the noise."""
    found = row["in_turns_over_alone"]
    return bool(found["low"] <= 1 <= found["high"])


def main() -> int:
    """Measure, write the results, and return 1 when, as the agent measures, turns change a median beyond the noise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="the bundle to measure; without it one is made")
    parser.add_argument("--repetitions", type=int, default=12)
    parser.add_argument("--duration-ms", type=float, default=600.0, help="measured time of each variant in each run")
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, usable_cores()}))
    options = parser.parse_args()
    # A single thread never waits for another, so there is nothing to spin.
    settings = [Setting(threads, AGENTS_OWN) for threads in options.threads]
    others = [how for how in SPINNING if how != AGENTS_OWN]
    settings += [Setting(threads, how) for threads in options.threads if threads > 1 for how in others]
    with tempfile.TemporaryDirectory() as folder:
        path = options.bundle or Path(folder) / "model.gdws"
        if options.bundle is None:
            pack_bundle(path)
        results: dict[str, Any] = {
            "what": "medians of variants measured in turns and alone",
            "machine": machine(),
            "repetitions": options.repetitions,
            "figures": [
                row for setting in settings for row in measure(path, setting, options.repetitions, options.duration_ms)
            ],
        }
    write_results(HERE, results, table(results))
    return 0 if all(undisturbed(row) for row in results["figures"] if row["spinning"] == AGENTS_OWN) else 1


if __name__ == "__main__":
    sys.exit(main())
