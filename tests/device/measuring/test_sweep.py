import gc
import io
import math
import time
from collections import Counter, defaultdict
from itertools import groupby
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from gdws_agent.backends.base import Capabilities, DeviceTimes
from gdws_agent.errors import BuildFailed, RunFailed
from gdws_agent.measuring import device_times
from gdws_agent.measuring.messages import AttackedEvent, CellEvent, StageEvent, WorkOrder
from gdws_agent.measuring.rounds import round_orders
from gdws_agent.measuring.sweep import Sweep
from gdws_agent.measuring.verification import read_natural, read_verification
from gdws_agent.measuring.windows import SETTLE_INFERENCES
from gdws_agent.power.base import Account, Window
from gdws_agent.power.none import NoSensor
from gdws_agent.power.thermal import Conditions
from gdws_contract.archive import open_bundle
from gdws_contract.archive_writer import write_bundle
from gdws_contract.attacks import AttackOptions
from gdws_contract.measures import Build, Flag, Power
from gdws_contract.pacing import Pacing
from gdws_contract.profiles import LayerProfile, LayerTime, ProfileOptions
from gdws_contract.rest import Availability, Protocol
from gdws_contract.series import SeriesOptions
from support.bundles import INPUT_SHAPE, tiny_bundle, tiny_parts

VARIANTS = ("dense", "a", "b", "c")
ROUNDS = 4
PROTOCOL = Protocol(
    warmup_ms=0, warmup_max_ms=0, min_duration_ms=0, min_iterations=10, rounds=ROUNDS, threads=3, seed=7
)


class Engine:
    """Answers with the host's logits for inputs it knows; ``fault`` is what goes wrong, and when."""

    scope = "a fake's scope"
    capabilities = Capabilities()
    build = Build(time_s=0.5, precision="fp32", options=["fake=1"])

    def __init__(self, known, spec, fault, log):
        self.spec = spec
        self.alive = False
        self.steps = 0
        self.bound = []
        self._known = known
        self._fault = fault
        self._log = log

    def __enter__(self):
        self.alive = True
        return self

    def __exit__(self, *exception):
        self.alive = False

    def bind(self, inputs):
        self.bound.append(inputs)
        outputs = np.stack([self._known[row.tobytes()] for row in inputs])
        if self._fault == "wrong":
            outputs = outputs + 1
        if self._fault == "nan":
            outputs = outputs * np.nan

        def step():
            assert self.alive
            self.steps += 1
            if isinstance(self._fault, tuple) and self.steps >= self._fault[0]:
                raise self._fault[1]
            self._log.append(self)
            return [outputs]

        return step


class Timed(Engine):
    """An engine whose runtime has events on the device, and can time layers."""

    capabilities = Capabilities(layer_profiles=True, device_times=True)
    profiler = "a fake's profiler"

    def device_times(self):
        assert self.alive
        return DeviceTimes(h2d_ms=1.0, compute_ms=float(self.steps), d2h_ms=3.0)

    def profile(self, inputs, iterations):
        self.profiled = (inputs.shape, iterations)
        if self._fault == "unprofiled":
            raise RunFailed("no profile")
        return [LayerTime(name="/conv/Conv", mean_ms=2.0, share=1.0)]


class Attackable(Engine):
    """Knows nothing of perturbed inputs: its logits for them are zero, so that they are of the first class."""

    def __init__(self, known, spec, fault, log):
        zeros = np.zeros_like(next(iter(known.values())))
        super().__init__(defaultdict(lambda: zeros, known), spec, fault, log)


class Backend:
    """Builds the variants in the order in which they come; ``faults`` by variant."""

    name = "fake"
    capabilities = Timed.capabilities

    def __init__(self, known, variants, faults, make):
        self._make = make
        self.engines = {}
        self.log = []
        self._known = known
        self._variants = list(variants)
        self._faults = faults

    def probe(self):
        return Availability(name=self.name, available=True, version="1.2.3", precisions=["fp32"])

    def build(self, model, spec):
        variant = self._variants[len(self.engines)]
        fault = self._faults.get(variant)
        self.engines[variant] = self._make(self._known, spec, fault, self.log)
        if isinstance(fault, Exception):
            raise fault
        return self.engines[variant]


