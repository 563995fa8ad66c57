"""The REST interface: routes only. What they do is in the service and its parts."""

from __future__ import annotations

import contextlib
from typing import Any, AsyncIterator, Dict, Mapping, Optional, Union

from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from gdws_agent.board.live import LiveBoard
from gdws_agent.dashboard.routes import add_dashboard_routes
from gdws_agent.logs import track_running_job
from gdws_agent.service import Service
from gdws_agent.storage.library import check_bundle
from gdws_contract import __version__
from gdws_contract.manifest import Manifest
from gdws_contract.rest import Alive, DeviceInfo, Health, ModelInfo, ModelList

from . import examples
from .access import Access
from .bodies import BodyLimits
from .documented import DocumentedRoute
from .framing import Framing
from .guard import Guard, role_in
from .head import HeadAsGet
from .headers import SecurityHeaders
from .job_events import JobSubscribers
from .job_routes import add_job_routes
from .metrics import Metrics
from .monitoring_routes import add_monitoring_routes, describe_access
from .parameters import Cursor, Limit, ModelId, cursor_text, number
from .queue_routes import add_queue_routes
from .request_log import RequestLog
from .responses import (
    documented_answer,
    documented_default,
    documented_problems,
    install_error_handlers,
    json_response,
)
from .uploads import receive_bundle

_DESCRIPTION = """
Measures the networks of a bundle on this device: builds an engine for each variant, replays the
verification set, and times what passes. Jobs run one at a time, by priority and in the order in which they came.

Errors are problem documents (RFC 9457): `type` names the kind, `detail` says what is wrong, `field` where,
and `hint` what to do about it.
"""


def create_app(
    service: Service,
    access: Optional[Access] = None,
    subscribers: Optional[JobSubscribers] = None,
    board: Optional[LiveBoard] = None,
) -> FastAPI:
    """Return the web application of ``service``. It starts the queue; who opened the service stops it.

    Without ``access`` no token is needed. Whoever passes ``subscribers`` closes them. ``board`` shows another machine.
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
        openapi_url=None,  # it would be put together for each request; see monitoring_routes.py
        docs_url=None,  # both load scripts from elsewhere; there is a page of our own
        redoc_url=None,
        separate_input_output_schemas=False,
        responses=documented_default(),
    )
    app.router.route_class = DocumentedRoute
    board = board or LiveBoard()
    metrics = Metrics(service.jobs, board)
    service.jobs.events.subscribe(track_running_job)
    _add_layers(app, service, access or Access(), metrics)
    _add_device_routes(app, service)
    _add_model_routes(app, service)
    subscribers = subscribers or JobSubscribers(service.jobs)
    add_job_routes(app, service, subscribers)
    add_queue_routes(app, service)
    add_monitoring_routes(app, metrics, board, subscribers)
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


def _as_written(info: ModelInfo, document: Mapping[str, Any]) -> Dict[str, Any]:
    """Return ``info`` with the manifest as its bundle has it: who wrote the bundle can read that."""
    return {**info.model_copy(update={"manifest": None}).model_dump(mode="json"), "manifest": document}


def _add_model_routes(app: FastAPI, service: Service) -> None:
    limit_bytes = service.settings.max_upload_bytes

    @app.post(
        "/models",
        tags=["models"],
        summary="Store a bundle",
        status_code=201,
        response_model=ModelInfo,
        responses={
            200: documented_answer("ModelInfo", "It was here already"),
            **documented_problems(400, 413, 415, 422, 503, 507),
        },
        openapi_extra=examples.UPLOAD_BODY,
    )
    async def add_model(request: Request) -> Response:
        """The body is the bundle, or a form with the part `bundle`:

            curl --data-binary @model.gdws http://localhost:8000/models
            curl -F bundle=@model.gdws http://localhost:8000/models

        Every byte is checked before it is kept. Sending the same bundle again changes nothing.
        """
        async with receive_bundle(request, service.folder.uploads, limit_bytes) as received:
            bundle = await run_in_threadpool(check_bundle, received.bundle)
            info, is_new = await run_in_threadpool(service.library.add, bundle)
        headers = {"Location": f"/models/{info.id}"}
        return JSONResponse(_as_written(info, bundle.document), 201 if is_new else 200, headers)

    @app.get("/models", tags=["models"], summary="List the stored bundles", response_model=ModelList)
    def list_models(limit: Limit = 100, cursor: Cursor = None) -> Response:
        """Newest first, without their manifests, in pages."""
        page = service.library.model_page(limit, number(cursor))
        return json_response(ModelList(models=page.models, next_cursor=cursor_text(page.next_cursor)))

    @app.get(
        "/models/{model_id}",
        tags=["models"],
        summary="A bundle and its manifest",
        response_model=ModelInfo,
        responses=documented_problems(404),
    )
    def get_model(model_id: ModelId) -> Response:
        """The id is the one that `POST /models` returned and `gdws inspect` prints.

        A bundle whose file is gone or damaged is a problem, `model-damaged`; sent again, it is whole. The manifest is
        that in the bundle, in the schema that it was written in.
        """
        return JSONResponse(_as_written(service.library.model(model_id), service.library.document(model_id)))

    @app.get(
        "/models/{model_id}/manifest",
        tags=["models"],
        summary="What a bundle holds",
        response_model=Manifest,
        responses=documented_problems(404),
    )
    def get_manifest(model_id: ModelId) -> Response:
        """As it is on record, whatever became of the bundle's file, and in the schema of this release."""
        return json_response(service.library.manifest_on_record(model_id))

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
