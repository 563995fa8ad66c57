"""Benchmark results made by hand, for tests of whatever reads results. No figure in them was measured."""

from __future__ import annotations

from dataclasses import dataclass

from gdws_contract.attack_check import AttackCheck
from gdws_contract.attacks import AttackedImage, AttackResult
from gdws_contract.findings.intervals import proportion as wilson_proportion
from gdws_contract.manifest import Attack, HostEvaluation, Manifest
from gdws_contract.measures import (
    Build,
    BuildSpread,
    DeviceLatency,
    Flag,
    Interval,
    LatencySummary,
    Parity,
    Power,
    PowerRail,
    Proportion,
    RoundSummary,
    SpeedUp,
    Sustained,
    TimeSummary,
)
from gdws_contract.pacing import Bursts, Jitter, Paced
from gdws_contract.problems import Problem, problem_type
from gdws_contract.profiles import LayerProfile, LayerTime
from gdws_contract.rest import (
    Availability,
    BenchmarkRequest,
    BenchmarkResult,
    Cell,
    CellKey,
    DeviceInfo,
    Job,
    PowerMode,
    Progress,
    Protocol,
)
from gdws_contract.steps import LayerSummary
from gdws_contract.thermal import ClockSummary, TemperatureSummary, Thermal

MODEL_ID = "ab" * 32
ATTACK = Attack(name="pgd", norm="linf", eps=0.2, step=0.02, iterations=40, random_start=True, seed=0)


@dataclass(frozen=True)
class Net:
    """One network of a made-up bundle, and how it behaves at batch 1."""

    name: str
    median_ms: float = 2.0
    natural: int | None = 985
    robust: int | None = 939
    count: int = 1000
    macs: int = 20_000_000
    parameters: int = 694_634
    layers: tuple[LayerSummary, ...] = ()
    method: str | None = None
    check: AttackCheck | None = None
    in_int8: bool = False  # and its convolutions as they were


DENSE = Net("dense", method="as trained")
KEPT = Net("mean-rank-4", median_ms=1.5, natural=984, robust=935, macs=12_000_000, parameters=380_000)
CUT = Net("mean-rank-1", median_ms=0.8, natural=900, robust=402, macs=4_000_000, parameters=110_000)
SLOW = Net("mean-rank-7", median_ms=2.4, natural=985, robust=938, macs=18_000_000, parameters=610_000)


def _steps(net: Net) -> list[dict[str, object]]:
    return [{"kind": "int8"}] if net.in_int8 else [{"kind": "gdws", "layers": list(net.layers)}]


def proportion(successes: int, count: int) -> Proportion:
    """A proportion whose interval is made up: two points to each side."""
    value = successes / count
    interval = Interval(low=max(value - 0.02, 0), high=min(value + 0.02, 1), method="wilson")
    return Proportion(value=value, successes=successes, count=count, interval=interval)


def attack_check(**changes: object) -> AttackCheck:
    """A second opinion on 1,000 images that finds nothing wrong, but for ``changes``."""
    sound = {"alone": proportion(940, 1000), "vanishing": 0, "second_fooled": 0, "blind": 0}
    return AttackCheck.model_validate({**sound, "queries": 200, "queried": 62, **changes})


def layer(name: str, *, converted: bool = True, mean_rank: float = 4.0, reason: str | None = None) -> LayerSummary:
    """A 3x3 layer of 64 channels."""
    return LayerSummary(
        name=name,
        converted=converted,
        reason=reason,
        shape=[64, 64, 3, 3],
        layout="gather" if converted else None,
        total_rank=int(64 * mean_rank) if converted else None,
        mean_rank=mean_rank if converted else None,
        macs_before=7_225_344,
        macs_after=int(7_225_344 * mean_rank / 8.8) if converted else 7_225_344,
        parameters_before=36_864,
        parameters_after=int(64 * mean_rank * 73) if converted else 36_864,
        error=0.0123 if converted else None,
    )


def evaluation(net: Net) -> HostEvaluation | None:
    """What the host found for ``net``."""
    if net.natural is None:
        return None
    found = {"natural_accuracy": net.natural, "robust_accuracy": net.robust}
    return HostEvaluation(
        data="mnist-sample, test",
        origin="labelled",
        metrics={name: proportion(hits, net.count) for name, hits in found.items() if hits is not None},
        attack=None if net.robust is None else ATTACK,
        attack_check=net.check,
    )


