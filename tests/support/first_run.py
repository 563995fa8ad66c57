"""A bench for checks of the first run: a machine of given parts, whose measurements are given too. Python 3.8."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence

from gdws_agent.first_run.bench import Bench
from gdws_agent.first_run.deadline import Deadline
from gdws_agent.first_run.network import Shape
from gdws_agent.first_run.report import Outcome
from gdws_agent.probes import Probes
from gdws_contract.measures import (
    Build,
    DeviceLatency,
    Flag,
    Interval,
    LatencySummary,
    SpeedUp,
    Sustained,
    TimeSummary,
)
from gdws_contract.profiles import LayerProfile, LayerTime
from gdws_contract.rest import Availability, Cell, CellKey
from gdws_contract.thermal import Thermal

from .agents import available, missing, settings_for

#: Small enough that a double measures it in moments.
TINY = Shape(channels=(8, 16), image_size=8)
TENSORRT = available("tensorrt", ("fp32", "fp16", "int8"), version="8.5.2.2")
SENSOR = Availability(name="ina3221", available=True)


class CannedBench(Bench):
    """A bench that measures nothing: ``cells`` are handed out by name of the variant, or what ``cells`` raises."""

    def __init__(self, *arguments: Any, cells: Mapping[str, Cell] = {}, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.cells = dict(cells)
        self.asked: List[Dict[str, Any]] = []

    def measure(self, variants: Sequence[str], precision: str, **options: Any) -> Dict[str, Cell]:
        self.asked.append({"variants": list(variants), "precision": precision, **options})
        return {name: self.cells[name] for name in variants}


def canned_bench(folder: Path, *, limit_s: float = 60.0, **options: Any) -> CannedBench:
    """Return a bench whose machine has TensorRT and no power sensor, unless ``options`` say otherwise."""
    return _begun(CannedBench(**_machine(folder, options)), limit_s)


def real_bench(folder: Path, *, limit_s: float = 60.0, **options: Any) -> Bench:
    """Return a bench that measures the smallest network."""
    return _begun(Bench(**_machine(folder, options)), limit_s)


def _machine(folder: Path, options: Dict[str, Any]) -> Dict[str, Any]:
    """Return the arguments of a bench whose machine lies below ``folder``."""
    backends = options.pop("backends", [TENSORRT])
    sensors = options.pop("sensors", [missing("ina3221", "no monitor")])
    settings = settings_for(folder / "data", jtop_socket=folder / "jtop.sock", port=1, **options.pop("settings", {}))
    defaults = {
        "folder": folder / "out",
        "root": folder,
        "environment": {},
        "probes": Probes(lambda: backends, lambda: sensors),
        "shape": TINY,
        "quick": True,
    }
    (folder / "out").mkdir(exist_ok=True)
    return {"settings": settings, **defaults, **options}


def _begun(bench: Any, limit_s: float) -> Any:
    bench.deadline = Deadline(limit_s)
    return bench


def measured(
    variant: str,
    *,
    precision: str = "fp16",
    median_ms: float = 2.0,
    compute_ms: float = 1.0,
    ratio: float = 0.0,
    in_force: str = "",
    options: Sequence[str] = ("layers_fp16=9",),
    flags: Sequence[Flag] = (),
    **fields: Any,
) -> Cell:
    """Return a cell that was measured; without ``ratio`` it is the baseline's."""
    interval = Interval(low=0.9 * ratio, high=1.1 * ratio, method="paired-rounds-t")
    compute = TimeSummary(min_ms=compute_ms, mean_ms=compute_ms, median_ms=compute_ms, max_ms=compute_ms)
    copy = TimeSummary(min_ms=0.1, mean_ms=0.1, median_ms=0.1, max_ms=0.1)
    return Cell(
        key=CellKey(variant=variant, backend="tensorrt", precision=precision, batch_size=1),
        state="done",
        build=Build(time_s=1.0, precision=in_force or precision, options=list(options)),
        latency=LatencySummary(
            scope="test", count=100, min_ms=median_ms, mean_ms=median_ms, median_ms=median_ms, max_ms=median_ms
        ),
        device_latency=DeviceLatency(count=100, h2d=copy, compute=compute, d2h=copy),
        speedup=None if ratio == 0 else SpeedUp(ratio=ratio, interval=interval, rounds=4, baseline="dense"),
        flags=list(flags),
        **fields,
    )


def profiled(variant: str, layers: Mapping[str, float], **fields: Any) -> Cell:
    """Return a cell with a profile; ``layers`` are {name: ms}."""
    total_ms = sum(layers.values())
    times = [LayerTime(name=name, mean_ms=ms, share=ms / total_ms) for name, ms in layers.items()]
    profile = LayerProfile(tool="test", iterations=10, total_ms=total_ms, layers=times)
    return measured(variant, profile=profile, **fields)


def sustained(thermal: Thermal | None) -> Sustained:
    """Return a minute of load with what heat did meanwhile."""
    return Sustained(duration_s=60.0, burst_fps=500.0, sustained_fps=490.0, thermal=thermal)


def figures_of(outcome: Outcome) -> Dict[str, Any]:
    """Return {name: value} of the figures."""
    return {figure.name: figure.value for figure in outcome.figures}
