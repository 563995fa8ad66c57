"""The report of an optimisation."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdws.errors import ResultError
from gdws.results.optimisation import (
    Change,
    LayerVerdict,
    Network,
    Optimisation,
    load_optimisation,
    save_optimisation,
)
from gdws.results.report.optimisation import headline, layer_table, network_table, render

HOSTILE = "<script>alert(1)</script>|"


def _network(name: str, *, delivered: bool) -> Network:
    change = Change(points=0.4, low=-0.2, high=1.0, images=500)
    figures = {"cost": 2.0, "speedup": 1.9, "speedup_low": 1.8, "speedup_high": 2.0, "error": 0.01, "macs": 10**6}
    final = {"final_natural": change, "final_robust": change} if delivered else {}
    return Network(name=name, predicted=2.1, natural=change, robust=change, delivered=delivered, **figures, **final)


def _optimisation(**changes: object) -> Optimisation:
    layer = LayerVerdict(
        name=HOSTILE,
        shape="8×8×3×3",
        option="stacked-2",
        layout="stacked",
        mean_rank=2.0,
        macs_dense=2_000_000,
        macs=500_000,
        dense_ms=0.5,
        ms=0.2,
        error=0.01,
        why="saves 0.3 ms",
    )
    fields = {
        "network": "net",
        "goal": "at least 1.5 times as fast as dense",
        "natural_limit_points": 1.0,
        "robust_limit_points": None,
        "device": "a board",
        "setting": "onnxruntime, fp32, batch 1",
        "status": "delivered",
        "reason": "it takes at most 2 ms",
        "unit": "ms",
        "dense": 3.8,
        "bound": 2.5,
        "layers": (layer, layer.model_copy(update={"name": "b", "dense_ms": None, "ms": None, "error": None})),
        "networks": (_network("aa", delivered=True), _network("bb", delivered=False)),
        "residual_median": 0.021,
        "residual_p90": 0.05,
        "has_pair_terms": False,
        "is_profiled": True,
        "doubts": ("the machine was busy",),
        "host_s": 12.0,
    }
    return Optimisation(**{**fields, **changes})


def test_the_answer_is_one_sentence():
    assert headline(_optimisation()) == (
        "delivered: 1.90 times as fast as dense (1.80 to 2.00), 2.00 ms in place of 3.80; natural accuracy −0.4 points "
        "(−1.0 to +0.2, 500 images); robust accuracy −0.4 points (−1.0 to +0.2, 500 images)."
    )
    declined = _optimisation(status="declined", reason="none is faster", networks=())
    assert headline(declined) == "declined: the dense network stays. None is faster."


def test_what_is_not_known_is_a_dash():
    columns, rows = layer_table(_optimisation())
    assert rows[0][columns.index("ms")] == "0.200"
    assert [rows[1][columns.index(name)] for name in ("dense ms", "ms", "error")] == ["–", "–", "–"]
    assert network_table(_optimisation())[1][1][-1] == "–"


@pytest.mark.parametrize("suffix", [".html", ".md", ".json"])
def test_each_format_has_the_figures_and_no_markup_of_others(suffix: str):
    text = render(_optimisation(), suffix)
    assert "the machine was busy" in text
    assert "stacked-2" in text
    if suffix == ".html":
        assert "<script>" not in text
        assert text.count("<svg") == 2
    if suffix == ".md":
        assert HOSTILE not in text  # a bar would begin a new cell


def test_a_page_without_networks_has_no_plots():
    assert "<svg" not in render(_optimisation(status="declined", networks=()), ".html")
    with pytest.raises(ResultError, match="no report format"):
        render(_optimisation(), ".txt")


def test_it_survives_its_file(tmp_path: Path):
    path = tmp_path / "found.json"
    save_optimisation(_optimisation(), path)
    assert load_optimisation(path) == _optimisation()
    path.write_text('{"format": "gdws.optimisation"}')
    with pytest.raises(ResultError, match="field required"):
        load_optimisation(path)