class Sensor:
    """Notes what it is asked."""

    name = "meter"

    def __init__(self, interval_s=1e-6, knows=None):
        self.interval_s = interval_s
        self.started = self.stopped = 0
        self.asked = []
        self.idle = None
        self._knows = knows

    def start(self):
        self.started += 1

    def stop(self):
        self.stopped += 1
        return self

    def conditions(self):
        return None if self._knows is None else self._knows._replace(time_s=time.monotonic())

    def account(self, windows, *, inferences, batch_size, idle=()):
        self.asked.append((list(windows), inferences, batch_size))
        self.idle = list(idle)
        return Account(Power(sensor=self.name, mean_w=5.0), [Flag(code="meter-doubt", detail="...")])


class Run:
    """One sweep over a tiny bundle, and what came of it."""

    def __init__(
        self,
        path,
        *,
        faults=None,
        variants=VARIANTS,
        batch_size=1,
        sensor=None,
        protocol=PROTOCOL,
        emit=None,
        engine=Engine,
        **order,
    ):
        self.order = WorkOrder(
            job_id="job",
            bundle_path=str(path),
            cache_dir=str(path.parent),
            backend="fake",
            precision="fp32",
            batch_size=batch_size,
            variants=list(variants),
            protocol=protocol,
            power_sensor="none",
            **order,
        )
        self.events = []
        self.alive_when_told = []
        with open_bundle(path) as bundle:
            self.backend = Backend(known_logits(bundle), variants, faults or {}, engine)
            Sweep(self.order, bundle, self.backend, sensor or NoSensor(), emit or self._note).run()

    def _note(self, event):
        self.events.append(event)
        if isinstance(event, CellEvent) and event.cell.key.variant in self.backend.engines:
            self.alive_when_told.append(self.backend.engines[event.cell.key.variant].alive)

    @property
    def cells(self):
        return {event.cell.key.variant: event.cell for event in self.events if isinstance(event, CellEvent)}

    @property
    def states(self):
        return {variant: cell.state for variant, cell in self.cells.items()}

    def stages(self, stage):
        return [event for event in self.events if isinstance(event, StageEvent) and event.stage == stage]

    @property
    def kinds(self):
        return [event.stage if isinstance(event, StageEvent) else "cell" for event in self.events]


def known_logits(bundle):
    """{bytes of an input: the host's logits}, over all recorded inputs."""

    def read(member):
        return np.load(io.BytesIO(bundle.read(member)))

    known = {}
    for variant in bundle.manifest.variants:
        pairs = [(bundle.manifest.verification.inputs, variant.outputs[0])]
        if variant.adversarial_inputs is not None:
            pairs.append((variant.adversarial_inputs, variant.adversarial_outputs[0]))
        for inputs, logits in pairs:
            answers = read(logits)
            known.update({row.tobytes(): answers[index] for index, row in enumerate(read(inputs))})
    return known


@pytest.fixture
def path(tmp_path):
    return tiny_bundle(tmp_path / "tiny.gdws", variants=VARIANTS)


