from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdws_agent.measuring.arrivals import Log
from gdws_agent.measuring.results import Findings
from gdws_agent.measuring.series import series_of, thinned
from gdws_agent.measuring.windows import Window
from gdws_agent.power.energy import Sample
from gdws_agent.power.thermal import Conditions
from gdws_contract.rest import CellKey
from gdws_contract.series import MAX_CURVES, SeriesOptions

KEY = CellKey(variant="dense", backend="onnxruntime", precision="fp32", batch_size=1)


def findings(**fields):
    windows = [Window(10.0, 10.2, array("q", [100_000_000, 90_000_000])), Window(11.0, 11.1, array("q", [95_000_000]))]
    return Findings(KEY, "now", {}, windows=windows, **fields)


def curve(series, name):
    return next(each for each in series.curves if each.name == name)


def test_a_cell_keeps_its_own_stretches_on_one_time_line():
    log = Log([0, 20_000_000], [0, 30_000_000], [25_000_000, 55_000_000], 55_000_000, 12.0)
    power = [Sample(t, t, 5.0 + t, {"VDD_IN": 4.0}) for t in (9.0, 10.1, 10.5, 11.05, 12.01)]
    conditions = [Conditions(10.2, {"CPU": 40.0}, {"GPU": 900.0})]
    found = series_of(findings(paced_log=log, conditions=conditions), power, SeriesOptions(), 1_000.0)
    assert found.origin_unix_s == 1_010.0
    assert [(s.name, s.start_s, s.count) for s in found.spans] == [
        ("round", 0.0, 2),
        ("round", 1.0, 1),
        ("paced", 2.0, 2),
    ]
    assert curve(found, "latency").times_s == [0.0, 0.1, 1.0]
    assert curve(found, "latency").values == [100.0, 90.0, 95.0]
    assert (curve(found, "paced latency").times_s, curve(found, "paced latency").values) == ([2.0, 2.02], [25.0, 35.0])
    # Another network ran at 9.0 and 10.5 s.
    assert curve(found, "total").times_s == pytest.approx([0.1, 1.05, 2.01])
    assert curve(found, "rail VDD_IN").values == [4.0] * 3
    assert (curve(found, "CPU").unit, curve(found, "GPU").values) == ("°C", [900.0])
    assert found.left_out == 0


def test_points_and_curves_are_bounded():
    many = [Conditions(10.2, {f"zone{number}": 40.0 for number in range(100)})]
    found = series_of(findings(conditions=many), [], SeriesOptions(max_points=2), 0.0)
    assert (len(found.curves), found.left_out) == (MAX_CURVES, 101 - MAX_CURVES)
    assert curve(found, "latency").readings == 3
    assert curve(found, "latency").values == [100.0, 95.0]


@given(st.lists(st.integers(), min_size=1, max_size=300), st.integers(2, 50))
def test_thinned_points_are_evenly_spread_with_both_ends(values, most):
    points = [(float(number), value) for number, value in enumerate(values)]
    kept = list(thinned(points, most))
    assert len(kept) == min(len(points), most)
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    gaps = [later - earlier for (earlier, _), (later, _) in zip(kept, kept[1:])]
    assert not gaps or max(gaps) - min(gaps) <= 1
