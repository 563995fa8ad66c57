from __future__ import annotations

import pytest

from gdws.results.report.figures import facts
from gdws.results.report.tables import Table, device_tables, layer_profiles
from gdws_contract.measures import Power
from gdws_contract.rest import BenchmarkResult
from support.benchmark_results import (
    DENSE,
    KEPT,
    cell,
    jetson_cell,
    jetson_result,
    profiled_cell,
    result,
    thermal,
)

TITLES = ["Power and energy", "By the device's clock", "Burst against sustained", "Heat and clocks", "Engines"]


def tables(found: BenchmarkResult) -> dict[str, Table]:
    return {table.title: table for table in device_tables(facts(found))}


def cells(table: Table, name: str = "mean-rank-4", group: int = 0) -> dict[str, str]:
    (row,) = [row for row in table.groups[group][1] if row.name == name]
    assert len(row.cells) == len(table.columns)
    return dict(zip(table.columns, row.cells, strict=True))


def with_one(**changes: object) -> BenchmarkResult:
    """A result of two networks on a Jetson, in which the second differs by ``changes``."""
    return result([DENSE, KEPT], cells=[jetson_cell(DENSE, DENSE), jetson_cell(KEPT, DENSE).model_copy(update=changes)])


def test_a_plain_machine_has_none_of_them() -> None:
    assert tables(result([DENSE, KEPT])) == {}


def test_a_jetson_has_all_of_them_group_by_group() -> None:
    found = tables(jetson_result([DENSE, KEPT], modes=("MAXN", 2)))
    assert list(found) == TITLES
    for table in found.values():
        assert [heading for heading, _ in table.groups] == [
            "batch 1 · tensorrt · fp16 · MAXN",
            "batch 1 · tensorrt · fp16 · power mode 2",
        ]
        assert [[row.name for row in rows] for _, rows in table.groups] == [["dense", "mean-rank-4"]] * 2


def test_power() -> None:
    table = tables(jetson_result([DENSE, KEPT]))["Power and energy"]
    assert cells(table) == {
        "Mean power": "28.0 W",
        "Peak": "31.0 W",
        "Idle": "8.00 W",
        "Energy per inference": "42.8 mJ (42.0–43.7)",
        "Above idle": "30.6 mJ",
        "FPS per watt": "23.3",
        "Readings": "31, every 100 ms",
    }
    assert "Module power, rail VDD_IN. Sensor: ina3221." in table.note


def test_a_cell_without_power_says_why_beside_those_with_it() -> None:
    table = tables(with_one(power=Power(sensor="ina3221", reason="too few readings")))["Power and energy"]
    assert [(row.name, row.reason) for row in table.groups[0][1]] == [
        ("dense", None),
        ("mean-rank-4", "too few readings"),
    ]


def test_columns_that_nobody_knows_are_left_out() -> None:
    bare = Power(sensor="jtop", mean_w=20.0)
    table = tables(result([DENSE], cells=[jetson_cell(DENSE, DENSE).model_copy(update={"power": bare})]))
    assert table["Power and energy"].columns == ("Mean power",)


def test_the_devices_clock_beside_the_hosts() -> None:
    assert cells(tables(jetson_result([DENSE, KEPT]))["By the device's clock"]) == {
        "n": "100",
        "H2D ms": "0.0500 (0.0600)",
        "Compute ms": "1.35 (1.62)",
        "D2H ms": "0.0200 (0.0240)",
        "By the host's clock": "1.50 ms",
    }


def test_burst_against_sustained() -> None:
    row = cells(tables(jetson_result([DENSE, KEPT]))["Burst against sustained"])
    assert (row["Burst FPS"], row["Sustained FPS"], row["Sustained / burst"]) == ("654", "523", "80.0 %")
    assert row["Hottest zone"] == "GPU-therm 46 → 71 °C"


def test_heat_and_clocks() -> None:
    row = cells(tables(jetson_result([DENSE, KEPT], modes=(2,)))["Heat and clocks"])
    assert row == {
        "Power mode": "MODE_15W",
        "jetson_clocks": "on",
        "Hottest zone": "GPU-therm 46 → 52 °C",
        "GPU MHz": "1377",
        "CPU MHz": "2100 (1190–2265)",
        "Throttled": "no",
    }


def test_throttling_is_told_with_its_signs() -> None:
    hot = thermal(throttling=("the limit of the GPU clock fell from 1377 to 900 MHz",))
    row = cells(tables(with_one(thermal=hot))["Heat and clocks"])
    assert row["Throttled"] == "yes: the limit of the GPU clock fell from 1377 to 900 MHz"


@pytest.mark.parametrize("throttled", [None, False])
def test_unknown_throttling_is_not_shown_as_no(throttled: bool | None) -> None:
    seen = thermal().model_copy(update={"throttled": throttled})
    table = tables(result([DENSE], cells=[cell(DENSE, DENSE, 1).model_copy(update={"thermal": seen})]))
    assert ("Throttled" in table["Heat and clocks"].columns) == (throttled is False)


def test_engines_and_their_spread() -> None:
    assert cells(tables(jetson_result([DENSE, KEPT]))["Engines"]) == {
        "Build time": "41.0 s",
        "From cache": "no",
        "Size": "5.00 MiB",
        "Precision in force": "fp16",
        "Best · median · worst": "3 built: 0.900 · 1.00 · 1.30 ms",
    }


def test_the_layers_of_a_profile() -> None:
    first, second = layer_profiles(facts(result([DENSE, KEPT], cells=[profiled_cell(DENSE), profiled_cell(KEPT)])))
    assert (first.title, second.title) == (
        "dense, batch 1, onnxruntime, fp32",
        "mean-rank-4, batch 1, onnxruntime, fp32",
    )
    assert first.columns == ("From layer", "Kind", "Mean ms", "Share")
    assert [(row.name, row.cells) for row in first.groups[0][1]] == [
        ("conv1/Conv", ("conv1", "Conv", "0.750", "75.0 %")),
        ("fc/Gemm", ("–", "Gemm", "0.250", "25.0 %")),
    ]
    assert "mean of 50 inferences" in first.note