class TestAllIsWell:
    def test_every_cell_is_measured_and_told_once(self, path):
        run = Run(path)
        assert run.states == dict.fromkeys(VARIANTS, "done")
        assert Counter(type(event) for event in run.events)[CellEvent] == len(VARIANTS)
        for cell in run.cells.values():
            assert cell.key == run.order.cell(cell.key.variant)
            assert len(cell.rounds) == ROUNDS
            assert [window.index for window in cell.rounds] == list(range(ROUNDS))
            assert all(window.count >= math.ceil(10 / ROUNDS) for window in cell.rounds)
            assert cell.latency is not None
            assert cell.latency.count == sum(window.count for window in cell.rounds)
            assert cell.latency.scope == Engine.scope
            assert cell.build == Engine.build
            assert cell.parity is not None
            assert cell.parity.passed
            assert cell.parity.robust is not None
            assert cell.started_at is not None
            assert cell.finished_at is not None
            assert cell.started_at <= cell.finished_at
            assert cell.power is not None
            assert cell.power.reason

    def test_speedups_are_over_the_baseline(self, path):
        cells = Run(path).cells
        assert cells["dense"].speedup is None
        for variant in VARIANTS[1:]:
            assert cells[variant].speedup is not None
            assert (cells[variant].speedup.baseline, cells[variant].speedup.rounds) == ("dense", ROUNDS)

    def test_the_environment_is_told(self, path):
        environment = Run(path).cells["a"].environment
        assert environment["backend_version"] == "1.2.3"
        assert environment["threads"] == 3
        assert "seed 7" in environment["order"]
        assert 0 <= environment["cpu_others_share"] <= 1

    def test_the_spec_is_that_of_order_and_manifest(self, path):
        spec = Run(path, batch_size=5).backend.engines["b"].spec
        assert (spec.precision, spec.batch_size, spec.threads) == ("fp32", 5, 3)
        assert spec.input.shape == list(INPUT_SHAPE)
        assert spec.cache_dir == path.parent

    def test_threads_default_to_the_usable_cores(self, path, monkeypatch):
        monkeypatch.setattr("gdws_agent.measuring.sweep.usable_cores", lambda: 11)
        run = Run(path, protocol=PROTOCOL.model_copy(update={"threads": None}))
        assert run.backend.engines["a"].spec.threads == 11

    @pytest.mark.parametrize("batch_size", [1, 5, 16, 40])
    def test_what_is_timed_are_the_verification_inputs(self, path, batch_size):
        engine = Run(path, batch_size=batch_size).backend.engines["a"]
        with open_bundle(path) as bundle:
            first = next(iter(known_logits(bundle)))
        timed = engine.bound[-1]
        assert timed.shape == (batch_size, *INPUT_SHAPE)
        assert timed[0].tobytes() == first
        assert all(row.tobytes() == timed[index % 16].tobytes() for index, row in enumerate(timed))

    def test_inferences_after_a_switch_are_not_counted(self, path):
        run = Run(path)
        for variant, engine in run.backend.engines.items():
            counted = run.cells[variant].latency.count
            replayed = 2 * 16
            assert engine.steps == replayed + ROUNDS * SETTLE_INFERENCES + counted

    def test_duration_and_count_are_spread_over_the_rounds(self, path):
        protocol = PROTOCOL.model_copy(update={"min_duration_ms": 20.0, "min_iterations": 1})
        assert all(window.duration_s >= 0.005 for window in Run(path, protocol=protocol).cells["a"].rounds)
        protocol = PROTOCOL.model_copy(update={"min_iterations": 403})
        assert [window.count for window in Run(path, protocol=protocol).cells["a"].rounds] == [101] * ROUNDS

    def test_the_garbage_collector_rests_while_times_are_taken(self, path, monkeypatch):
        during = []
        monkeypatch.setattr("gdws_agent.measuring.sweep.settle", lambda step: during.append(gc.isenabled()))
        Run(path)
        assert during == [False] * (ROUNDS * len(VARIANTS))
        assert gc.isenabled()

    def test_warm_up_goes_until_steady_and_tells_its_windows(self, path):
        run = Run(path, protocol=PROTOCOL.model_copy(update={"warmup_max_ms": 60_000.0}))
        told = Counter(event.variant for event in run.stages("warm-up") if event.figures)
        assert all(told[variant] >= 3 for variant in VARIANTS)
        assert "not-steady" not in [flag.code for flag in run.cells["a"].flags]
        assert "not-steady" in [flag.code for flag in Run(path).cells["a"].flags]

    def test_every_engine_is_freed_in_the_end(self, path):
        assert not any(engine.alive for engine in Run(path).backend.engines.values())

    def test_without_adversarial_inputs(self, tmp_path):
        cells = Run(tiny_bundle(tmp_path / "t.gdws", variants=VARIANTS, adversarial=False)).cells
        assert cells["a"].parity is not None
        assert cells["a"].parity.robust is None


class TestOrder:
    def test_stages_come_in_order_and_name_the_variant(self, path):
        run = Run(path)
        order = ["load", "build", "parity", "warm-up", "measure"]
        stages = [event.stage for event in run.events if isinstance(event, StageEvent)]
        assert stages == sorted(stages, key=order.index)
        for stage in order[1:4]:
            assert [event.variant for event in run.stages(stage)] == list(VARIANTS)

    def test_each_window_is_announced_in_the_order_of_its_round(self, path):
        announced = [(event.round, event.variant) for event in Run(path).stages("measure")]
        orders = round_orders(len(VARIANTS), ROUNDS, PROTOCOL.seed)
        assert announced == [
            (number, VARIANTS[place]) for number, places in enumerate(orders, start=1) for place in places
        ]
        assert {event.rounds for event in Run(path).stages("measure")} == {ROUNDS}

    def test_the_variants_take_turns(self, path):
        run = Run(path)
        names = {id(engine): variant for variant, engine in run.backend.engines.items()}
        turns = [names[id(engine)] for engine in run.backend.log]
        changes = [name for name, _ in groupby(turns)]
        expected = [name for name, _ in groupby(event.variant for event in run.stages("measure"))]
        assert changes[-len(expected) :] == expected

    def test_measured_cells_come_last(self, path):
        run = Run(path)
        assert all(isinstance(event, CellEvent) for event in run.events[-len(VARIANTS) :])


