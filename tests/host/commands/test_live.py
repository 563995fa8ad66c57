from __future__ import annotations

from gdws.commands.live import stage, summary
from gdws_contract.profiles import LayerProfile, LayerTime
from gdws_contract.rest import CellKey, Progress
from support.benchmark_results import DENSE, cell, result


def test_a_profile_in_a_line() -> None:
    layer = LayerTime(name="a", mean_ms=1.5, share=1.0)
    profile = LayerProfile(tool="x", iterations=1, total_ms=1.5, layers=[layer])
    profiled = cell(DENSE, DENSE, 1).model_copy(update={"latency": None, "profile": profile})
    assert summary(profiled) == "dense, onnxruntime, fp32, batch 1: 1 layer, 1.50 ms together"


def test_a_power_mode_is_told_where_there_is_one() -> None:
    key = CellKey(variant="dense", backend="tensorrt", precision="fp16", batch_size=8, power_mode="MAXN")
    measured = cell(DENSE, DENSE, 1).model_copy(update={"key": key})
    assert summary(measured).startswith("dense, tensorrt, fp16, batch 8, power mode MAXN: ")

    progress = Progress(cells_total=1, cells_finished=0, stage="sustain", cell=key)
    job = result([DENSE], state="running").job.model_copy(update={"progress": progress})
    assert stage(job) == "sustain dense, batch 8, power mode MAXN"
