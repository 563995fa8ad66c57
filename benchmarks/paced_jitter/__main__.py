"""How late does the generator of paced arrivals begin by itself? Jitter at 30, 60 and 120 Hz, less than three minutes.

    python -m benchmarks.paced_jitter [--bundle model.gdws] [--seconds 35] [--rates 30 60 120]

The real measuring process of the agent serves a network at each rate. Jitter is by how much an arrival that found the
device free was begun late: that is the generator and the operating system, not the network. Beside it the generator
runs alone, in this process, with nothing to serve: what differs is what the network leaves behind, such as cold caches
and threads that have yet to go to sleep. The limit is for a machine at rest: the share of the processors that others
took is stated. Writes ``results.json`` and ``results.md`` beside this file, and returns 1 if the limit is passed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measured import machine, make_order, pack_bundle, run_worker, write_results
from gdws_agent.measuring.arrivals import WAITS_BY, HostClock, at_rate, serve
from gdws_agent.measuring.environment import usable_cores
from gdws_agent.measuring.paced import JITTER_P99_MS, jitter
from gdws_contract.pacing import Jitter, Pacing
from gdws_contract.rest import Protocol

HERE = Path(__file__).resolve().parent

VARIANT = "dense"
#: The generator alone needs fewer arrivals: 100 of them have a 99th percentile.
_SECONDS_ALONE = 8.0
#: Flags that say that the machine was not at rest.
_DISTURBED = ("other-load", "stolen-time", "throttled")


def through_worker(bundle: Path, rate_hz: float, seconds: float) -> dict[str, Any]:
    """Return the jitter of the agent's measuring process at ``rate_hz``, and what disturbed it."""
    protocol = Protocol(rounds=2, min_duration_ms=200, min_iterations=10, warmup_max_ms=1_000, threads=1)
    order = make_order(bundle, variants=[VARIANT], protocol=protocol)
    pacing = Pacing(rate_hz=rate_hz, duration_ms=1e3 * seconds)
    cell = run_worker(order.model_copy(update={"pacing": pacing}))[VARIANT]
    run = None if cell.paced is None else cell.paced.run
    if run is None:
        raise RuntimeError(f"nothing was paced: {[flag.detail for flag in cell.flags]}")
    return {
        "rate_hz": rate_hz,
        "arrivals": run.arrivals,
        "missed": run.missed.successes,
        "utilisation": run.utilisation,
        "p999_latency_ms": run.p999_ms,
        "jitter": figures(run.jitter),
        "disturbed_by": [flag.detail for flag in cell.flags if flag.code in _DISTURBED],
    }


def alone(rate_hz: float) -> dict[str, Any]:
    """Return the jitter of the generator with nothing to serve."""
    log = serve(lambda: None, at_rate(rate_hz, 1e3 * _SECONDS_ALONE), round(1e9 / rate_hz), HostClock())
    return figures(jitter(log))


def figures(found: Jitter | None) -> dict[str, Any]:
    """Return ``found`` as plain values; raises RuntimeError where no arrival found the device free."""
    if found is None:
        raise RuntimeError("no arrival found the device free: the machine is too busy, or the rate too high")
    return found.model_dump()


def table(results: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    lines = [
        f"| {row['rate_hz']:g} | {row['jitter']['count']:,} of {row['arrivals']:,} | {in_ms(row['jitter'])} "
        f"| {in_ms(row['alone'])} | {row['missed']} |"
        for row in results["figures"]
    ]
    disturbances = dict.fromkeys(each for row in results["figures"] for each in row["disturbed_by"])
    busy = [f"**The machine was not at rest: {'; '.join(disturbances)}.** The limit does not apply."]
    return "\n".join(
        [
            "# Jitter of paced arrivals",
            "",
            "By how much the generator began late, where an arrival found the device free: median, 99th percentile and",
            f"maximum in milliseconds. The limit at the 99th percentile on a machine at rest is {JITTER_P99_MS:g} ms;",
            "above it, results carry the flag `late-generator`. Alone: the same generator with nothing to serve.",
            "",
            f"The generator {results['waits_by']}.",
            "",
            f"Machine: `{json.dumps(results['machine'])}`",
            *(["", *busy] if disturbances else []),
            "",
            "| rate (Hz) | arrivals that found it free | median, p99, max (ms) | alone: median, p99, max | missed |",
            "|---|---|---|---|---|",
            *lines,
            "",
        ]
    )


def in_ms(found: dict[str, Any]) -> str:
    """Return median, 99th percentile and maximum."""
    p99 = "–" if found["p99_ms"] is None else f"{found['p99_ms']:.3f}"
    return f"{found['median_ms']:.4f}, **{p99}**, {found['max_ms']:.3f}"


def is_within(results: dict[str, Any]) -> bool:
    """Return whether every rate has a 99th percentile, and that is within the limit."""
    found = [row["jitter"]["p99_ms"] for row in results["figures"]]
    return all(p99 is not None and p99 <= JITTER_P99_MS for p99 in found)


def main() -> int:
    """Measure, write the results, and return 1 when the limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help=f"a bundle with a variant {VARIANT!r}; default: make one")
    parser.add_argument("--seconds", type=float, default=35.0, help="of arrivals at each rate")
    parser.add_argument("--rates", type=float, nargs="+", default=[30.0, 60.0, 120.0], metavar="HZ")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle = options.bundle or Path(folder) / "model.gdws"
        if options.bundle is None:
            pack_bundle(bundle)
        before = machine()
        rows = []
        for rate_hz in options.rates:
            rows.append({**through_worker(bundle, rate_hz, options.seconds), "alone": alone(rate_hz)})
            print(f"{rate_hz:g} Hz: {in_ms(rows[-1]['jitter'])} ms; alone {in_ms(rows[-1]['alone'])} ms", flush=True)
    results = {
        "what": "lateness of the generator of paced arrivals, in milliseconds",
        "machine": {**before, "usable_cores": usable_cores()},
        "limits": {"p99_ms": JITTER_P99_MS},
        "waits_by": WAITS_BY,
        "figures": rows,
    }
    write_results(HERE, results, table(results))
    return 0 if is_within(results) else 1


if __name__ == "__main__":
    sys.exit(main())