class TestOneFails:
    @pytest.mark.parametrize("fault", [BuildFailed("no such operator"), ValueError("who knows")])
    def test_to_build(self, path, fault):
        run = Run(path, faults={"b": fault})
        assert run.states == {"dense": "done", "a": "done", "b": "failed", "c": "done"}
        assert run.cells["b"].error is not None
        assert str(fault) in (run.cells["b"].error.detail or "")
        assert run.kinds.index("cell") < run.kinds.index("parity")

    @pytest.mark.parametrize("fault", ["wrong", "nan"])
    def test_parity(self, path, fault):
        run = Run(path, faults={"a": fault})
        assert run.states == {"dense": "done", "a": "parity_failed", "b": "done", "c": "done"}
        cell = run.cells["a"]
        assert (cell.latency, cell.fps, cell.speedup, cell.power, cell.rounds) == (None, None, None, None, [])
        assert cell.parity is not None
        assert cell.parity.reasons
        assert run.backend.engines["a"].steps == 2 * 16
        assert "a" not in [event.variant for event in run.stages("warm-up") + run.stages("measure")]

    @pytest.mark.parametrize("step", [1, 20, 33, 45])
    @pytest.mark.parametrize("error", [RunFailed("illegal access"), MemoryError("too much")])
    def test_to_run(self, path, step, error):
        run = Run(path, faults={"b": (step, error)})
        assert run.states == {"dense": "done", "a": "done", "b": "failed", "c": "done"}
        assert not run.backend.engines["b"].alive
        assert all(len(run.cells[variant].rounds) == ROUNDS for variant in ("dense", "a", "c"))
        assert (run.cells["b"].latency, run.cells["b"].rounds) == (None, [])

    def test_to_be_freed(self, path, monkeypatch):
        monkeypatch.setattr(Engine, "__exit__", lambda self, *exception: 1 / 0)
        run = Run(path, faults={"a": "wrong"})
        assert run.states == {"dense": "done", "a": "parity_failed", "b": "done", "c": "done"}

    def test_its_engine_is_freed_at_once(self, path):
        assert Run(path, faults={"b": "wrong"}).alive_when_told == [False] * len(VARIANTS)

    @pytest.mark.parametrize("fault", [BuildFailed("no"), "wrong", (40, RunFailed("no"))])
    def test_without_the_baseline_there_are_no_speedups(self, path, fault):
        run = Run(path, faults={"dense": fault})
        for variant in VARIANTS[1:]:
            assert run.cells[variant].state == "done"
            assert run.cells[variant].speedup is None
            assert "no-baseline" in [flag.code for flag in run.cells[variant].flags]

    def test_a_group_without_the_baseline(self, path):
        run = Run(path, variants=("a", "c"))
        assert run.states == {"a": "done", "c": "done"}
        assert run.cells["a"].speedup is None


class TestAllFail:
    def test_nothing_is_measured(self, path):
        sensor = Sensor()
        run = Run(path, faults=dict.fromkeys(VARIANTS, "wrong"), sensor=sensor)
        assert run.states == dict.fromkeys(VARIANTS, "parity_failed")
        assert run.stages("measure") == []
        assert sensor.started == 0

    def test_a_verification_set_that_cannot_be_read(self, tmp_path):
        fields, members = tiny_parts(variants=VARIANTS)
        broken = tmp_path / "broken.gdws"
        write_bundle(broken, fields, {**members, "verification/labels.npy": b"garbage"})
        run = Run(broken)
        assert run.states == dict.fromkeys(VARIANTS, "failed")
        for cell in run.cells.values():
            assert cell.error is not None
            assert (cell.error.code, cell.error.field) == ("manifest-invalid", "verification.labels")

    def test_inputs_that_do_not_fit_into_memory(self, path, monkeypatch):
        monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10_000, total=20_000))
        run = Run(path, batch_size=1_000)
        for cell in run.cells.values():
            assert cell.error is not None
            assert cell.error.code == "out-of-memory"
            assert "smaller batch" in (cell.error.hint or "")
        assert run.backend.engines == {}


