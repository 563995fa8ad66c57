"""The routes about jobs: below ``/jobs`` each kind of job, and ``/benchmark``, ``/profile`` and ``/attack`` by name.

Both are one implementation: every route of a job is there under both paths, and answers the same.
"""

from __future__ import annotations

from typing import Any, Callable, List, Optional

from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from gdws_agent.jobs.queue import is_final
from gdws_agent.service import Service
from gdws_agent.storage.rows import JobText
from gdws_contract.findings.comparison import Comparison
from gdws_contract.findings.result import Findings, JobResult
from gdws_contract.rest import Job, JobList

from . import examples
from .job_cache import JobCache, Look
from .job_events import EVENT_STREAM, EventStream, JobSubscribers
from .long_polling import hold_until_final
from .parameters import (
    ComparedJob,
    Cursor,
    IdempotencyKey,
    JobId,
    LastEventId,
    LeaseId,
    Limit,
    Rounds,
    State,
    Verdicts,
    Wait,
    cursor_text,
    number,
)
from .responses import PiecesResponse, documented_answer, documented_problems, json_response
from .submission import Sender, submit

_JOBS, _BENCHMARK = "/jobs", "/benchmark"
#: More than the worker's grace, so that the answer to a cancellation shows the job as it ended.
_CANCEL_MARGIN_S = 2.0
_EXAMPLE_EVENTS = (
    'event: progress\ndata: {"cells_total": 4, "cells_finished": 2, "stage": "measure", "ends_in_s": 14.5}\n\n'
    'event: cell\nid: 3\ndata: {"key": {"variant": "gdws", "batch_size": 8}, "state": "done"}\n\n'
)


def add_job_routes(app: FastAPI, service: Service, subscribers: JobSubscribers) -> None:
    """Add the routes to ``app``."""
    _add_submission(app, service)
    _add_reading(app, service)
    _add_events(app, subscribers)
    _add_cancellation(app, service)


def _both(app: FastAPI, suffix: str, method: str, summary: str, **options: Any) -> Callable[[Any], Any]:
    """Decorate the function that answers ``method`` below both paths; ``options`` are FastAPI's."""

    def add(answer: Any) -> Any:
        app.api_route(_JOBS + suffix, methods=[method], tags=["jobs"], summary=summary, **options)(answer)
        again = f"{summary} (as {method} {_JOBS}{suffix})"
        return app.api_route(_BENCHMARK + suffix, methods=[method], tags=["benchmark"], summary=again, **options)(
            answer
        )

    return add


async def _job_response(found: JobText, **options: Any) -> Response:
    """Return the answer that is a job with its cells."""
    return PiecesResponse(await run_in_threadpool(found.pieces), **options)


def _add_submission(app: FastAPI, service: Service) -> None:
    async def submitted(
        request: Request, wait_s: float, sender: Sender, kind: Optional[str], path: str = _BENCHMARK
    ) -> Response:
        job = await submit(request, service, sender, kind)
        found = await hold_until_final(request, service.jobs, job.id, wait_s)
        status = 200 if is_final(found.job) else 202
        return await _job_response(found, status_code=status, headers={"Location": f"{path}/{job.id}"})

    answers = {
        200: documented_answer("Job", "It has ended within `wait`"),
        202: {"content": examples.json_example(examples.JOB)},
        **documented_problems(400, 404, 409, 413, 415, 422, 429, 503, 507),
    }
    options: Any = {"status_code": 202, "response_model": Job, "responses": answers}

    @app.post(_JOBS, tags=["jobs"], summary="Queue a job", openapi_extra=examples.JOB_BODY, **options)
    async def add_job(
        request: Request, wait: Wait = 0.0, lease_id: LeaseId = None, key: IdempotencyKey = None
    ) -> Response:
        """The field `kind` says what is done with a stored bundle, or with one that comes with the request.

        With `benchmark` the other fields are those of `POST /benchmark`, with `profile` those of `POST /profile`, with
        `attack` those of `POST /attack`:

            curl -H 'content-type: application/json' -d '{"kind": "benchmark", "model_id": "..."}' \\
              http://localhost:8000/jobs
            curl -F bundle=@model.gdws -F request='{"kind": "profile", "variant": "gdws"}' http://localhost:8000/jobs
        """
        return await submitted(request, wait, Sender(lease_id, key), None, _JOBS)

    @app.post(
        _BENCHMARK, tags=["benchmark"], summary="Measure a bundle", openapi_extra=examples.BENCHMARK_BODY, **options
    )
    async def benchmark(
        request: Request, wait: Wait = 0.0, lease_id: LeaseId = None, key: IdempotencyKey = None
    ) -> Response:
        """Queues a job for a stored bundle, or for one that comes with the request:

            curl -H 'content-type: application/json' -d '{"model_id": "..."}' http://localhost:8000/benchmark
            curl -F bundle=@model.gdws 'http://localhost:8000/benchmark?wait=600'
            curl -F bundle=@model.gdws -F request='{"batch_sizes": [1, 8]}' http://localhost:8000/benchmark

        Every variant is measured on every backend, in every precision and batch size. Variants that share
        these three take turns, so that their ratios do not drift. Name the baseline among the variants,
        or name none, to get speed-ups.
        """
        return await submitted(request, wait, Sender(lease_id, key), "benchmark")

    @app.post(
        "/profile",
        tags=["benchmark"],
        summary="Time a network layer by layer",
        openapi_extra=examples.PROFILE_BODY,
        **options,
    )
    async def profile(
        request: Request, wait: Wait = 0.0, lease_id: LeaseId = None, key: IdempotencyKey = None
    ) -> Response:
        """Queues a job for one variant of a bundle, among the benchmarks:

            curl -H 'content-type: application/json' -d '{"model_id": "...", "variant": "gdws"}' \\
              'http://localhost:8000/profile?wait=60'

        The layers are in the `profile` of its one cell, with the layer of the source network that each came
        from. Profiling takes time itself: compare shares, and take the time of the whole from a benchmark.
        """
        return await submitted(request, wait, Sender(lease_id, key), "profile")

    @app.post("/attack", tags=["benchmark"], summary="Attack engines", openapi_extra=examples.ATTACK_BODY, **options)
    async def attack(
        request: Request, wait: Wait = 0.0, lease_id: LeaseId = None, key: IdempotencyKey = None
    ) -> Response:
        """Queues a job that attacks engines of a bundle by Square Attack, which asks for outputs alone:

            curl -H 'content-type: application/json' -d '{"model_id": "...", "precisions": ["fp16"]}' \\
              http://localhost:8000/attack

        The engine that was built here is asked, so that its rounding counts. Norm and radius are those of the
        bundle's adversarial inputs unless given. What a cell withstands is in its `attack`: an upper bound of the
        engine's robust accuracy. After an interruption the job resumes at the images that were not done.
        """
        return await submitted(request, wait, Sender(lease_id, key), "attack")


