from __future__ import annotations

import pytest

from gdws.errors import SettingsError
from gdws.gate.limits import Limits
from gdws.gate.run_figures import run_verdicts
from gdws.gate.settings import GateSettings
from gdws.gate.verdicts import Verdict
from gdws_contract.measures import Flag
from gdws_contract.memory import Memory
from gdws_contract.pacing import PacedResult
from gdws_contract.rest import BenchmarkRequest, Cell
from support.benchmark_results import paced
from support.gate_runs import DENSE_SUBJECT, timed_cell

MIB = 2**20


def with_misses(missed: int | None) -> Cell:
    run = None if missed is None else paced(arrivals=200, missed=missed)
    return timed_cell(2.0).model_copy(update={"paced": PacedResult(run=run, waits_by="spins")})


def with_memory(total_mib: float | None, **fields: str) -> Cell:
    total = None if total_mib is None else round(total_mib * MIB)
    return timed_cell(2.0).model_copy(update={"memory": Memory(total_peak_bytes=total, **fields)})


def only(limits: Limits, *cells: Cell) -> Verdict:
    [verdict] = run_verdicts(limits, DENSE_SUBJECT, cells)
    return verdict


@pytest.mark.parametrize(
    ("missed", "outcome"),
    [
        ((0, 2), "PASS"),
        ((1, 3), "INCONCLUSIVE"),
        ((3, 9), "FAIL"),
        ((9,), "INCONCLUSIVE"),  # nothing is failed on one run
        ((0, None), "INCONCLUSIVE"),
    ],
)
def test_missed_deadlines_of_every_run_count(missed: tuple[int | None, ...], outcome: str) -> None:
    verdict = only(Limits(max_miss_rate_percent=1), *map(with_misses, missed))
    assert verdict.outcome == outcome
    if outcome == "FAIL":
        assert "deadlines missed 1.50 to 4.50 % in 2 runs, limit 1 %: FAIL" in verdict.sentence
        assert (verdict.low, verdict.high, verdict.unit) == (1.5, 4.5, "%")


def test_no_miss_at_all_may_be_asked_for() -> None:
    assert only(Limits(max_miss_rate_percent=0), with_misses(0), with_misses(0)).outcome == "PASS"
    assert only(Limits(max_miss_rate_percent=0), with_misses(1), with_misses(1)).outcome == "FAIL"


@pytest.mark.parametrize(
    ("cells", "outcome", "words"),
    [
        ((with_memory(90), with_memory(100)), "PASS", "peak memory 90.0 to 100 MiB in 2 runs"),
        ((with_memory(90), with_memory(90.001)), "PASS", "peak memory 90.0 MiB in 2 runs"),
        ((with_memory(101), with_memory(102)), "FAIL", "limit 100 MiB"),
        ((with_memory(90), with_memory(102)), "INCONCLUSIVE", "90.0 to 102"),
        ((with_memory(None, host_reason="no clear_refs"),) * 2, "INCONCLUSIVE", "no clear_refs"),
        ((with_memory(None, device_reason="it does not tell"),) * 2, "INCONCLUSIVE", "it does not tell"),
        ((timed_cell(2.0),) * 2, "INCONCLUSIVE", "the agent does not tell"),
        ((), "INCONCLUSIVE", "not known in every run"),
    ],
)
def test_memory_of_every_run_counts(cells: tuple[Cell, ...], outcome: str, words: str) -> None:
    verdict = only(Limits(max_memory_mib=100), *cells)
    assert verdict.outcome == outcome
    assert words in verdict.sentence


def test_why_nothing_was_paced_is_told() -> None:
    failed = timed_cell(2.0).model_copy(update={"flags": [Flag(code="paced-failed", detail="the GPU is gone")]})
    assert "the GPU is gone" in only(Limits(max_miss_rate_percent=1), failed, failed).sentence


def test_the_request_has_the_arrivals() -> None:
    settings = GateSettings.model_validate({"measure": {"rate_hz": 30, "deadline_ms": 20, "paced_s": 5}})
    request = BenchmarkRequest(model_id="0" * 64, **settings.measure.request())
    assert request.pacing is not None
    assert (request.pacing.rate_hz, request.pacing.deadline_ms, request.pacing.duration_ms) == (30, 20, 5_000)
    assert BenchmarkRequest(model_id="0" * 64, **GateSettings().measure.request()).pacing is None


@pytest.mark.parametrize(
    ("limits", "measure", "name"),
    [
        ({"max_miss_rate_percent": 1}, {}, "limits.max_miss_rate_percent"),
        ({}, {"deadline_ms": 5}, "measure.deadline_ms"),
    ],
)
def test_deadlines_without_arrivals_are_refused(limits: dict[str, float], measure: dict[str, float], name: str) -> None:
    with pytest.raises(SettingsError, match=rf"{name}: it is for inferences .* \(--rate\)"):
        GateSettings().with_options(limits, {}, measure)
