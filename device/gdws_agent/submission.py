"""A request for a benchmark, in either of its forms -> a job in the queue."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from gdws_contract.rest import Job

from .errors import MediaTypeUnsupported
from .library import check_bundle
from .request_json import parse_options, parse_request
from .service import Service
from .uploads import FORM, JSON, media_type, read_json, receive_bundle


async def submit(request: Request, service: Service) -> Job:
    """Return the job for a body that is JSON and names a stored bundle, or a form that brings one.

    Raises:
        AgentError, BundleError: the body, what it asks for, or the bundle cannot be used; nothing is kept of it.
    """
    kind = media_type(request)
    if kind == FORM:
        return await _from_form(request, service)
    if kind == JSON:
        return await _from_json(request, service)
    hint = f"send {JSON} (curl -H 'content-type: {JSON}' -d ...), or a form with the bundle"
    raise MediaTypeUnsupported(f"cannot take {kind!r}", field="content-type", hint=hint)


async def _from_json(request: Request, service: Service) -> Job:
    asked = parse_request(await read_json(request))

    def queue() -> Job:
        return service.jobs.submit(service.resolve(asked, service.library.manifest(asked.model_id)))

    return await run_in_threadpool(queue)


async def _from_form(request: Request, service: Service) -> Job:
    async with receive_bundle(request, service.folder.uploads, service.settings.max_upload_bytes) as received:

        def queue() -> Job:
            bundle = check_bundle(received.bundle)
            asked = service.resolve(parse_options(received.request, bundle.id), bundle.manifest)
            service.library.add(bundle)
            return service.jobs.submit(asked)

        return await run_in_threadpool(queue)