def _add_reading(app: FastAPI, service: Service) -> None:
    jobs = service.jobs
    job_cache = JobCache(jobs.generation)

    @_both(app, "", "GET", "List the jobs", response_model=JobList)
    def list_jobs(limit: Limit = 100, cursor: Cursor = None, state: State = None) -> Response:
        """Newest first, without their cells, in pages. `GET /queue` has those that wait in the order of their turn."""
        page = jobs.page(limit, number(cursor), state)
        return json_response(JobList(jobs=page.jobs, next_cursor=cursor_text(page.next_cursor)))

    @_both(
        app,
        "/{job_id}",
        "GET",
        "A job and its cells",
        response_model=JobResult,
        responses=documented_problems(404, 422),
    )
    async def get_job(
        request: Request, job_id: JobId, wait: Wait = 0.0, rounds: Rounds = True, verdicts: Verdicts = False
    ) -> Response:
        """Cells appear as each ends; one that failed says why, and the others are not affected."""

        def pieces(found: JobText) -> List[bytes]:
            return service.result_pieces(found) if verdicts else found.pieces()

        if wait > 0:
            ended = await hold_until_final(request, jobs, job_id, wait, rounds=rounds)
            return PiecesResponse(await run_in_threadpool(pieces, ended))

        def look() -> Look:
            found = jobs.text(job_id, rounds=rounds)
            return found.job.state, pieces(found)

        return PiecesResponse(await job_cache.body(f"{job_id} {rounds} {verdicts}", lambda: run_in_threadpool(look)))

    @_both(
        app,
        "/{job_id}/findings",
        "GET",
        "What a job shows",
        response_model=Findings,
        responses=documented_problems(404, 422),
    )
    def get_findings(job_id: JobId) -> Response:
        """The verdict on each setting, as in the report, and each network and cell beside the baseline.

        Computed from what has been measured so far. Where the bundle was removed, accuracies are not known.
        """
        return json_response(service.findings(job_id))

    @app.get(
        "/compare",
        tags=["jobs"],
        summary="Two jobs side by side",
        response_model=Comparison,
        responses={200: {"content": examples.json_example(examples.COMPARISON)}, **documented_problems(404, 422)},
    )
    def compare_jobs(a: ComparedJob, b: ComparedJob) -> Response:
        """How many times as fast B is, cell by cell, with intervals, and what else was not the same: as `gdws compare`.

            curl 'http://localhost:8000/compare?a=5f2b9c0a7d41&b=0c81e2d97a65'

        Cells are matched by network, backend, precision, batch size and power mode. Nothing is measured.
        """
        return json_response(service.compare(a, b))


def _add_events(app: FastAPI, subscribers: JobSubscribers) -> None:
    answer = {"description": "Events", "content": {EVENT_STREAM: {"example": _EXAMPLE_EVENTS}}}

    @_both(
        app,
        "/{job_id}/events",
        "GET",
        "The events of a job",
        response_class=Response,
        responses={200: answer, **documented_problems(404, 429)},
    )
    async def get_events(job_id: JobId, last_event_id: LastEventId = None) -> EventStream:
        """Server-sent events: `state` and `progress` as they change, each `cell` as it ends, and `end`:

            curl -N http://localhost:8000/jobs/5f2b9c0a7d41/events

        Cells that have ended come first. A stream that is lost resumes behind `Last-Event-ID`, also after a
        restart of the agent. Lines with a colon alone are keep-alives.
        """
        return await subscribers.stream(job_id, last_event_id)


def _add_cancellation(app: FastAPI, service: Service) -> None:
    @_both(app, "/{job_id}", "DELETE", "Cancel a job", response_model=Job, responses=documented_problems(404))
    async def cancel_job(request: Request, job_id: JobId) -> Response:
        """A waiting job ends at once, a running one within two seconds; finished cells are kept.

        A job that has ended stays as it is, so this can be repeated.
        """
        await run_in_threadpool(service.jobs.cancel, job_id)
        margin_s = service.settings.cancel_grace_s + _CANCEL_MARGIN_S
        return await _job_response(await hold_until_final(request, service.jobs, job_id, margin_s))
