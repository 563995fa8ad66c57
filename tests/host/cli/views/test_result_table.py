from __future__ import annotations

import pytest

from gdws.cli.views.result_table import print_summary
from gdws.results.report import summarise
from gdws_contract.measures import Power
from support.benchmark_results import DENSE, KEPT, jetson_cell, jetson_result, result


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