class TestPower:
    def test_each_variant_is_accounted_over_its_own_windows(self, path):
        sensor = Sensor()
        cells = Run(path, sensor=sensor, batch_size=2).cells
        assert (sensor.started, sensor.stopped, len(sensor.asked)) == (1, 1, len(VARIANTS))
        for variant, (windows, inferences, batch_size) in zip(VARIANTS, sensor.asked):
            assert all(isinstance(window, Window) for window in windows)
            assert len(windows) == ROUNDS
            assert (inferences, batch_size) == (cells[variant].latency.count, 2)
            assert [window.end_s - window.start_s for window in windows] == pytest.approx(
                [window.duration_s for window in cells[variant].rounds]
            )
        everything = sorted(window for windows, _, _ in sensor.asked for window in windows)
        for index, window in enumerate(everything[1:]):
            assert everything[index].end_s <= window.start_s

    def test_power_and_its_doubts_are_in_the_cell(self, path):
        cell = Run(path, sensor=Sensor()).cells["a"]
        assert cell.power is not None
        assert cell.power.mean_w == 5.0
        assert "meter-doubt" in [flag.code for flag in cell.flags]

    def test_a_sensor_that_fails_does_not_cost_the_times(self, path):
        sensor = Sensor()
        sensor.stop = lambda: 1 / 0
        cell = Run(path, sensor=sensor).cells["a"]
        assert cell.state == "done"
        assert cell.power is not None
        assert "ZeroDivisionError" in (cell.power.reason or "")

    def test_a_cell_is_measured_for_as_long_as_the_sensor_needs(self, path):
        run = Run(path, sensor=Sensor(interval_s=0.004))
        for cell in run.cells.values():
            assert all(window.duration_s >= 0.060 / ROUNDS for window in cell.rounds)
            assert cell.environment["min_duration_ms"] == "60 instead of 0, for the power sensor"

    def test_a_fast_sensor_and_none_change_nothing(self, path):
        protocol = PROTOCOL.model_copy(update={"min_duration_ms": 1.0})
        for sensor in (Sensor(), NoSensor()):
            assert "min_duration_ms" not in Run(path, sensor=sensor, protocol=protocol).cells["a"].environment

    def test_a_sensor_that_does_not_start_changes_nothing_either(self, path):
        sensor = Sensor(interval_s=3600.0)
        sensor.start = lambda: 1 / 0
        cell = Run(path, sensor=sensor, protocol=PROTOCOL.model_copy(update={"idle_ms": 600_000.0})).cells["a"]
        assert (cell.state, cell.power.mean_w) == ("done", None)

    def test_a_rest_before_the_builds_is_the_baseline(self, path):
        sensor = Sensor()
        run = Run(path, sensor=sensor, protocol=PROTOCOL.model_copy(update={"idle_ms": 20.0}))
        assert run.kinds[:3] == ["load", "rest", "build"]
        (idle,) = sensor.idle
        assert idle.duration_s >= 0.020
        assert idle.end_s <= min(window.start_s for windows, _, _ in sensor.asked for window in windows)
        assert (sensor.started, sensor.stopped) == (1, 1)

    def test_a_sensor_is_stopped_also_when_every_variant_fails(self, path):
        sensor = Sensor()
        Run(path, sensor=sensor, faults=dict.fromkeys(VARIANTS, "wrong"), protocol=Protocol(idle_ms=1.0))
        assert (sensor.started, sensor.stopped) == (1, 1)


