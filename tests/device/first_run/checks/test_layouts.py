import pytest

from gdws_agent.first_run.bundle import FORMS
from gdws_agent.first_run.checks.layouts import check_layouts
from gdws_agent.first_run.report import CheckFailed
from gdws_contract.measures import Flag
from support.agents import available
from support.first_run import CannedBench, canned_bench, measured


def cells(ratios=(1.5, 2.5, 0.7)):
    made = {name: measured(name, ratio=ratio) for name, ratio in zip(FORMS[1:], ratios)}
    return {"dense": measured("dense", flags=[Flag(code="drift", detail="moved by 9%")]), **made}


def test_each_form_has_its_cost_in_each_precision(tmp_path):
    bench = canned_bench(tmp_path, cells=cells())
    outcome = check_layouts(bench)
    assert outcome.status == "ok"
    assert [asked["precision"] for asked in bench.asked] == ["fp16", "int8"]
    assert outcome.summary.startswith("fp16: stacked is fastest, 2.50 (2.25 to 2.75) times as fast as dense; int8: ")
    assert outcome.summary.endswith("; doubts about these figures: 2")
    fp16 = outcome.tables[0]
    assert [row[0] for row in fp16.rows] == list(FORMS)
    assert all(len(row) == len(fp16.columns) for row in fp16.rows)
    assert outcome.tables[2].rows[0] == ["fp16", "dense", "drift: moved by 9%"]


def test_where_no_layout_is_faster_dense_is(tmp_path):
    outcome = check_layouts(canned_bench(tmp_path, cells=cells((0.9, 0.8, 0.7))))
    assert outcome.summary.startswith("fp16: dense is fastest, and gather 0.90 times as fast")


def test_a_backend_without_either_is_measured_in_fp32(tmp_path):
    bench = canned_bench(tmp_path, cells=cells(), backends=[available("onnxruntime")])
    check_layouts(bench)
    assert [asked["precision"] for asked in bench.asked] == ["fp32"]


def test_one_precision_that_fails_does_not_cost_the_other(tmp_path, monkeypatch):
    measure = CannedBench.measure

    def no_int8(self, variants, precision, **options):
        if precision == "int8":
            raise CheckFailed("int8, dense: Build failed", "quantise it before")
        return measure(self, variants, precision, **options)

    monkeypatch.setattr(CannedBench, "measure", no_int8)
    with pytest.raises(CheckFailed, match="int8, dense") as caught:
        check_layouts(canned_bench(tmp_path, cells=cells()))
    assert caught.value.outcome.tables[0].title == "fp16"
    assert caught.value.outcome.advice == ["quantise it before"]
