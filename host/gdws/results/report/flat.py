"""The report for programs: JSON with everything that is computed, CSV with a row for each cell."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter

from gdws.results.report.figures import Facts, Measurement
from gdws.results.report.open_loop import highest_rate, paced_run
from gdws.results.report.summary import Summary
from gdws_contract.findings.attacks import square_words

#: History of the format: 1, first version. Fields may be added within a version.
SCHEMA_VERSION = 1

_COLUMNS = (
    "bundle", "device", "simulated", "variant", "backend", "precision", "batch_size", "state", "reason",
    "count", "median_ms", "mean_ms", "p90_ms", "p95_ms", "p99_ms", "fps", "speedup", "speedup_low", "speedup_high",
    "natural", "robust", "device_natural", "device_robust", "parity", "parameters", "macs", "power_w", "flags",
    "power_mode", "jetson_clocks", "power_reason", "idle_w", "energy_mj", "energy_low_mj", "energy_high_mj",
    "net_energy_mj", "fps_per_watt", "throttled", "temperature_max_c", "h2d_ms", "compute_ms", "d2h_ms", "burst_fps",
    "sustained_fps", "build_s", "engine_bytes", "builds", "builds_best_ms", "builds_worst_ms", "robust_trusted",
    "agreement", "metrics", "paced_hz", "deadline_ms", "miss_rate", "longest_miss_burst", "paced_median_ms",
    "paced_p99_ms", "paced_p999_ms", "generator_p99_ms", "highest_hz", "host_peak_bytes", "device_peak_bytes",
    "total_peak_bytes", "attack", "attack_robust", "attack_low", "attack_high", "attack_both", "attack_queries",
)  # fmt: skip


def render_json(summaries: Sequence[Summary]) -> str:
    """``{"schema_version": 1, "results": [...]}``: verdicts, doubts and all figures. Unknown is null."""
    results = TypeAdapter(list[Summary]).dump_python(list(summaries), mode="json")
    return json.dumps({"schema_version": SCHEMA_VERSION, "results": results}, indent=1, ensure_ascii=False) + "\n"


def render_csv(summaries: Sequence[Summary]) -> str:
    """A header and a row for each cell of each result. Unknown is an empty field; shares are of 1."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for summary in summaries:
        for measurement in summary.facts.measurements:
            writer.writerow({key: _plain(value) for key, value in _row(summary.facts, measurement).items()})
    return buffer.getvalue()


def _row(facts: Facts, m: Measurement) -> dict[str, Any]:
    variant, t, parity = facts.variant(m.variant), m.latency, m.parity
    interval = m.speedup.interval if m.speedup else None
    return {
        "bundle": facts.name,
        "device": facts.circumstances.device.hostname,
        "simulated": m.simulated,
        "variant": m.variant,
        "backend": m.setting.backend,
        "precision": m.setting.precision,
        "batch_size": m.setting.batch_size,
        "state": m.state,
        "reason": m.reason,
        "count": t.count if t else None,
        "median_ms": t.median_ms if t else None,
        "mean_ms": t.mean_ms if t else None,
        "p90_ms": t.p90_ms if t else None,
        "p95_ms": t.p95_ms if t else None,
        "p99_ms": t.p99_ms if t else None,
        "fps": m.fps,
        "speedup": m.speedup.ratio if m.speedup else None,
        "speedup_low": interval.low if interval else None,
        "speedup_high": interval.high if interval else None,
        "natural": variant.natural.value if variant.natural else None,
        "robust": variant.robust.value if variant.robust else None,
        "device_natural": parity.natural.value if parity and parity.natural else None,
        "device_robust": parity.robust.value if parity and parity.robust else None,
        "parity": parity.passed if parity else None,
        "parameters": variant.parameters,
        "macs": variant.macs,
        "power_w": m.power.mean_w if m.power else None,
        "flags": " ".join(flag.code for flag in m.flags),
        "agreement": variant.agreement.value if variant.agreement else None,
        "metrics": " ".join(f"{each.name}={each.value.value:.6g}" for each in variant.metrics),
        "robust_trusted": None if variant.attack_check is None else variant.attack_check.trusted,
        "power_mode": m.power_mode if m.power_mode is not None else m.setting.power_mode,
        "jetson_clocks": m.jetson_clocks,
        **_device_row(m),
        **_open_loop_row(m),
        **_attack_row(m),
    }


def _attack_row(m: Measurement) -> dict[str, Any]:
    """What an attack on the engine left robust at most."""
    found = m.attack
    interval = found.robust.interval if found else None
    both = found.robust_to_both if found else None
    return {
        "attack": square_words(found) if found else None,
        "attack_robust": found.robust.value if found else None,
        "attack_low": interval.low if interval else None,
        "attack_high": interval.high if interval else None,
        "attack_both": both.value if both else None,
        "attack_queries": found.queries if found else None,
    }


def _device_row(m: Measurement) -> dict[str, Any]:
    """What a device may tell besides times; the times by its own clock are medians."""
    power, sustained, device, build = m.power, m.sustained, m.device_latency, m.build
    energy = power.energy_interval if power else None
    spread = build.spread if build else None
    temperatures = [zone.max_c for zone in m.thermal.temperatures] if m.thermal else []
    return {
        "power_reason": power.reason if power else None,
        "idle_w": power.idle_w if power else None,
        "energy_mj": power.energy_per_inference_mj if power else None,
        "energy_low_mj": energy.low if energy else None,
        "energy_high_mj": energy.high if energy else None,
        "net_energy_mj": power.net_energy_per_inference_mj if power else None,
        "fps_per_watt": power.fps_per_watt if power else None,
        "throttled": m.thermal.throttled if m.thermal else None,
        "temperature_max_c": max(temperatures, default=None),
        "h2d_ms": device.h2d.median_ms if device else None,
        "compute_ms": device.compute.median_ms if device else None,
        "d2h_ms": device.d2h.median_ms if device else None,
        "burst_fps": sustained.burst_fps if sustained else None,
        "sustained_fps": sustained.sustained_fps if sustained else None,
        "build_s": build.time_s if build else None,
        "engine_bytes": build.size_bytes if build else None,
        "builds": spread.count if spread else None,
        "builds_best_ms": spread.best_ms if spread else None,
        "builds_worst_ms": spread.worst_ms if spread else None,
    }


def _open_loop_row(m: Measurement) -> dict[str, Any]:
    """Deadlines and memory."""
    run, highest, memory = paced_run(m), highest_rate(m), m.memory
    latency = run.latency if run else None
    return {
        "paced_hz": run.rate_hz if run else None,
        "deadline_ms": run.deadline_ms if run else None,
        "miss_rate": run.missed.value if run else None,
        "longest_miss_burst": run.bursts.longest if run else None,
        "paced_median_ms": latency.median_ms if latency else None,
        "paced_p99_ms": latency.p99_ms if latency else None,
        "paced_p999_ms": run.p999_ms if run else None,
        "generator_p99_ms": run.jitter.p99_ms if run and run.jitter else None,
        "highest_hz": highest.rate_hz if highest else None,
        "host_peak_bytes": memory.host_peak_bytes if memory else None,
        "device_peak_bytes": memory.device_peak_bytes if memory else None,
        "total_peak_bytes": memory.total_peak_bytes if memory else None,
    }


def _plain(value: Any) -> Any:
    """``value`` as a spreadsheet should take it: text that begins like a formula must not become one."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value