class TestHeatAndClocks:
    def test_they_are_read_after_each_window_and_in_every_cell(self, path):
        run = Run(path, sensor=Sensor(knows=Conditions(0.0, temperatures_c={"GPU": 50.0}, caps={"gpu": 0})))
        for cell in run.cells.values():
            assert cell.thermal is not None
            assert cell.thermal.readings == ROUNDS
            assert (cell.thermal.throttled, cell.thermal.throttling) == (False, [])
            assert "GPU" in [each.name for each in cell.thermal.temperatures]

    def test_throttling_is_a_doubt(self, path):
        cell = Run(path, sensor=Sensor(knows=Conditions(0.0, caps={"gpu": 2}))).cells["a"]
        assert cell.thermal is not None
        assert cell.thermal.throttled
        assert "throttled" in [flag.code for flag in cell.flags]

    def test_the_state_in_force_is_in_every_cell_also_in_those_that_failed(self, path):
        faults = {"b": BuildFailed("no")}
        run = Run(path, faults=faults, power_mode=2, power_mode_name="MODE_15W", jetson_clocks=True)
        for variant, cell in run.cells.items():
            assert (cell.key.power_mode, cell.power_mode, cell.jetson_clocks) == (2, "MODE_15W", True), variant


class TestDeviceTimes:
    def test_they_are_taken_after_the_windows_and_not_within(self, path):
        run = Run(path, engine=Timed, sensor=Sensor())
        for variant, cell in run.cells.items():
            times = cell.device_latency
            assert times is not None
            assert times.count == ROUNDS * device_times.INFERENCES
            assert (times.h2d.mean_ms, times.d2h.max_ms) == (1.0, 3.0)
            # By the step count that stands in for the time: each was read right after a step of its own.
            assert times.compute.max_ms == run.backend.engines[variant].steps
            counted = sum(window.count for window in cell.rounds)
            assert cell.latency.count == counted
            extra = ROUNDS * (SETTLE_INFERENCES + device_times.INFERENCES)
            assert run.backend.engines[variant].steps == 2 * 16 + counted + extra

    def test_a_runtime_without_events_has_none(self, path):
        assert Run(path).cells["a"].device_latency is None


class TestPaced:
    PACING = Pacing(rate_hz=200, duration_ms=100, deadline_ms=1_000)

    def test_each_variant_serves_its_arrivals_after_the_rounds(self, path):
        run = Run(path, pacing=self.PACING)
        assert [(event.variant, event.figures) for event in run.stages("pace")] == [
            (variant, {"rate_hz": 200}) for variant in VARIANTS
        ]
        assert run.kinds.index("pace") > max(place for place, kind in enumerate(run.kinds) if kind == "measure")
        for cell in run.cells.values():
            found = cell.paced.run
            assert (found.arrivals, found.served, found.missed.successes) == (20, 20, 0)
            assert found.latency.scope.endswith(Engine.scope)
            assert cell.paced.highest_rate is None
            assert cell.latency.count == sum(window.count for window in cell.rounds)

    def test_energy_does_not_know_of_it(self, path):
        sensor = Sensor()
        run = Run(path, pacing=self.PACING, sensor=sensor)
        for windows, inferences, _ in sensor.asked:
            assert (len(windows), inferences) in [(ROUNDS, cell.latency.count) for cell in run.cells.values()]

    def test_the_search_tells_a_bracket(self, path):
        pacing = Pacing(search=True, duration_ms=100, deadline_ms=1_000, max_miss_rate=0.5)
        run = Run(path, pacing=pacing, variants=("dense",))
        found = run.cells["dense"].paced
        assert found.run is None
        assert found.highest_rate.rate_hz > 0
        assert len(run.stages("pace")) == found.highest_rate.runs

    def test_its_failure_does_not_cost_what_was_measured(self, path):
        steps = 2 * 16 + ROUNDS * (SETTLE_INFERENCES + 3)
        protocol = PROTOCOL.model_copy(update={"min_iterations": 3 * ROUNDS})
        faults = {"a": (steps + SETTLE_INFERENCES + 3, RunFailed("too hot"))}
        run = Run(path, protocol=protocol, pacing=self.PACING, faults=faults)
        assert run.states == dict.fromkeys(VARIANTS, "done")
        assert run.cells["a"].paced is None
        assert [flag.detail for flag in run.cells["a"].flags if flag.code == "paced-failed"] == ["too hot"]
        assert run.cells["b"].paced is not None

    def test_it_is_on_request(self, path):
        assert Run(path).cells["a"].paced is None