def manifest(nets: list[Net], *, name: str = "mnist-preact-resnet", description: str | None = None) -> Manifest:
    """The manifest of a bundle of ``nets``; the first is the dense one."""
    paths = ["inputs.npy", "labels.npy"]
    variants = []
    for index, net in enumerate(nets):
        own = [f"{net.name}/model.onnx", f"{net.name}/outputs.0.npy"]
        paths += own
        variants.append(
            {
                "name": net.name,
                "role": "converted" if index else "baseline",
                "onnx": own[0],
                "opset": 17,
                "macs": net.macs,
                "parameters": net.parameters,
                "method": net.method or (f"{net.name}, gather" if index else None),
                "steps": _steps(net) if index else [],
                "evaluation": evaluation(net),
                "outputs": [own[1]],
            }
        )
    return Manifest.model_validate(
        {
            "tool": {"name": "gdws", "version": "0.1.0"},
            "name": name,
            "description": description,
            "input": {"name": "input", "shape": [1, 28, 28], "low": 0, "high": 1},
            "task": {"kind": "classification"},
            "outputs": [{"name": "logits", "shape": [10]}],
            "baseline": nets[0].name,
            "variants": variants,
            "verification": {
                "inputs": "inputs.npy",
                "labels": "labels.npy",
                "count": 128,
                "data": "mnist-sample, test",
                "origin": "labelled",
                "attack": ATTACK,
            },
            "provenance": {"checkpoint_sha256": "cd" * 32, "torch": "2.14.1"},
            "members": {path: {"size": 2_781_234, "sha256": "00" * 32} for path in paths},
        }
    )


def device(*, hostname: str = "bench-host", simulated: bool = False) -> DeviceInfo:
    """A plain machine with ONNX Runtime and no power sensor."""
    return DeviceInfo(
        agent_version="0.1.0",
        api_version=1,
        hostname=hostname,
        os="Ubuntu 22.04.4 LTS",
        kernel="6.8.0",
        machine="x86_64",
        python="3.11.7",
        cpu_model="Example CPU @ 2.00GHz",
        physical_cores=2,
        logical_cores=4,
        memory_total_bytes=8 * 2**30,
        memory_available_bytes=6 * 2**30,
        simulated=simulated,
        backends=[Availability(name="onnxruntime", available=True, version="1.23.0", precisions=["fp32"])],
        power_sensors=[Availability(name="none", available=True, reason="no power sensor was found")],
    )


def parity(*, passed: bool = True, reasons: tuple[str, ...] = ()) -> Parity:
    """A replay of 128 inputs."""
    agreement = 128 if passed else 57
    return Parity(
        passed=passed,
        reasons=list(reasons),
        count=128,
        max_abs_diff=2.1e-6 if passed else 3.4,
        max_rel_diff=1.4e-7 if passed else 0.31,
        tolerance_rel=1e-3,
        agreement=proportion(agreement, 128),
        natural=proportion(126 if passed else 55, 128),
        natural_host=proportion(126, 128),
        robust=proportion(119, 128),
        robust_host=proportion(119, 128),
    )


def cell(net: Net, dense: Net, batch_size: int, *, flags: tuple[Flag, ...] = (), simulated: bool = False) -> Cell:
    """A finished cell; latency grows with the batch, and the speed-up is known to two percent."""
    median = net.median_ms * (0.3 + 0.7 * batch_size)
    ratio = dense.median_ms / net.median_ms
    return Cell(
        key=CellKey(variant=net.name, backend="onnxruntime", precision="fp32", batch_size=batch_size),
        state="done",
        simulated=simulated,
        started_at="2026-01-02T03:04:05Z",
        finished_at="2026-01-02T03:04:35Z",
        build=Build(time_s=0.08, precision="fp32", options=["force_spinning_stop=1"]),
        parity=parity(),
        latency=LatencySummary(
            scope="one run of the session, input and output in host memory",
            count=1200,
            min_ms=median * 0.96,
            mean_ms=median * 1.02,
            median_ms=median,
            p90_ms=median * 1.06,
            p95_ms=median * 1.1,
            p99_ms=median * 1.25,
            max_ms=median * 1.9,
            std_ms=median * 0.05,
            cv=0.05,
        ),
        fps=1000 * batch_size / (median * 1.02),
        rounds=[
            RoundSummary(index=i, count=120, median_ms=median * (0.98 + 0.01 * i), duration_s=0.3) for i in range(5)
        ],
        speedup=None
        if net is dense
        else SpeedUp(
            ratio=ratio,
            interval=Interval(low=ratio * 0.98, high=ratio * 1.02, method="paired-rounds-t"),
            rounds=10,
            baseline=dense.name,
        ),
        power=Power(sensor="none", reason="no power sensor was found"),
        flags=list(flags),
        environment={"threads": 2, "backend_version": "1.23.0", "load_average_1min": median, "cpu_governor": None},
    )


