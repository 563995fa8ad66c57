"""Turns a request for a job, as JSON or as a form, into a queued job."""

from __future__ import annotations

import hashlib
from typing import Any, Callable, Dict, NamedTuple, Optional, Type

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from gdws_agent.errors import MediaTypeUnsupported
from gdws_agent.requests import attack_request, profile_request
from gdws_agent.requests.fields import fields_renamed
from gdws_agent.service import Service
from gdws_agent.storage.checks import Ticket
from gdws_agent.storage.library import check_bundle
from gdws_contract.attacks import AttackRequest
from gdws_contract.manifest import Manifest
from gdws_contract.profiles import ProfileRequest
from gdws_contract.queueing import Submission
from gdws_contract.rest import BenchmarkRequest, Job

from .request_json import parse_object, take_kind, validated, with_model_id
from .uploads import FORM, JSON, media_type, read_json, receive_bundle


class JobKind(NamedTuple):
    """A kind of job: the fields of its request, and their conversion into the worker's task.

    ``resolve`` takes the service, a request of the type ``request`` and the bundle's manifest.
    """

    request: Type[Submission]
    resolve: Callable[[Service, Any, Manifest], BenchmarkRequest]


def _resolve_profile(service: Service, asked: ProfileRequest, manifest: Manifest) -> BenchmarkRequest:
    with fields_renamed(profile_request.FIELDS):
        return service.resolve(profile_request.as_benchmark(asked, manifest), manifest)


def _resolve_attack(service: Service, asked: AttackRequest, manifest: Manifest) -> BenchmarkRequest:
    with fields_renamed(attack_request.FIELDS):
        return service.resolve(attack_request.as_benchmark(asked), manifest)


#: The field ``kind`` of a request -> the kind of job.
KINDS: Dict[str, JobKind] = {
    "benchmark": JobKind(BenchmarkRequest, Service.resolve),
    "profile": JobKind(ProfileRequest, _resolve_profile),
    "attack": JobKind(AttackRequest, _resolve_attack),
}


class Sender(NamedTuple):
    """The lease and the idempotency key in the headers of a request."""

    lease_id: Optional[str] = None
    key: Optional[str] = None

    def ticket(self, asked: Submission) -> Ticket:
        """Return the ticket of the job that is ``asked`` for."""
        text = f"{type(asked).__name__} {asked.model_dump_json()}"
        digest = None if self.key is None else hashlib.sha256(text.encode()).hexdigest()
        return Ticket(lease_id=self.lease_id, key=self.key, digest=digest)


async def submit(request: Request, service: Service, sender: Sender, kind: Optional[str] = None) -> Job:
    """Return the job for a body that is JSON and names a stored bundle, or a form that brings one.

    ``kind`` is one of :data:`KINDS`; None: the body says which.

    Raises:
        AgentError, BundleError: the body, what it asks for, or the bundle cannot be used; nothing is kept of it.
    """
    form = media_type(request)
    if form == FORM:
        return await _from_form(request, service, sender, kind)
    if form == JSON:
        text = await read_json(request)
        return await run_in_threadpool(_queue_stored, text, service, sender, kind)
    raise MediaTypeUnsupported(
        f"cannot take {form!r}",
        field="content-type",
        hint=f"send {JSON} (curl -H 'content-type: {JSON}' -d ...), or a form with the bundle",
    )


def _queue_stored(text: bytes, service: Service, sender: Sender, kind: Optional[str]) -> Job:
    fields = parse_object(text)
    chosen = KINDS[kind or take_kind(fields, KINDS)]
    asked = validated(fields, chosen.request)
    ticket = sender.ticket(asked)
    known = service.jobs.job_of_key(ticket)
    if known is not None:
        return known
    manifest = service.library.manifest(fields["model_id"])
    return service.jobs.submit(chosen.resolve(service, asked, manifest), ticket)


async def _from_form(request: Request, service: Service, sender: Sender, kind: Optional[str]) -> Job:
    async with receive_bundle(request, service.folder.uploads, service.settings.max_upload_bytes) as received:

        def queue() -> Job:
            bundle = check_bundle(received.bundle)
            fields = {} if received.request is None else parse_object(received.request)
            chosen = KINDS[kind or take_kind(fields, KINDS)]
            asked = validated(with_model_id(fields, bundle.id), chosen.request)
            ticket = sender.ticket(asked)
            known = service.jobs.job_of_key(ticket)
            if known is not None:
                return known
            resolved = chosen.resolve(service, asked, bundle.manifest)
            service.library.add(bundle)
            return service.jobs.submit(resolved, ticket)

        return await run_in_threadpool(queue)
