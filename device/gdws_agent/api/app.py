"""The REST interface: routes only. What they do is in the service and its parts."""

from __future__ import annotations

import contextlib
from typing import AsyncIterator, Optional, Union

from fastapi import FastAPI, Header, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from typing_extensions import Annotated

from gdws_agent.board.live import LiveBoard
from gdws_agent.dashboard.routes import add_dashboard_routes
from gdws_agent.jobs.queue import is_final
from gdws_agent.logs import follow_jobs
from gdws_agent.service import Service
from gdws_agent.storage.library import check_bundle
from gdws_contract import __version__
from gdws_contract.base import NAME_PATTERN, SHA256_PATTERN
from gdws_contract.findings.comparison import Comparison
from gdws_contract.manifest import Manifest
from gdws_contract.queueing import IDEMPOTENCY_HEADER, MAX_IDEMPOTENCY_KEY
from gdws_contract.rest import Alive, DeviceInfo, Health, Job, JobList, JobState, ModelInfo, ModelList

from . import examples
from .access import Access
from .bodies import BodyLimits
from .framing import Framing
from .guard import Guard, role_in
from .head import HeadAsGet
from .headers import SecurityHeaders
from .job_cache import JobCache, Look
from .job_events import JobSubscribers
from .long_polling import hold_until_final
from .metrics import Metrics
from .monitoring_routes import add_monitoring_routes, describe_access
from .queue_routes import LeaseId, add_queue_routes
from .request_log import RequestLog
from .responses import (
    PiecesResponse,
    documented_answer,
    documented_default,
    documented_problems,
    install_error_handlers,
    job_response,
    json_response,
)
from .submission import Sender, submit, submit_profile
from .uploads import receive_bundle

MAX_WAIT_S = 3_600.0
#: More than the worker's grace, so that the answer to a cancellation shows the job as it ended.
_CANCEL_MARGIN_S = 2.0

_DESCRIPTION = """
Measures the networks of a bundle on this device: builds an engine for each variant, replays the
verification set, and times what passes. Jobs run one at a time, by priority and in the order in which they came.

Errors are problem documents (RFC 9457): `type` names the kind, `detail` says what is wrong, `field` where,
and `hint` what to do about it.
"""

Wait = Annotated[
    float,
    Query(ge=0, le=MAX_WAIT_S, description="Hold the answer until the job has ended, at most this many seconds."),
]
Limit = Annotated[int, Query(ge=1, le=1_000, description="List at most this many.")]
Cursor = Annotated[
    Optional[str], Query(pattern=r"^[0-9]{1,18}$", description="The `next_cursor` of the page before: go on there.")
]
State = Annotated[Optional[JobState], Query(description="List only jobs in this state.")]
IdempotencyKey = Annotated[
    Optional[str],
    Header(
        alias=IDEMPOTENCY_HEADER,
        min_length=1,
        max_length=MAX_IDEMPOTENCY_KEY,
        description="Any text that is new for each request: sent again with the same one, it gives the same job.",
    ),
]
#: With 96 cells of 1,000 rounds, all but a hundredth of the answer.
Rounds = Annotated[bool, Query(description="false: leave out the rounds of each cell, which are most of the answer.")]
ModelId = Annotated[str, Path(pattern=SHA256_PATTERN, description="As `gdws inspect` prints it.")]
JobId = Annotated[str, Path(pattern=NAME_PATTERN)]
ComparedJob = Annotated[str, Query(pattern=NAME_PATTERN, description="The id of a job.")]


