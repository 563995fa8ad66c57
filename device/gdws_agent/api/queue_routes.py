"""The routes about sharing the device: what it does and what comes next, and who holds it."""

from __future__ import annotations

from typing import Optional

from fastapi import FastAPI, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from typing_extensions import Annotated

from gdws_agent.errors import MediaTypeUnsupported, RequestInvalid
from gdws_agent.jobs.lease import for_everybody
from gdws_agent.service import Service
from gdws_contract.queueing import LEASE_HEADER, Lease, LeaseRequest, LeaseState
from gdws_contract.rest import Queue

from . import examples
from .parameters import LeaseId, Limit
from .request_json import parse_object, validated
from .responses import PiecesResponse, documented_problems
from .uploads import JSON, media_type, read_json

_Force = Annotated[bool, Query(description="true: release the lease, whoever holds it.")]


def add_queue_routes(app: FastAPI, service: Service) -> None:
    """Add the routes to ``app``."""

    @app.get("/queue", tags=["benchmark"], summary="What the device does, and what comes next", response_model=Queue)
    def queue(limit: Limit = 100) -> Response:
        """The running job with its cells, those that wait in the order of their turn, and who holds the device."""
        found, running = service.queue(limit)
        head = found.model_dump_json(exclude={"running"})[:-1].encode()
        return PiecesResponse([head + b',"running":', *([b"null"] if running is None else running.pieces()), b"}"])

    @app.get("/lease", tags=["lease"], summary="Who holds the device")
    def get_lease() -> LeaseState:
        """Null when nobody does. The id of the lease is not told."""
        return LeaseState(lease=for_everybody(service.leases.current()))

    @app.post(
        "/lease",
        tags=["lease"],
        summary="Hold the device",
        status_code=201,
        responses=documented_problems(400, 409, 413, 415, 422, 503, 507),
        openapi_extra=examples.LEASE_BODY,
    )
    async def take_lease(request: Request) -> Lease:
        """From now on only jobs that are sent with the header `Lease-Id` of this lease are begun; others wait.

            curl -H 'content-type: application/json' -d '{"holder": "ci", "ttl_s": 600}' http://localhost:8000/lease

        A job that runs is not cut off. The lease ends when it is released, or `ttl_s` after it was last renewed.
        """
        if media_type(request) != JSON:
            hint = f"send it as JSON: curl -H 'content-type: {JSON}' -d ..."
            raise MediaTypeUnsupported("a request for a lease is JSON", field="content-type", hint=hint)
        asked = validated(parse_object(await read_json(request)), LeaseRequest)
        return await run_in_threadpool(service.leases.take, asked)

    @app.put("/lease", tags=["lease"], summary="Renew a lease", responses=documented_problems(409, 422))
    def renew_lease(lease_id: LeaseId = None) -> Lease:
        """Its time begins anew. Send the header `Lease-Id`."""
        return service.leases.renew(_required(lease_id))

    @app.delete(
        "/lease",
        tags=["lease"],
        summary="Release the device",
        status_code=204,
        response_class=Response,
        responses=documented_problems(409, 422),
    )
    def release_lease(lease_id: LeaseId = None, force: _Force = False) -> None:
        """Send the header `Lease-Id`; with `force=true` it is not needed.

        Jobs that were sent under the lease and still wait stay in the queue, among the others.
        """
        if force:
            service.leases.force_release()
        else:
            service.leases.release(_required(lease_id))


def _required(lease_id: Optional[str]) -> str:
    if lease_id is None:
        raise RequestInvalid("the header is missing", field=LEASE_HEADER, hint="send the id returned by POST /lease")
    return lease_id
