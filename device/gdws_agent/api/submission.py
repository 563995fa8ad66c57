"""A request for a benchmark, in either of its forms, or for a profile -> a job in the queue."""

from __future__ import annotations

import hashlib
from typing import NamedTuple, Optional, Union

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from gdws_agent.errors import MediaTypeUnsupported
from gdws_agent.requests.profile_request import as_benchmark, fields_of_profile
from gdws_agent.service import Service
from gdws_agent.storage.checks import Ticket
from gdws_agent.storage.library import check_bundle
from gdws_contract.profiles import ProfileRequest
from gdws_contract.rest import BenchmarkRequest, Job

from .request_json import parse_options, parse_profile_request, parse_request
from .uploads import FORM, JSON, media_type, read_json, receive_bundle

_AS_JSON = f"{JSON} (curl -H 'content-type: {JSON}' -d ...)"


class Sender(NamedTuple):
    """What the headers of a request say of who sends it: under which lease, and as which one request."""

    lease_id: Optional[str] = None
    key: Optional[str] = None

    def ticket(self, asked: Union[BenchmarkRequest, ProfileRequest]) -> Ticket:
        """Return the ticket of the job that is ``asked`` for."""
        text = f"{type(asked).__name__} {asked.model_dump_json()}"
        digest = None if self.key is None else hashlib.sha256(text.encode()).hexdigest()
        return Ticket(lease_id=self.lease_id, key=self.key, digest=digest)


async def submit(request: Request, service: Service, sender: Sender) -> Job:
    """Return the job for a body that is JSON and names a stored bundle, or a form that brings one.

    Raises:
        AgentError, BundleError: the body, what it asks for, or the bundle cannot be used; nothing is kept of it.
    """
    kind = media_type(request)
    if kind == FORM:
        return await _from_form(request, service, sender)
    if kind == JSON:
        return await _from_json(request, service, sender)
    raise _cannot_take(kind, f"send {_AS_JSON}, or a form with the bundle")


async def submit_profile(request: Request, service: Service, sender: Sender) -> Job:
    """Return the job for a body that is JSON and asks for a profile of a stored bundle.

    Raises:
        AgentError: the body, or what it asks for, cannot be used.
    """
    kind = media_type(request)
    if kind != JSON:
        raise _cannot_take(kind, f"store the bundle with POST /models, then send {_AS_JSON}")
    asked = parse_profile_request(await read_json(request))

    def queue() -> Job:
        ticket = sender.ticket(asked)
        known = service.jobs.job_of_key(ticket)
        if known is not None:
            return known
        manifest = service.library.manifest(asked.model_id)
        with fields_of_profile():
            return service.jobs.submit(service.resolve(as_benchmark(asked, manifest), manifest), ticket)

    return await run_in_threadpool(queue)


def _cannot_take(kind: str, hint: str) -> MediaTypeUnsupported:
    return MediaTypeUnsupported(f"cannot take {kind!r}", field="content-type", hint=hint)


async def _from_json(request: Request, service: Service, sender: Sender) -> Job:
    asked = parse_request(await read_json(request))

    def queue() -> Job:
        ticket = sender.ticket(asked)
        known = service.jobs.job_of_key(ticket)
        if known is not None:
            return known
        return service.jobs.submit(service.resolve(asked, service.library.manifest(asked.model_id)), ticket)

    return await run_in_threadpool(queue)


async def _from_form(request: Request, service: Service, sender: Sender) -> Job:
    async with receive_bundle(request, service.folder.uploads, service.settings.max_upload_bytes) as received:

        def queue() -> Job:
            bundle = check_bundle(received.bundle)
            asked = parse_options(received.request, bundle.id)
            ticket = sender.ticket(asked)
            known = service.jobs.job_of_key(ticket)
            if known is not None:
                return known
            resolved = service.resolve(asked, bundle.manifest)
            service.library.add(bundle)
            return service.jobs.submit(resolved, ticket)

        return await run_in_threadpool(queue)
