import pytest

from gdws_agent.first_run.checks import rails
from gdws_agent.first_run.checks.rails import check_rails
from gdws_agent.first_run.report import CheckFailed, CheckSkipped
from gdws_agent.power.ina3221 import Ina3221Sensor
from support.agents import eventually
from support.fake_tegrastats import install_tegrastats
from support.first_run import SENSOR, CannedBench, canned_bench, figures_of, measured
from support.sysfs import put_ina3221

#: {rail: (mV, mA)} of a Xavier NX: 4.5 W, 1 W, 0.9 W.
RAILS = {"VDD_IN": (5_000, 900), "VDD_CPU_GPU_CV": (5_000, 200), "VDD_SOC": (5_000, 180)}
TOLD = {"VDD_IN": 4_500, "VDD_CPU_GPU_CV": 1_000, "VDD_SOC": 900}


@pytest.fixture
def board(tmp_path, monkeypatch):
    """A function that gives a bench beside monitors of a board, and a tegrastats that tells what it is given.

    A load lasts until both were read often enough.
    """
    put_ina3221(tmp_path / "sys", "1-0040", RAILS)
    sensor = Ina3221Sensor(tmp_path / "sys", interval_s=0.01)
    monkeypatch.setattr(rails.registry, "get", lambda name, socket: sensor)
    monkeypatch.setattr("gdws_agent.first_run.tools.tegrastats.INTERVAL_S", 0.02)
    monkeypatch.setattr(rails, "INTERVAL_S", 0.0)
    started = []
    start = rails.Tegrastats.start
    monkeypatch.setattr(rails.Tegrastats, "start", lambda self: (start(self), started.append(self)))

    def make(told=TOLD, lines=15, **options):
        made = canned_bench(
            tmp_path,
            cells={"dense": measured("dense")},
            sensors=[SENSOR],
            tegrastats=install_tegrastats(tmp_path, told, **options),
        )
        measure = CannedBench.measure

        def load(self, *arguments, **fields):
            if started:
                eventually(lambda: len(started[0].lines) >= lines and len(sensor._readings) > 20)
            return measure(self, *arguments, **fields)

        monkeypatch.setattr(CannedBench, "measure", load)
        return made

    return make


def failure(made):
    with pytest.raises(CheckFailed) as caught:
        check_rails(made)
    return caught.value.outcome


@pytest.mark.parametrize("form", ["{name} {power}mW/{power}mW", "{name} {power}/{power}", "{name} {power}mW"])
def test_rails_and_total_agree(board, form):
    outcome = check_rails(board(form=form))
    assert outcome.status == "ok"
    assert outcome.summary.startswith("4 rails agree; total 4.50 W")
    assert [row[0] for row in outcome.tables[0].rows] == [*sorted(RAILS), "total"]
    assert "VDD_IN" in outcome.log[0]


def test_a_rail_that_differs_is_named(board):
    outcome = failure(board({**TOLD, "VDD_SOC": 1_100}))
    assert outcome.summary.startswith("VDD_SOC: ")
    assert ["VDD_SOC", pytest.approx(0.9), pytest.approx(1.1), pytest.approx(-0.2)] in outcome.tables[0].rows


def test_a_small_rail_may_differ_by_what_monitors_round(board):
    assert check_rails(board({**TOLD, "VDD_SOC": 980})).status == "ok"


def test_rails_of_other_names_are_a_failure(board):
    outcome = failure(board({"VDD_X": 900, "VDD_Y": 1}))
    assert "no rail in common" in outcome.summary
    alone = figures_of(outcome)["rails that one of them alone tells"]
    assert alone == "VDD_CPU_GPU_CV, VDD_IN, VDD_SOC, VDD_X, VDD_Y"


def test_a_tegrastats_that_shows_no_rails_is_a_failure(board):
    outcome = failure(board({}, lines=0))
    assert "in 0 lines" in outcome.summary


def test_without_a_sensor_its_reason_is_told(tmp_path):
    with pytest.raises(CheckSkipped, match="no power sensor") as caught:
        check_rails(canned_bench(tmp_path))
    assert caught.value.outcome.advice == ["ina3221: no monitor"]


def test_without_the_program_it_says_where_that_is(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CheckSkipped, match="tegrastats is not here") as caught:
        check_rails(canned_bench(tmp_path, sensors=[SENSOR]))
    assert "--tegrastats" in caught.value.outcome.advice[0]