def create_app(
    service: Service,
    access: Optional[Access] = None,
    subscribers: Optional[JobSubscribers] = None,
    board: Optional[LiveBoard] = None,
) -> FastAPI:
    """Return the web application of ``service``. It starts the queue; who opened the service stops it.

    Without ``access`` no token is needed. Who passes ``followers`` closes them. ``board`` shows another machine.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.jobs.start()
        yield

    app = FastAPI(
        title="gdws agent",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_url=None,  # it would be put together for each request; see watching.py
        docs_url=None,  # both load scripts from elsewhere; there is a page of our own
        redoc_url=None,
        separate_input_output_schemas=False,
        responses=documented_default(),
    )
    board = board or LiveBoard()
    metrics = Metrics(service.jobs, board)
    service.jobs.changes.subscribe(follow_jobs)
    _add_layers(app, service, access or Access(), metrics)
    _add_device_routes(app, service)
    _add_model_routes(app, service)
    _add_benchmark_routes(app, service)
    add_queue_routes(app, service)
    add_monitoring_routes(app, metrics, board, subscribers or JobSubscribers(service.jobs))
    add_dashboard_routes(app)
    describe_access(app)
    return app


def _add_layers(app: FastAPI, service: Service, access: Access, metrics: Metrics) -> None:
    """Put around the routes what every request passes, from the innermost to the outermost."""
    app.add_middleware(BodyLimits, max_upload_bytes=service.settings.max_upload_bytes)
    app.add_middleware(Guard, access=access)
    install_error_handlers(app)
    app.add_middleware(Framing)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RequestLog, metrics=metrics)
    app.add_middleware(HeadAsGet)


def _add_device_routes(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", tags=["device"], summary="Is the agent there?")
    async def health(request: Request) -> Union[Health, Alive]:
        """Answers at once, also while a measurement runs, and without a token: then it says only that it lives."""
        # From memory, in the event loop: it waits neither for the disk nor for a thread.
        role = role_in(request)
        return Alive() if role is None else service.health().model_copy(update={"access": role})

    @app.get("/device", tags=["device"], summary="The machine, its backends and its power sensors")
    def device() -> DeviceInfo:
        """What is not available says why. What is unknown is null."""
        return service.device()


def _add_model_routes(app: FastAPI, service: Service) -> None:
    limit_bytes = service.settings.max_upload_bytes

    @app.post(
        "/models",
        tags=["models"],
        summary="Store a bundle",
        status_code=201,
        responses={
            200: documented_answer("ModelInfo", "It was here already"),
            **documented_problems(400, 413, 415, 422, 503, 507),
        },
        openapi_extra=examples.UPLOAD_BODY,
    )
    async def add_model(request: Request, response: Response) -> ModelInfo:
        """The body is the bundle, or a form with the part `bundle`:

            curl --data-binary @model.gdws http://localhost:8000/models
            curl -F bundle=@model.gdws http://localhost:8000/models

        Every byte is checked before it is kept. Sending the same bundle again changes nothing.
        """
        async with receive_bundle(request, service.folder.uploads, limit_bytes) as received:
            bundle = await run_in_threadpool(check_bundle, received.bundle)
            info, is_new = await run_in_threadpool(service.library.add, bundle)
        response.status_code = 201 if is_new else 200
        response.headers["Location"] = f"/models/{info.id}"
        return info

    @app.get("/models", tags=["models"], summary="List the stored bundles", response_model=ModelList)
    def list_models(limit: Limit = 100, cursor: Cursor = None) -> Response:
        """Newest first, without their manifests, in pages."""
        page = service.library.model_page(limit, _number(cursor))
        return json_response(ModelList(models=page.models, next_cursor=_text(page.next_cursor)))

    @app.get(
        "/models/{model_id}", tags=["models"], summary="A bundle and its manifest", responses=documented_problems(404)
    )
    def get_model(model_id: ModelId) -> ModelInfo:
        """The id is the one that `POST /models` returned and `gdws inspect` prints.

        A bundle whose file is gone or damaged is a problem, `model-damaged`; sent again, it is whole.
        """
        return service.library.model(model_id)

    @app.get(
        "/models/{model_id}/manifest",
        tags=["models"],
        summary="What a bundle holds",
        responses=documented_problems(404),
    )
    def get_manifest(model_id: ModelId) -> Manifest:
        """As it is on record, whatever became of the bundle's file."""
        return service.library.manifest_on_record(model_id)

    @app.delete(
        "/models/{model_id}",
        tags=["models"],
        summary="Remove a bundle",
        status_code=204,
        response_class=Response,
        responses=documented_problems(404, 409),
    )
    def remove_model(model_id: ModelId) -> None:
        """Results that were measured with it stay. Refused while a benchmark that has not ended needs it."""
        service.library.remove(model_id)


