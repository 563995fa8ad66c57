"""What else was not the same in two runs."""

from __future__ import annotations

from typing import Optional

import pytest

from gdws_contract.findings.environment import differences, jetpack, surroundings
from gdws_contract.rest import Availability, Cell, Protocol
from gdws_contract.thermal import ClockSummary, Thermal
from support.benchmark_results import DENSE, KEPT, cell, jetson_result, result, thermal


def test_the_same_surroundings_do_not_differ() -> None:
    assert differences(result([DENSE]), result([DENSE])) == ()


def test_networks_and_their_times_are_no_surroundings() -> None:
    assert differences(result([DENSE]), result([DENSE, KEPT], name="other")) == ()


def test_device_releases_modes_and_protocol_are_named() -> None:
    before, after = jetson_result([DENSE]), jetson_result([DENSE], modes=("MODE_30W",))
    device = before.device.model_copy(update={"l4t": "35.4.1", "agent_version": "0.1.0"})
    changed = before.device.model_copy(update={"l4t": "36.4.0", "agent_version": "0.2.0", "hostname": "orin"})
    after.job.cells[0].environment["backend_version"] = "10.3"
    request = after.job.request.model_copy(update={"protocol": Protocol(rounds=20)})
    found = {
        each.what: (each.a, each.b)
        for each in differences(
            before.model_copy(update={"device": device}),
            after.model_copy(update={"device": changed, "job": after.job.model_copy(update={"request": request})}),
        )
    }
    assert found["device"] == ("xavier", "orin")
    assert found["JetPack"] == ("5", "6")
    assert found["L4T"] == ("35.4.1", "36.4.0")
    assert found["agent"] == ("0.1.0", "0.2.0")
    assert found["power mode"] == ("MAXN", "MODE_30W")
    assert found["tensorrt: version"] == ("1.23.0", "10.3")
    assert found["protocol: rounds"] == ("10", "20")
    assert "protocol: seed" not in found


def test_what_a_runtime_says_of_itself_counts() -> None:
    made = result([DENSE])
    told = [Availability(name="onnxruntime", available=True, version="1.23.0", detail={"gpu": "Orin", "none": ""})]
    device = made.device.model_copy(update={"backends": told})
    (found,) = differences(made, made.model_copy(update={"device": device}))
    assert (found.what, found.a, found.b) == ("onnxruntime: gpu", None, "Orin")
    assert str(found) == "onnxruntime: gpu: not known, then Orin"


def test_options_of_engines_are_compared_cell_by_cell() -> None:
    def with_options(*options: str, batch_size: int = 1) -> Cell:
        made = cell(KEPT, DENSE, batch_size)
        assert made.build is not None
        return made.model_copy(update={"build": made.build.model_copy(update={"options": list(options)})})

    before = [with_options("allow_spinning=0", "intra_op_threads=2"), with_options("level=3", batch_size=8)]
    after = [with_options("force_spinning_stop=1", "intra_op_threads=2"), with_options("level=5", batch_size=16)]
    found = differences(result([DENSE, KEPT], cells=before), result([DENSE, KEPT], cells=after))
    assert [str(each) for each in found] == [
        "onnxruntime: allow spinning: 0, then not known",
        "onnxruntime: force spinning stop: not known, then 1",
    ]
    failed = before[0].model_copy(update={"build": None})
    assert differences(result([DENSE, KEPT], cells=[failed]), result([DENSE, KEPT], cells=after)) == ()


def test_heat_that_slowed_one_of_them_is_named() -> None:
    calm = jetson_result([DENSE])
    (hot,) = (each.model_copy(update={"thermal": thermal(throttling=("GPU",))}) for each in calm.job.cells)
    slowed = calm.model_copy(update={"job": calm.job.model_copy(update={"cells": [hot]})})
    assert [str(each) for each in differences(calm, slowed)] == ["throttled: no, then yes"]


def test_the_limit_of_the_memory_clock_counts() -> None:
    def with_limit(limit_mhz: Optional[float]) -> Cell:
        emc = ClockSummary(name="EMC", min_mhz=200, mean_mhz=900, max_mhz=1333, limit_mhz=limit_mhz)
        return cell(DENSE, DENSE, 1).model_copy(update={"thermal": Thermal(readings=3, clocks=[emc])})

    before, after = (result([DENSE], cells=[with_limit(limit)]) for limit in (2133.0, 1333.0))
    (found,) = differences(before, after)
    assert str(found) == "memory clock limit: 2133 MHz, then 1333 MHz"
    assert surroundings(result([DENSE], cells=[with_limit(None)]))["memory clock limit"] is None


def test_a_setting_that_changed_within_a_run_shows_each_value() -> None:
    cells = [cell(DENSE, DENSE, 1), cell(DENSE, DENSE, 8)]
    cells[1].environment["threads"] = 4
    assert surroundings(result([DENSE], cells=cells))["threads"] == "2, 4"


@pytest.mark.parametrize(
    ("l4t", "expected"), [("35.4.1", "5"), ("36.4", "6"), ("39.2", "7"), ("99.1", None), (None, None)]
)
def test_jetpack_by_the_release_of_l4t(l4t: Optional[str], expected: Optional[str]) -> None:
    assert jetpack(l4t) == expected
