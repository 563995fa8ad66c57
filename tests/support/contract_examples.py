"""One example of each model of the contract, every field set. Runs on Python 3.8."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from gdws_contract import (
    attack_check,
    engines,
    live,
    manifest,
    measures,
    problems,
    profiles,
    queueing,
    rest,
    steps,
    task,
    thermal,
)

ID = "0123456789abcdef" * 4
NOW = "2026-01-02T03:04:05Z"
INTERVAL = measures.Interval(low=0.9, high=0.97, level=0.95, method="wilson")
PROPORTION = measures.Proportion(value=0.94, successes=94, count=100, interval=INTERVAL)
FIGURE = measures.Figure(value=0.4, higher_is_better=False, unit="nat", interval=INTERVAL)
ATTACK = manifest.Attack(
    name="pgd", norm="linf", eps=0.2, step=0.02, iterations=40, restarts=2, random_start=True, seed=7
)
ATTACK_CHECK = attack_check.AttackCheck(
    alone=PROPORTION,
    vanishing=3,
    second_fooled=2,
    blind=1,
    queries=200,
    queried=8,
    query_fooled=0,
    probabilities=True,
    random=False,
)
EVALUATION = manifest.HostEvaluation(
    data="test images",
    origin="labelled",
    metrics={"natural_accuracy": PROPORTION, "robust_accuracy": PROPORTION, "loss": FIGURE},
    attack=ATTACK,
    attack_check=ATTACK_CHECK,
)
LAYER = steps.LayerSummary(
    name="layer1.0.conv1",
    converted=True,
    reason="none",
    shape=[64, 32, 3, 3],
    layout="gather",
    total_rank=64,
    mean_rank=2.0,
    macs_before=1000,
    macs_after=500,
    parameters_before=100,
    parameters_after=50,
    error=0.25,
)


def variant(name: str, role: str) -> manifest.Variant:
    """A variant whose members are named after it."""
    return manifest.Variant(
        name=name,
        role=role,
        onnx=f"{name}/model.onnx",
        opset=17,
        macs=1000,
        parameters=100,
        method="beta=0.05, gather",
        steps=[steps.GdwsStep(kind="gdws", plan=f"{name}/plan.json", method="weights", layers=[LAYER])],
        evaluation=EVALUATION,
        outputs=[f"{name}/outputs.0.npy"],
        adversarial_inputs=f"{name}/adversarial_inputs.npy",
        adversarial_outputs=[f"{name}/adversarial_outputs.0.npy"],
    )


VARIANTS = [variant("dense", "baseline"), variant("gdws", "converted")]
PATHS = ["inputs.npy", "labels.npy", *(path for each in VARIANTS for _, path in each.members())]
OUTPUT = manifest.OutputSpec(name="logits", dtype="float32", shape=[10])
MANIFEST = manifest.Manifest(
    schema_version=2,
    tool=manifest.Tool(name="gdws", version="0.1.0"),
    name="example",
    description="an example",
    task=task.Classification(kind="classification", classes=[str(digit) for digit in range(10)]),
    input=manifest.TensorSpec(name="input", dtype="float32", shape=[1, 28, 28], low=0.0, high=1.0),
    outputs=[OUTPUT],
    baseline="dense",
    variants=VARIANTS,
    verification=manifest.Verification(
        inputs="inputs.npy", labels="labels.npy", count=100, data="test images", origin="labelled", attack=ATTACK
    ),
    provenance={"checkpoint": {"sha256": ID}, "seeds": [1, 2], "note": None},
    members={path: manifest.Member(size=10, sha256=ID) for path in PATHS},
)
LATENCY = measures.LatencySummary(
    scope="host to host",
    count=1000,
    min_ms=1.0,
    mean_ms=1.2,
    median_ms=1.1,
    p90_ms=1.3,
    p95_ms=1.4,
    p99_ms=1.5,
    max_ms=2.0,
    std_ms=0.1,
    cv=0.08,
    percentiles_withheld="p99.9: fewer than 1000 samples",
)
OUTPUT_PARITY = measures.OutputParity(
    name="logits", passed=False, max_abs_diff=0.1, max_rel_diff=0.01, tolerance_abs=1e-6, agreement=PROPORTION
)
PARITY = measures.Parity(
    passed=False,
    reasons=["logits differ"],
    count=100,
    max_abs_diff=0.1,
    max_rel_diff=0.01,
    tolerance_rel=0.001,
    outputs=[OUTPUT_PARITY],
    agreement=PROPORTION,
    natural=PROPORTION,
    natural_host=PROPORTION,
    robust=PROPORTION,
    robust_host=PROPORTION,
)
POWER = measures.Power(
    sensor="jtop",
    reason="an example",
    scope="module power, rail VDD_IN",
    mean_w=10.0,
    peak_w=12.0,
    idle_w=5.0,
    energy_per_inference_mj=12.0,
    net_energy_per_inference_mj=6.0,
    energy_interval=INTERVAL,
    fps_per_watt=80.0,
    samples=20,
    interval_ms=500.0,
    timing_uncertainty_ms=250.0,
    rails=[measures.PowerRail(name="GPU", mean_w=3.0, peak_w=4.0)],
)
PROBLEM = problems.Problem(
    type=problems.problem_type("model-not-found"),
    title="No such model",
    status=404,
    detail="there is no model of that id",
    instance="/models/1",
    field="model_id",
    hint="upload it first",
)
TIMES = measures.TimeSummary(min_ms=0.1, mean_ms=0.2, median_ms=0.2, max_ms=0.4)
ENGINE = engines.EngineOptions(
    builds=3,
    build_timeout_s=600.0,
    optimization_level=3,
    workspace_mib=256,
    batch_profile="all",
    cuda_graph=True,
    dla_core=0,
    gpu_fallback=True,
)
PROFILE_OPTIONS = profiles.ProfileOptions(iterations=20)
LAYER_TIME = profiles.LayerTime(
    name="layer1.0.conv1/depthwise", source="layer1.0.conv1", kind="Conv", mean_ms=0.2, share=1.0
)
THERMAL = thermal.Thermal(
    readings=10,
    temperatures=[thermal.TemperatureSummary(name="GPU-therm", start_c=40.0, max_c=50.0, end_c=48.0)],
    clocks=[thermal.ClockSummary(name="GPU", min_mhz=900.0, mean_mhz=1100.0, max_mhz=1377.0, limit_mhz=1377.0)],
    throttled=True,
    throttling=["GPU-therm reached its first trip point"],
)
KEY = rest.CellKey(variant="gdws", backend="onnxruntime", precision="fp32", batch_size=8, power_mode="MAXN")
CELL = rest.Cell(
    key=KEY,
    state="done",
    simulated=True,
    started_at=NOW,
    finished_at=NOW,
    build=measures.Build(
        time_s=1.0,
        size_bytes=10,
        from_cache=True,
        precision="fp32",
        options=["threads=2"],
        spread=measures.BuildSpread(count=3, best_ms=0.9, median_ms=1.0, worst_ms=1.2, build_times_s=[1.0, 1.1, 0.9]),
    ),
    parity=PARITY,
    latency=LATENCY,
    fps=833.3,
    rounds=[measures.RoundSummary(index=0, count=100, median_ms=1.1, duration_s=0.12)],
    speedup=measures.SpeedUp(ratio=2.0, interval=INTERVAL, rounds=10, baseline="dense"),
    device_latency=measures.DeviceLatency(count=100, h2d=TIMES, compute=TIMES, d2h=TIMES),
    sustained=measures.Sustained(duration_s=60.0, burst_fps=900.0, sustained_fps=800.0, thermal=THERMAL),
    power=POWER,
    power_mode="MAXN",
    jetson_clocks=True,
    thermal=THERMAL,
    profile=profiles.LayerProfile(tool="TensorRT IProfiler", iterations=20, total_ms=0.2, layers=[LAYER_TIME]),
    flags=[measures.Flag(code="unstable", detail="the coefficient of variation is 8 %")],
    error=PROBLEM,
    environment={"onnxruntime": "1.16.3", "threads": 2},
)
LIMITS = queueing.Limits(time_s=3_600.0, memory_mib=2_048)
ESTIMATE = queueing.Estimate(starts_in_s=0.0, ends_in_s=60.0)
LEASE_INFO = queueing.LeaseInfo(holder="ci, branch main", note="nightly", since=NOW, ttl_s=600.0, expires_in_s=590.0)
NOTICE = queueing.Notice(code="database-set-aside", detail="the database was damaged", hint="look at it")
REQUEST = rest.BenchmarkRequest(
    model_id=ID,
    variants=["dense", "gdws"],
    backends=["onnxruntime"],
    precisions=["fp32"],
    batch_sizes=[1, 8],
    power_modes=["MAXN", 2],
    jetson_clocks=True,
    engine=ENGINE,
    profile=PROFILE_OPTIONS,
    protocol=rest.Protocol(threads=2, seed=3),
    label="an example",
    priority=2,
    limits=LIMITS,
)
JOB = rest.Job(
    id="job-1",
    state="running",
    request=REQUEST,
    created_at=NOW,
    started_at=NOW,
    finished_at=NOW,
    queue_position=0,
    estimate=ESTIMATE,
    lease_holder="ci, branch main",
    waits_for_lease=True,
    run_s=12.5,
    progress=rest.Progress(cells_total=4, cells_finished=1, stage="measure", cell=KEY, round=1, rounds=10),
    cells=[CELL],
    error=PROBLEM,
)
AVAILABILITY = rest.Availability(
    name="onnxruntime",
    available=True,
    reason="an example",
    version="1.16.3",
    precisions=["fp32"],
    detail={"providers": "CPU"},
)
DEVICE = rest.DeviceInfo(
    agent_version="0.1.0",
    api_version=1,
    api_revision=1,
    board="AGX Xavier",
    l4t="35.4.1",
    hostname="xavier",
    os="Ubuntu 20.04",
    kernel="5.10",
    machine="aarch64",
    python="3.8.10",
    cpu_model="ARMv8",
    physical_cores=8,
    logical_cores=8,
    memory_total_bytes=2**34,
    memory_available_bytes=2**33,
    simulated=True,
    backends=[AVAILABILITY],
    power_sensors=[AVAILABILITY],
    notices=[NOTICE],
)
MODEL = rest.ModelInfo(
    id=ID, name="example", size_bytes=1000, created_at=NOW, baseline="dense", variants=["dense"], manifest=MANIFEST
)

EXAMPLES: list[BaseModel] = [
    rest.BenchmarkResult(schema_version=2, job=JOB, device=DEVICE, manifest=MANIFEST, saved_at=NOW, partial=True),
    steps.FineTuneStep(kind="fine-tune", epochs=3, data="training images"),
    steps.DistillStep(kind="distill", steps=1000, data="training images"),
    steps.Int8Step(kind="int8", calibration_images=200, method="entropy", skipped=["head"]),
    steps.PruneStep(kind="prune", method="channels by the scale of batch normalisation", remaining=0.4),
    task.Outputs(kind="outputs"),
    task.Detection(kind="detection", layout="yolov8", classes=["person"], score_threshold=0.25, iou_threshold=0.5),
    task.Segmentation(kind="segmentation", classes=["road", "sky"]),
    rest.Alive(status="ok"),
    rest.Health(
        status="ok",
        agent_version="0.1.0",
        api_version=1,
        api_revision=1,
        queued_jobs=0,
        running_job="job-1",
        access="read-only",
        notices=[NOTICE],
    ),
    live.LiveReadings(
        read_at=NOW,
        power=live.LivePower(
            total_w=12.5,
            scope="module power, rail VDD_IN",
            rails=[live.LiveRail(name="VDD_IN", power_w=12.5)],
            reason="an example",
        ),
        temperatures=[live.LiveTemperature(name="GPU-therm", celsius=41.5)],
        temperatures_reason="an example",
        clocks=[live.LiveClock(name="GPU", mhz=1377.0, limit_mhz=1377.0)],
        clocks_reason="an example",
        held_back=["gpu (state 2)"],
        load_average_1min=1.5,
        memory_available_bytes=2**32,
    ),
    rest.ModelList(models=[MODEL], next_cursor="7"),
    rest.JobList(jobs=[JOB], next_cursor="7"),
    rest.Queue(running=JOB, queued=[JOB], queued_total=1, queued_limit=100, lease=LEASE_INFO),
    queueing.LeaseRequest(holder="ci, branch main", ttl_s=60.0, note="nightly"),
    queueing.LeaseState(lease=LEASE_INFO),
    queueing.Lease(id="lease-1", **LEASE_INFO.model_dump()),
    profiles.ProfileRequest(
        model_id=ID,
        variant="gdws",
        backend="onnxruntime",
        precision="fp32",
        batch_size=8,
        options=PROFILE_OPTIONS,
        engine=ENGINE,
        threads=2,
        label="an example",
        priority=2,
        limits=LIMITS,
    ),
]


def records() -> dict[type[BaseModel], BaseModel]:
    """One record of each model that :data:`EXAMPLES` hold."""
    return {type(record): record for example in EXAMPLES for record in _walk(example)}


def _walk(value: Any) -> Iterator[BaseModel]:
    if isinstance(value, BaseModel):
        yield value
        value = dict(value)
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _walk(each)