def jetson_cell(
    net: Net, dense: Net, batch_size: int = 1, mode: PowerMode = "MAXN", *, simulated: bool = False
) -> Cell:
    """A cell with everything that a Jetson tells; it draws 20 W above 8 W at rest."""
    plain = cell(net, dense, batch_size, simulated=simulated)
    assert plain.latency is not None
    assert plain.fps is not None
    compute_ms = plain.latency.median_ms * 0.9
    energy_mj = plain.latency.mean_ms * 28
    return plain.model_copy(
        update={
            "key": plain.key.model_copy(update={"backend": "tensorrt", "precision": "fp16", "power_mode": mode}),
            "power_mode": mode if isinstance(mode, str) else "MODE_15W",
            "jetson_clocks": True,
            "build": Build(
                time_s=41.0,
                size_bytes=5 * 2**20,
                precision="fp16",
                spread=BuildSpread(count=3, best_ms=0.9, median_ms=1.0, worst_ms=1.3, build_times_s=[40, 41, 42]),
            ),
            "device_latency": DeviceLatency(count=100, h2d=times(0.05), compute=times(compute_ms), d2h=times(0.02)),
            "sustained": Sustained(
                duration_s=60.0, burst_fps=plain.fps, sustained_fps=plain.fps * 0.8, thermal=thermal(end_c=71.0)
            ),
            "power": Power(
                sensor="ina3221",
                scope="module power, rail VDD_IN",
                mean_w=28.0,
                peak_w=31.0,
                idle_w=8.0,
                energy_per_inference_mj=energy_mj,
                net_energy_per_inference_mj=energy_mj * 20 / 28,
                energy_interval=Interval(low=energy_mj * 0.98, high=energy_mj * 1.02, method="..."),
                fps_per_watt=plain.fps / 28,
                samples=31,
                interval_ms=100.0,
                timing_uncertainty_ms=3.3,
                rails=[PowerRail(name="VDD_IN", mean_w=28.0, peak_w=31.0)],
            ),
            "thermal": thermal(),
        }
    )


def times(median_ms: float) -> TimeSummary:
    """Times around ``median_ms``."""
    return TimeSummary(min_ms=median_ms * 0.95, mean_ms=median_ms, median_ms=median_ms, max_ms=median_ms * 1.2)


def paced(*, arrivals: int = 300, missed: int = 0, rate_hz: float = 30.0, **fields: object) -> Paced:
    """Arrivals at a rate, of which the last ones missed their deadlines in a row."""
    share = Proportion(value=missed / arrivals, successes=missed, count=arrivals)
    known = {
        "rate_hz": rate_hz,
        "deadline_ms": 1e3 / rate_hz,
        "arrivals": arrivals,
        "served": arrivals,
        "missed": share,
        "bursts": Bursts(count=min(missed, 1), longest=missed),
        "latency": LatencySummary(scope="all", count=arrivals, min_ms=2, mean_ms=3, median_ms=2.5, p99_ms=8, max_ms=9),
        "withheld": f"p99.9 needs 1000 samples; there are {arrivals}",
        "waiting": times(0.1),
        "service": times(2.4),
        "utilisation": 0.07,
        "jitter": Jitter(count=arrivals, median_ms=0.01, p99_ms=0.05, max_ms=0.2),
    }
    return Paced.model_validate({**known, **fields})


def thermal(*, end_c: float = 52.0, throttling: tuple[str, ...] = ()) -> Thermal:
    """A GPU that grows warm at its highest clock."""
    return Thermal(
        readings=10,
        temperatures=[
            TemperatureSummary(name="CPU-therm", start_c=44.0, max_c=46.0, end_c=45.0),
            TemperatureSummary(name="GPU-therm", start_c=46.0, max_c=end_c, end_c=end_c),
        ],
        clocks=[
            ClockSummary(name="GPU", min_mhz=1377.0, mean_mhz=1377.0, max_mhz=1377.0, limit_mhz=1377.0),
            ClockSummary(name="CPU", min_mhz=1190.0, mean_mhz=2100.0, max_mhz=2265.0),
        ],
        throttled=bool(throttling),
        throttling=list(throttling),
    )


def profiled_cell(net: Net, batch_size: int = 1) -> Cell:
    """A cell whose layers were timed in place of the whole."""
    return Cell(
        key=CellKey(variant=net.name, backend="onnxruntime", precision="fp32", batch_size=batch_size),
        state="done",
        build=Build(time_s=0.08, precision="fp32"),
        parity=parity(),
        profile=LayerProfile(
            tool="ONNX Runtime's profiler",
            iterations=50,
            total_ms=1.0,
            layers=[
                LayerTime(name="conv1/Conv", source="conv1", kind="Conv", mean_ms=0.75, share=0.75),
                LayerTime(name="fc/Gemm", kind="Gemm", mean_ms=0.25, share=0.25),
            ],
        ),
    )