def _add_benchmark_routes(app: FastAPI, service: Service) -> None:
    jobs = service.jobs
    job_cache = JobCache(jobs.generation)

    async def submitted(request: Request, job_id: str, wait_s: float) -> Response:
        found = await hold_until_final(request, jobs, job_id, wait_s)
        status = 200 if is_final(found.job) else 202
        return await job_response(found, status_code=status, headers={"Location": f"/benchmark/{job_id}"})

    @app.post(
        "/benchmark",
        tags=["benchmark"],
        summary="Measure a bundle",
        status_code=202,
        response_model=Job,
        responses={
            200: documented_answer("Job", "It has ended within `wait`"),
            202: {"content": examples.json_example(examples.JOB)},
            **documented_problems(400, 404, 409, 413, 415, 422, 429, 503, 507),
        },
        openapi_extra=examples.BENCHMARK_BODY,
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
        job = await submit(request, service, Sender(lease_id, key))
        return await submitted(request, job.id, wait)

    @app.post(
        "/profile",
        tags=["benchmark"],
        summary="Time a network layer by layer",
        status_code=202,
        response_model=Job,
        responses={
            200: documented_answer("Job", "It has ended within `wait`"),
            **documented_problems(400, 404, 409, 413, 415, 422, 429, 503, 507),
        },
        openapi_extra=examples.PROFILE_BODY,
    )
    async def profile(
        request: Request, wait: Wait = 0.0, lease_id: LeaseId = None, key: IdempotencyKey = None
    ) -> Response:
        """Queues a job for one variant of a stored bundle, among the benchmarks, and is followed like one:

            curl -H 'content-type: application/json' -d '{"model_id": "...", "variant": "gdws"}' \\
              'http://localhost:8000/profile?wait=60'

        The layers are in the `profile` of its one cell, with the layer of the source network that each came
        from. Profiling takes time itself: compare shares, and take the time of the whole from a benchmark.
        """
        job = await submit_profile(request, service, Sender(lease_id, key))
        return await submitted(request, job.id, wait)

    @app.get("/benchmark", tags=["benchmark"], summary="List the jobs", response_model=JobList)
    def list_jobs(limit: Limit = 100, cursor: Cursor = None, state: State = None) -> Response:
        """Newest first, without their cells, in pages. `GET /queue` has those that wait in the order of their turn."""
        page = jobs.page(limit, _number(cursor), state)
        return json_response(JobList(jobs=page.jobs, next_cursor=_text(page.next_cursor)))

    @app.get(
        "/benchmark/{job_id}",
        tags=["benchmark"],
        summary="A job and its cells",
        response_model=Job,
        responses=documented_problems(404, 422),
    )
    async def get_job(request: Request, job_id: JobId, wait: Wait = 0.0, rounds: Rounds = True) -> Response:
        """Cells appear as each ends. A cell that failed says why; the others are not affected."""
        if wait > 0:
            return await job_response(await hold_until_final(request, jobs, job_id, wait, rounds=rounds))

        def look() -> Look:
            found = jobs.text(job_id, rounds=rounds)
            return found.job.state, found.pieces()

        return PiecesResponse(await job_cache.body(f"{job_id} {rounds}", lambda: run_in_threadpool(look)))

    @app.get(
        "/compare",
        tags=["benchmark"],
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

    @app.delete(
        "/benchmark/{job_id}",
        tags=["benchmark"],
        summary="Cancel a job",
        response_model=Job,
        responses=documented_problems(404),
    )
    async def cancel_job(request: Request, job_id: JobId) -> Response:
        """A waiting job ends at once, a running one within two seconds; finished cells are kept.

        A job that has ended stays as it is, so this can be repeated.
        """
        await run_in_threadpool(jobs.cancel, job_id)
        margin_s = service.settings.cancel_grace_s + _CANCEL_MARGIN_S
        return await job_response(await hold_until_final(request, jobs, job_id, margin_s))


def _number(cursor: Optional[str]) -> Optional[int]:
    return None if cursor is None else int(cursor)


def _text(cursor: Optional[int]) -> Optional[str]:
    return None if cursor is None else str(cursor)
