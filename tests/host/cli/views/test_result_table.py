from __future__ import annotations

import pytest

from gdws.cli.views.result_table import print_summary
from gdws.results.report import summarise
from gdws_contract.measures import Power
from gdws_contract.pacing import HighestRate, PacedResult
from support.benchmark_results import DENSE, KEPT, cell, jetson_cell, jetson_result, paced, result


def test_each_power_mode_has_tables_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(summarise(jetson_result([DENSE, KEPT], modes=("MAXN", 2))))
    printed = capsys.readouterr().out
    for mode in ("MAXN", "power mode 2"):
        assert f"batch 1, tensorrt, fp16, {mode}; times in ms" in printed
        assert f"power, batch 1 · tensorrt · fp16 · {mode}" in printed
    assert printed.count("42.8 mJ (42.0–43.7)") == 2


def test_a_network_without_power_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    silent = Power(sensor="jtop", reason="the sensor gave no readings")
    cells = [jetson_cell(DENSE, DENSE), jetson_cell(KEPT, DENSE).model_copy(update={"power": silent})]
    print_summary(summarise(result([DENSE, KEPT], cells=cells)))
    assert "the sensor gave no readings" in capsys.readouterr().out


def test_a_plain_machine_has_no_table_of_power(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(summarise(result([DENSE, KEPT])))
    printed = capsys.readouterr().out
    assert "batch 1, onnxruntime, fp32; times in ms" in printed
    assert "power" not in printed


def test_deadlines_and_the_highest_rate_are_printed_where_they_were_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    highest = HighestRate(rate_hz=118.2, missed_hz=120.1, max_miss_rate=0.001, deadline_ms=20, runs=14, arrivals=900)
    found = PacedResult(run=paced(), highest_rate=highest, waits_by="spins")
    cells = [cell(DENSE, DENSE, 1), cell(KEPT, DENSE, 1).model_copy(update={"paced": found})]
    print_summary(summarise(result([DENSE, KEPT], cells=cells)))
    printed = capsys.readouterr().out
    assert "deadlines, batch 1" in printed
    assert "highest rate, batch 1" in printed
    assert "118 Hz" in printed