def attacked_cell(
    net: Net, fooled: int, *, count: int = 100, wrong: int = 2, host_wrong: int | None = None, precision: str = "fp32"
) -> Cell:
    """A cell whose engine was attacked: of ``count`` images it got the first ``wrong`` wrong, and the next ones under
    the attack, ``fooled`` in all. The host's record is that of the first ``host_wrong``.
    """
    images = [
        AttackedImage(index, 0 if index < wrong else 10 * index if index < fooled else None) for index in range(count)
    ]
    return Cell(
        key=CellKey(variant=net.name, backend="onnxruntime", precision=precision, batch_size=1),
        state="done",
        build=Build(time_s=0.08, precision=precision),
        parity=parity(),
        attack=AttackResult(
            attack=Attack(name="Square", norm="linf", eps=0.2, iterations=1000, seed=0),
            natural=wilson_proportion(count - wrong, count),
            robust=wilson_proportion(count - fooled, count),
            robust_to_both=wilson_proportion(count - fooled, count),
            host=None if host_wrong is None else wilson_proportion(count - host_wrong, count),
            queries=sum(1000 if each.fooled_after is None else each.fooled_after for each in images),
            images=images,
            host_wrong=None if host_wrong is None else list(range(host_wrong)),
        ),
    )


def parity_failed_cell(net: Net, batch_size: int) -> Cell:
    """A cell that stopped at parity."""
    return Cell(
        key=CellKey(variant=net.name, backend="onnxruntime", precision="fp32", batch_size=batch_size),
        state="parity_failed",
        parity=parity(passed=False, reasons=("logits differ by 0.31 of the largest, more than 0.001",)),
    )


def failed_cell(net: Net, batch_size: int, detail: str) -> Cell:
    """A cell that broke."""
    return Cell(
        key=CellKey(variant=net.name, backend="onnxruntime", precision="fp32", batch_size=batch_size),
        state="failed",
        error=Problem(type=problem_type("out-of-memory"), title="Out of memory", status=500, detail=detail),
    )


def result(
    nets: list[Net],
    *,
    batch_sizes: tuple[int, ...] = (1,),
    cells: list[Cell] | None = None,
    state: str = "done",
    partial: bool = False,
    simulated: bool = False,
    hostname: str = "bench-host",
    name: str = "mnist-preact-resnet",
    description: str | None = None,
    label: str | None = None,
    protocol: Protocol | None = None,
    request: BenchmarkRequest | None = None,
) -> BenchmarkResult:
    """A job over ``nets`` that went well, unless ``cells`` says otherwise."""
    if cells is None:
        cells = [cell(net, nets[0], batch, simulated=simulated) for batch in batch_sizes for net in nets]
    asked = request or BenchmarkRequest(
        model_id=MODEL_ID, batch_sizes=list(batch_sizes), label=label, protocol=protocol or Protocol()
    )
    return BenchmarkResult(
        job=Job(
            id="job-1",
            state=state,
            request=asked,
            created_at="2026-01-02T03:04:00Z",
            started_at="2026-01-02T03:04:01Z",
            finished_at="2026-01-02T03:06:00Z",
            progress=Progress(cells_total=len(nets) * len(batch_sizes), cells_finished=len(cells)),
            cells=cells,
        ),
        device=device(hostname=hostname, simulated=simulated),
        manifest=manifest(nets, name=name, description=description),
        saved_at="2026-01-02T03:06:01Z",
        partial=partial,
    )


def jetson_result(
    nets: list[Net], *, modes: tuple[PowerMode, ...] = ("MAXN",), simulated: bool = False
) -> BenchmarkResult:
    """A job in several power modes on a Jetson with everything that one tells."""
    request = BenchmarkRequest(
        model_id=MODEL_ID,
        backends=["tensorrt"],
        precisions=["fp16"],
        power_modes=list(modes),
        jetson_clocks=True,
        protocol=Protocol(idle_ms=10_000, sustained_ms=60_000),
    )
    cells = [jetson_cell(net, nets[0], mode=mode, simulated=simulated) for mode in modes for net in nets]
    return result(nets, cells=cells, simulated=simulated, hostname="xavier", request=request)


def task_result(nets: list[Net], evaluations: list[HostEvaluation], task: dict[str, object]) -> BenchmarkResult:
    """A result on networks for ``task`` with what the host found, and replays without labels or decisions."""
    made = result(nets)
    variants = [
        variant.model_copy(update={"evaluation": evaluation})
        for variant, evaluation in zip(made.manifest.variants, evaluations)
    ]
    bare = {"agreement": None, "natural": None, "natural_host": None, "robust": None, "robust_host": None}
    cells = [
        each.model_copy(update={"parity": each.parity and each.parity.model_copy(update=bare)})
        for each in made.job.cells
    ]
    fields = {
        **made.manifest.model_dump(),
        "task": task,
        "outputs": [{"name": "boxes", "shape": [7, 84]}],
        "variants": variants,
    }
    return made.model_copy(
        update={
            "manifest": Manifest.model_validate(fields),
            "job": made.job.model_copy(update={"cells": cells}),
        }
    )