class TestMemoryAndSeries:
    def test_each_cell_tells_its_memory_or_why_not(self, path):
        for cell in Run(path).cells.values():
            known = cell.memory.host_peak_bytes
            assert known is None or known > 2**20
            assert (known is None) == (cell.memory.host_reason is not None)
            assert cell.memory.device_reason == "the backend runs on the CPU"

    def test_readings_over_time_are_kept_on_request(self, path):
        assert Run(path).cells["a"].series is None
        before = time.time()
        run = Run(path, series=SeriesOptions(max_points=5), pacing=TestPaced.PACING)
        for cell in run.cells.values():
            assert before - 1 <= cell.series.origin_unix_s <= time.time() + 1
            assert [span.name for span in cell.series.spans] == ["round"] * ROUNDS + ["paced"]
            latency = next(curve for curve in cell.series.curves if curve.name == "latency")
            assert (latency.readings, len(latency.values)) == (cell.latency.count, 5)


class TestSustained:
    PROTOCOL = PROTOCOL.model_copy(update={"sustained_ms": 40.0})

    def test_each_variant_runs_on_after_the_rounds(self, path):
        run = Run(path, protocol=self.PROTOCOL, sensor=Sensor(knows=Conditions(0.0, temperatures_c={"GPU": 60.0})))
        assert [event.variant for event in run.stages("sustain") if not event.figures] == list(VARIANTS)
        for cell in run.cells.values():
            assert cell.sustained is not None
            assert cell.sustained.duration_s >= 0.04
            assert cell.sustained.burst_fps > 0
            assert cell.sustained.sustained_fps > 0
            assert cell.sustained.thermal is not None
            assert cell.sustained.thermal.readings >= 2
            assert cell.thermal.readings == ROUNDS

    def test_neither_time_nor_energy_know_of_it(self, path):
        sensor = Sensor()
        run = Run(path, protocol=self.PROTOCOL, sensor=sensor)
        for windows, inferences, _ in sensor.asked:
            assert (len(windows), inferences) in [(ROUNDS, cell.latency.count) for cell in run.cells.values()]

    def test_its_failure_does_not_cost_what_was_measured(self, path):
        steps = 2 * 16 + ROUNDS * (SETTLE_INFERENCES + 3)
        protocol = self.PROTOCOL.model_copy(update={"min_iterations": 3 * ROUNDS})
        run = Run(path, protocol=protocol, faults={"a": (steps + 5, RunFailed("too hot"))})
        assert run.states == dict.fromkeys(VARIANTS, "done")
        assert run.cells["a"].sustained is None
        assert [flag.detail for flag in run.cells["a"].flags if flag.code == "sustained-failed"] == ["too hot"]
        assert run.cells["b"].sustained is not None

    def test_it_is_on_request(self, path):
        assert Run(path).cells["a"].sustained is None


class TestProfile:
    def run(self, path, **options):
        return Run(path, profile=ProfileOptions(iterations=7), **{"engine": Timed, **options})

    def test_layers_are_timed_in_place_of_the_whole(self, path):
        sensor = Sensor()
        run = self.run(path, batch_size=3, sensor=sensor)
        assert run.states == dict.fromkeys(VARIANTS, "done")
        assert (run.stages("measure"), run.stages("sustain"), sensor.started) == ([], [], 0)
        for cell in run.cells.values():
            assert isinstance(cell.profile, LayerProfile)
            assert (cell.profile.tool, cell.profile.iterations) == (Timed.profiler, 7)
            # Also those of the dense network, which lists no layers itself.
            assert [(layer.name, layer.source) for layer in cell.profile.layers] == [("/conv/Conv", "conv")]
            assert (cell.latency, cell.speedup, cell.power, cell.rounds) == (None, None, None, [])
            assert cell.parity.passed
            assert cell.build is not None
        assert run.backend.engines["a"].profiled == ((3, *INPUT_SHAPE), 7)

    def test_parity_comes_first(self, path):
        run = self.run(path, faults={"a": "wrong"})
        assert run.states == {"dense": "done", "a": "parity_failed", "b": "done", "c": "done"}
        assert "a" not in [event.variant for event in run.stages("profile")]

    def test_one_that_fails_ends_alone(self, path):
        run = self.run(path, faults={"b": "unprofiled"})
        assert run.states == {"dense": "done", "a": "done", "b": "failed", "c": "done"}
        assert run.cells["b"].error.detail == "no profile"

    def test_a_backend_that_cannot_names_those_that_can(self, path):
        run = self.run(path, engine=Engine)
        for cell in run.cells.values():
            assert (cell.state, cell.error.code) == ("failed", "profile-unsupported")
            assert "'fake'" in cell.error.detail
            assert cell.error.hint == "these can: tensorrt, torch2trt, onnxruntime, pytorch, pytorch-channels-last"


