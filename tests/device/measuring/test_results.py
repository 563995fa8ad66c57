from array import array

import pytest

from gdws_agent.errors import BuildFailed, OutOfMemory, PrecisionUnsupported
from gdws_agent.measuring.environment import Activity
from gdws_agent.measuring.results import Findings, failed_cell, measured_cell, parity_failed_cell, problem_with
from gdws_agent.measuring.windows import WarmUp, Window
from gdws_agent.power.base import Account
from gdws_contract.errors import BundleCorrupt
from gdws_contract.measures import Build, Flag, Power
from gdws_contract.rest import CellKey

QUIET = Activity(cpu_others_share=0.01, cpu_stolen_share=0.0, cpu_throttle_events=None)
POWER = Account(Power(sensor="none", reason="none"), [])


def findings(variant, medians_ms, count=50, batch_size=4):
    windows = [
        Window(float(index), index + 0.5, array("q", [round(median * 1e6)] * count))
        for index, median in enumerate(medians_ms)
    ]
    return Findings(
        key=CellKey(variant=variant, backend="fake", precision="fp32", batch_size=batch_size),
        started_at="2024-05-01T12:00:00.000Z",
        environment={"threads": 2},
        build=Build(time_s=1.0, precision="fp32"),
        scope="a scope",
        warm_up=WarmUp(True, 200.0, [1.0, 1.0, 1.0]),
        windows=windows,
    )


def measured(ours, baseline, account=POWER, activity=QUIET):
    return measured_cell(ours, baseline, "dense", account, activity, "2024-05-01T12:01:00.000Z")


class TestMeasured:
    def test_its_figures(self):
        dense, gdws = findings("dense", [4.0, 4.0, 4.0]), findings("gdws", [2.0, 2.0, 2.0])
        cell = measured(gdws, dense)
        assert cell.state == "done"
        assert cell.latency is not None
        assert (cell.latency.count, cell.latency.median_ms, cell.latency.scope) == (150, 2.0, "a scope")
        assert cell.fps == pytest.approx(2000.0)
        assert [(window.index, window.count, window.median_ms) for window in cell.rounds] == [
            (0, 50, 2.0),
            (1, 50, 2.0),
            (2, 50, 2.0),
        ]
        assert cell.speedup is not None
        assert (cell.speedup.ratio, cell.speedup.rounds, cell.speedup.baseline) == (pytest.approx(2.0), 3, "dense")
        assert cell.flags == []
        assert cell.environment == {"threads": 2, **QUIET._asdict()}
        assert cell.power == POWER.power
        assert cell.error is None

    def test_the_baseline_has_no_speedup(self):
        dense = findings("dense", [4.0, 4.0])
        cell = measured(dense, dense)
        assert cell.speedup is None
        assert cell.flags == []

    def test_without_a_baseline_there_is_no_speedup_and_a_flag(self):
        cell = measured(findings("gdws", [2.0, 2.0]), None)
        assert cell.speedup is None
        assert [flag.code for flag in cell.flags] == ["no-baseline"]

    def test_doubts_of_times_machine_and_sensor(self):
        few = findings("dense", [4.0, 4.0], count=2)
        account = Account(POWER.power, [Flag(code="power-near-idle", detail="...")])
        cell = measured(few, few, account, Activity(0.5, 0.0, None))
        assert [flag.code for flag in cell.flags] == ["few-samples", "other-load", "power-near-idle"]


def test_parity_failed():
    cell = parity_failed_cell(findings("gdws", []), "2024-05-01T12:01:00.000Z")
    assert (cell.state, cell.latency, cell.error, cell.rounds) == ("parity_failed", None, None, [])
    assert cell.build is not None


def test_failed_keeps_what_was_known():
    cell = failed_cell(findings("gdws", []), BuildFailed("no such operator", hint="export again"), "now")
    assert cell.state == "failed"
    assert cell.build is not None
    assert cell.error is not None
    assert (cell.error.code, cell.error.detail, cell.error.hint) == ("build-failed", "no such operator", "export again")


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (BuildFailed("x"), "build-failed", 422),
        (PrecisionUnsupported("x"), "precision-unsupported", 422),
        (OutOfMemory("x"), "out-of-memory", 500),
        (MemoryError(), "out-of-memory", 500),
        (BundleCorrupt("x", field="model.onnx"), "bundle-corrupt", 422),
        (ZeroDivisionError("division by zero"), "internal-error", 500),
    ],
)
def test_every_error_has_its_problem(error, code, status):
    problem = problem_with(error)
    assert (problem.code, problem.status) == (code, status)
    assert problem.detail


def test_an_error_that_nobody_foresaw_is_told():
    assert problem_with(KeyError("w")).detail == "KeyError: 'w'"


def test_a_bundles_error_tells_the_field():
    assert problem_with(BundleCorrupt("x", field="model.onnx")).field == "model.onnx"
