from __future__ import annotations

import io

import pytest
from rich.console import Console

from gdws.cli.views import live
from gdws.cli.views.live import LiveBenchmark, stage, summary
from gdws_contract.attacks import AttackProgress
from gdws_contract.profiles import LayerProfile, LayerTime
from gdws_contract.queueing import Estimate
from gdws_contract.rest import CellKey, Progress
from support.benchmark_results import DENSE, attacked_cell, cell, failed_cell, parity_failed_cell, result


def test_a_profile_in_a_line() -> None:
    layer = LayerTime(name="a", mean_ms=1.5, share=1.0)
    profile = LayerProfile(tool="x", iterations=1, total_ms=1.5, layers=[layer])
    profiled = cell(DENSE, DENSE, 1).model_copy(update={"latency": None, "profile": profile})
    assert summary(profiled) == "dense, onnxruntime, fp32, batch 1: 1 layer, 1.50 ms in total"


def test_a_cell_without_times_says_why() -> None:
    failed = failed_cell(DENSE, 1, "no tactic found")
    assert summary(failed) == "dense, onnxruntime, fp32, batch 1: no tactic found"
    assert ": failed parity, logits differ by" in summary(parity_failed_cell(DENSE, 1))


def test_an_attack_in_a_line() -> None:
    found = summary(attacked_cell(DENSE, 20))
    assert found == (
        "dense, onnxruntime, fp32, batch 1: 80 of 100 images withstand the attack (95 % interval 71.1–86.7 %)"
    )


def test_the_bars_show_how_far_an_attack_is(terminal: io.StringIO) -> None:
    told = AttackProgress(images=12, images_total=100, correct=9, queries=12_345, left_s=61.0)
    key = attacked_cell(DENSE, 20).key
    progress = Progress(cells_total=2, cells_finished=0, stage="attack", cell=key, attack=told)
    job = result([DENSE], state="running").job.model_copy(update={"progress": progress})
    with LiveBenchmark(quiet=False) as shown:
        shown.show(job)
    text = terminal.getvalue()
    assert "attack dense, batch 1, 9 of 12 images correct, 12,345 queries" in text
    assert "12/100" in text
    assert "0:01:01 left" in text or "0:01:00 left" in text


def test_a_power_mode_is_told_where_there_is_one() -> None:
    key = CellKey(variant="dense", backend="tensorrt", precision="fp16", batch_size=8, power_mode="MAXN")
    measured = cell(DENSE, DENSE, 1).model_copy(update={"key": key})
    assert summary(measured).startswith("dense, tensorrt, fp16, batch 8, power mode MAXN: ")

    progress = Progress(cells_total=1, cells_finished=0, stage="sustain", cell=key)
    job = result([DENSE], state="running").job.model_copy(update={"progress": progress})
    assert stage(job) == "sustain dense, batch 8, power mode MAXN"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a terminal of 120 columns is sent."""
    sent = io.StringIO()
    console = Console(file=sent, force_terminal=True, width=120, color_system=None, highlight=False)
    monkeypatch.setattr(live, "errors", lambda: console)
    return sent


def test_the_bars_show_cells_rounds_and_the_time_left(terminal: io.StringIO) -> None:
    measured = cell(DENSE, DENSE, 1)
    progress = Progress(
        cells_total=4, cells_finished=1, stage="measure", cell=measured.key.model_copy(update={"batch_size": 8}),
        round=4, rounds=10,
    )  # fmt: skip
    job = result([DENSE], state="running").job
    fields = {"progress": progress, "cells": [measured], "estimate": Estimate(ends_in_s=754.0)}
    with LiveBenchmark(quiet=False) as shown:
        shown.show(job.model_copy(update=fields))
        assert shown.cells == 1
    text = terminal.getvalue()

    assert summary(measured) in text
    assert "measure dense, batch 8, round 4 of 10" in text
    assert "1/4" in text
    assert "3/10" in text  # three rounds are over
    assert "0:12:34 left" in text or "0:12:33 left" in text


def test_without_an_estimate_no_time_left_is_told(terminal: io.StringIO) -> None:
    with LiveBenchmark(quiet=False) as shown:
        shown.show(result([DENSE], state="running").job)
    assert "left" not in terminal.getvalue()


def test_quiet_says_nothing(terminal: io.StringIO) -> None:
    with LiveBenchmark(quiet=True) as shown:
        shown.show(result([DENSE], state="running").job)
    assert terminal.getvalue() == ""