class TestAttack:
    OPTIONS = AttackOptions(norm="linf", eps=0.1, queries=3, images=10)

    def run(self, path, **options):
        return Run(path, attack=self.OPTIONS, **{"engine": Attackable, **options})

    def test_engines_are_attacked_in_place_of_being_timed(self, path):
        sensor = Sensor()
        run = self.run(path, batch_size=4, sensor=sensor)
        assert run.states == dict.fromkeys(VARIANTS, "done")
        assert (run.stages("warm-up"), run.stages("measure"), run.stages("rest"), sensor.started) == ([], [], [], 0)
        with open_bundle(path) as bundle:
            labels = read_verification(bundle).labels[:10]
        for cell in run.cells.values():
            found = cell.attack
            assert (found.attack.norm, found.attack.eps, found.attack.iterations) == ("linf", 0.1, 3)
            assert (found.natural.successes, found.natural.count) == (int((labels == cell_answers(path)).sum()), 10)
            right = [index for index in range(10) if labels[index] == cell_answers(path)[index] == 0]
            assert [image.position for image in found.images if image.is_right] == right
            assert found.robust.successes == len(right)
            assert found.robust_to_both.count == found.host.count == 10
            assert (cell.latency, cell.speedup, cell.power, cell.rounds) == (None, None, None, [])
            assert cell.parity.passed
            assert "order" not in cell.environment

    def test_images_are_told_as_they_are_done(self, path):
        run = self.run(path)
        for variant in VARIANTS:
            told = [event for event in run.events if isinstance(event, AttackedEvent) and event.variant == variant]
            assert [image for event in told for image in event.images] == run.cells[variant].attack.images
        assert all(event.attack.images_total == 10 for event in run.stages("attack"))

    def test_images_from_before_an_interruption_are_not_attacked_again(self, path):
        whole = self.run(path).cells["a"].attack
        rest = self.run(path, attacked={"a": whole.images[:7]})
        told = [event for event in rest.events if isinstance(event, AttackedEvent) and event.variant == "a"]
        assert [image.position for event in told for image in event.images] == [7, 8, 9]
        assert rest.cells["a"].attack == whole

    def test_one_engine_lives_at_a_time(self, path):
        alive = []

        class Watched(Attackable):
            def __enter__(self):
                alive.append(self)
                assert sum(engine.alive for engine in alive) == 0
                return super().__enter__()

        assert self.run(path, engine=Watched).states == dict.fromkeys(VARIANTS, "done")
        assert len(alive) == len(VARIANTS)

    def test_parity_comes_first_and_one_that_fails_ends_alone(self, path):
        run = self.run(path, faults={"a": "wrong", "b": (20, RunFailed("dead"))})
        assert run.states == {"dense": "done", "a": "parity_failed", "b": "failed", "c": "done"}
        assert "a" not in [event.variant for event in run.stages("attack")]
        assert run.cells["b"].error.detail == "dead"

    def test_without_labels_there_is_nothing_to_attack(self, tmp_path):
        fields, members = tiny_parts(variants=VARIANTS)
        verification = fields["verification"].model_copy(update={"labels": None, "origin": "network"})
        del members["verification/labels.npy"]
        write_bundle(tmp_path / "x.gdws", {**fields, "verification": verification}, members)
        run = self.run(tmp_path / "x.gdws")
        assert {cell.error.code for cell in run.cells.values()} == {"attack-impossible"}


def cell_answers(path):
    """Return the classes (10,) that the host's networks give."""
    with open_bundle(path) as bundle:
        verification = read_verification(bundle)
        (logits,) = read_natural(bundle, verification, "dense").host
    return logits.argmax(axis=1)[:10]


def test_when_nobody_listens_it_stops(path):
    def deaf(event):
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        Run(path, emit=deaf)


def test_long_replays_tell_how_far_they_are(path, monkeypatch):
    monkeypatch.setattr("gdws_agent.measuring.sweep._PROGRESS_INTERVAL_S", 0.0)
    told = [event.figures for event in Run(path, batch_size=10).stages("parity") if event.figures]
    assert told == [{"replayed": 10.0, "of": 16.0}, {"replayed": 16.0, "of": 16.0}] * 2 * len(VARIANTS)
