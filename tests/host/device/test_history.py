"""What an agent measured before, chosen by bundle and time."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import httpx
import pytest

from gdws.device.client import DeviceClient
from gdws.device.history import fetch_result, models_called, parse_since, parse_time, select
from gdws.errors import DeviceRefused, GdwsError, ResultError
from gdws_contract.problems import CONTENT_TYPE
from gdws_contract.rest import ModelInfo
from support.benchmark_results import DENSE, MODEL_ID, manifest, result

NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
JOB = result([DENSE]).job
MODEL = ModelInfo(
    id=MODEL_ID,
    name="mnist",
    size_bytes=1,
    created_at="2026-01-02T03:04:00Z",
    baseline="dense",
    variants=["dense"],
    manifest=manifest([DENSE]),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12h", NOW - timedelta(hours=12)),
        ("7d", NOW - timedelta(days=7)),
        ("2w", NOW - timedelta(weeks=2)),
        ("2026-01-02", datetime(2026, 1, 2, tzinfo=timezone.utc)),
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)),
        ("2026-01-02T03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5, tzinfo=timezone.utc)),
    ],
)
def test_a_point_in_time_is_an_age_or_a_date(text: str, expected: datetime) -> None:
    assert parse_since(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "7", "7y", "99999999999999d", "2026-13-01"])
def test_what_is_no_point_in_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(GdwsError, match="is not a valid time") as caught:
        parse_since(text, NOW)
    assert "7d" in (caught.value.hint or "")


def test_jobs_are_chosen_by_bundle_and_time() -> None:
    late = JOB.model_copy(update={"id": "late", "created_at": "2026-01-30T00:00:00.000Z"})
    other = JOB.model_copy(update={"request": JOB.request.model_copy(update={"model_id": "cd" * 32})})
    assert select([late, JOB, other]) == [late, JOB, other]
    assert select([late, JOB], since=parse_time("2026-01-30")) == [late]
    assert select([late, JOB, other], model_ids=frozenset({MODEL_ID})) == [late, JOB]
    assert select([late], model_ids=frozenset()) == []


def test_a_bundle_is_called_by_its_name_or_the_beginning_of_its_id() -> None:
    assert models_called([MODEL], "mnist") == models_called([MODEL], MODEL_ID[:7]) == {MODEL_ID}
    assert models_called([MODEL], "mni") == frozenset()


def served(*, has_model: bool = True) -> DeviceClient:
    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/benchmark/job-1":
            return httpx.Response(200, text=JOB.model_dump_json())
        if path == "/device":
            return httpx.Response(200, text=result([DENSE]).device.model_dump_json())
        if path.startswith("/models/") and has_model:
            return httpx.Response(200, text=MODEL.model_dump_json())
        problem = {"type": "urn:gdws:problem:not-found", "title": "No such thing", "status": 404}
        return httpx.Response(404, json=problem, headers={"content-type": CONTENT_TYPE})

    return DeviceClient("http://device", transport=httpx.MockTransport(answer))


def test_a_job_is_a_result() -> None:
    found = fetch_result(served(), "job-1")
    assert (found.job, found.manifest, found.partial) == (JOB, MODEL.manifest, False)


def test_a_job_that_is_not_there_is_refused_by_the_agent() -> None:
    with pytest.raises(DeviceRefused, match="No such thing"):
        fetch_result(served(), "job-2")


def test_a_bundle_that_was_let_go_is_told() -> None:
    with pytest.raises(ResultError, match="no longer has the bundle abababababab"):
        fetch_result(served(has_model=False), "job-1")
