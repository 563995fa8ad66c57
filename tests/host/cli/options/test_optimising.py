from __future__ import annotations

from typing import Any

import pytest

from gdws.cli.options.optimising import GoalOptions, Minimised, SettingOptions
from gdws.errors import DeviceError, GdwsError
from gdws.evaluation.tasks import Classification, Segmentation
from gdws.pipeline.optimize import AccuracyLimits, BoardState, Goal
from gdws_contract.rest import Availability, DeviceInfo
from support.benchmark_results import device


@pytest.mark.parametrize(
    ("options", "goal"),
    [
        ({"fastest": True}, Goal("fastest")),
        ({"max_latency_ms": 33.0}, Goal("max_latency_ms", 33.0)),
        ({"pareto": 3}, Goal("pareto", 3)),
        ({"deadline_ms": 33.0, "minimise": Minimised.ENERGY}, Goal("least_energy", 33.0)),
        ({"deadline_ms": 33.0, "minimise": Minimised.PERIOD}, Goal("least_period_energy", 33.0)),
    ],
)
def test_one_option_is_the_goal(options: dict[str, Any], goal: Goal):
    assert GoalOptions(**options).goal() == goal


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "no goal is given"),
        ({"fastest": True, "min_fps": 30.0}, "--min-fps and --fastest exclude each other"),
        ({"min_speedup": 0.5}, "no gain over the dense network"),
        ({"deadline_ms": 33.0}, "--deadline-ms and --minimise belong together"),
        (
            {"fastest": True, "deadline_ms": 33.0, "minimise": Minimised.ENERGY},
            "--fastest and --minimise energy exclude each other",
        ),
    ],
)
def test_no_goal_and_two_are_refused(options: dict[str, Any], words: str):
    with pytest.raises(GdwsError, match=words):
        GoalOptions(**options).goal()


def test_limits_are_of_accuracy_for_classifiers_and_of_agreement_for_others():
    assert GoalOptions().limits(Classification()) == AccuracyLimits(1.0, 1.0)
    assert GoalOptions(max_robust_drop=2.0).limits(Classification()) == AccuracyLimits(1.0, 2.0)
    assert GoalOptions().limits(Segmentation()) == AccuracyLimits(10.0, None)
    assert GoalOptions(max_disagreement=5.0).limits(Segmentation()) == AccuracyLimits(5.0, None)
    with pytest.raises(GdwsError, match="--max-natural-drop is for classifiers, and this network is of the task segm"):
        GoalOptions(max_natural_drop=1.0).limits(Segmentation())
    with pytest.raises(GdwsError, match="--max-disagreement is for networks that are not classifiers"):
        GoalOptions(max_disagreement=1.0).limits(Classification())


def test_a_setting_is_what_the_device_can_run():
    setting = SettingOptions(threads="2", power_mode="0", min_duration=1.5).setting(device(), "url")
    assert (setting.backend, setting.threads, setting.power_mode) == ("onnxruntime", 2, 0)
    assert dict(setting.protocol) == {"min_duration_ms": 1500.0}
    assert SettingOptions(threads="auto").setting(device(), "url").threads == "auto"
    with pytest.raises(GdwsError, match="'many' is not a number of threads"):
        SettingOptions(threads="many").setting(device(), "url")
    with pytest.raises(DeviceError, match="no backend in int8"):
        SettingOptions(precision="int8").setting(device(), "url")
    with pytest.raises(DeviceError, match="'tensorrt' does not run here, or not in fp32"):
        SettingOptions(backend="tensorrt").setting(device(), "url")


@pytest.mark.parametrize(
    ("options", "states"),
    [
        ({}, ()),
        ({"power_modes": "maxn, 1, 15W"}, (BoardState("MAXN"), BoardState("MODE_15W"))),
        ({"power_modes": "all", "jetson_clocks": True}, (BoardState("MAXN", True), BoardState("MODE_15W", True))),
        ({"power_mode": "1", "vary_clocks": True}, (BoardState("MODE_15W", False), BoardState("MODE_15W", True))),
    ],
)
def test_power_modes_and_clocks_to_choose_among(options: dict, states: tuple[BoardState, ...]):
    assert SettingOptions(**options).states(board(), "url") == states


def board() -> DeviceInfo:
    jtop = Availability(name="jtop", available=True, detail={"power_modes": "MAXN, MODE_15W"})
    return device().model_copy(update={"power_sensors": [jtop]})


@pytest.mark.parametrize("asked", ["MAXM", "2", "30W", "MAXN, 2"])
def test_a_mode_that_the_board_does_not_have_is_refused_with_those_it_has(asked: str):
    with pytest.raises(DeviceError, match="the device has no power mode") as refused:
        SettingOptions(power_modes=asked).states(board(), "url")
    assert refused.value.hint == "its modes are 0 MAXN, 1 MODE_15W"
    if "," not in asked:
        with pytest.raises(DeviceError, match="the device has no power mode"):
            SettingOptions(power_mode=asked).setting(board(), "url")


@pytest.mark.parametrize("deadline_ms", [0.0, -5.0, float("nan"), float("inf")])
def test_a_deadline_is_a_positive_time(deadline_ms: float):
    with pytest.raises(GdwsError, match="--deadline-ms: expected a positive number"):
        GoalOptions(deadline_ms=deadline_ms, minimise=Minimised.ENERGY).goal()


@pytest.mark.parametrize(
    "options",
    [{"power_mode": "0", "power_modes": "all"}, {"vary_clocks": True, "jetson_clocks": False}, {"power_modes": "all"}],
)
def test_contradictory_or_unknown_states_are_refused(options: dict):
    with pytest.raises(GdwsError):
        SettingOptions(**options).states(device(), "url")
