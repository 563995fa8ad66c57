"""Sharing one device: what a job may take of it, when it comes to be measured, and who holds it meanwhile."""

from __future__ import annotations

from typing import Any, ClassVar, Dict, Optional, Tuple

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer
from typing_extensions import Annotated

from .base import Name, NonNegative, Reading, Record

#: Name of the request header with the id of a lease.
LEASE_HEADER = "Lease-Id"
#: Name of the request header that makes a repeated POST the same job (draft-ietf-httpapi-idempotency-key-header).
IDEMPOTENCY_HEADER = "Idempotency-Key"
MAX_IDEMPOTENCY_KEY = 255

#: One line for people: no control characters, which could reach a terminal.
Line = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]


class Limits(Record):
    """What a job may take at most. The agent's own limits hold where a field is null."""

    time_s: Optional[float] = Field(
        None,
        gt=0,
        le=8_640_000,
        allow_inf_nan=False,
        description="Time limit of the whole job, in seconds of measuring.",
    )
    memory_mib: Optional[int] = Field(
        None, ge=1, le=4_194_304, description="Private memory of the measuring process, without GPU memory."
    )


class Submission(Record):
    """What every request for a job may say about its place among the others."""

    #: Fields that later revisions added: clients and agents of earlier ones do not know them and would refuse them.
    ADDED: ClassVar[Tuple[str, ...]] = ("priority", "limits")

    priority: int = Field(0, ge=-10, le=10, description="Jobs with a higher priority are measured first.")
    limits: Limits = Field(default_factory=Limits)

    @model_serializer(mode="wrap")
    def _without_the_new(self, inner: SerializerFunctionWrapHandler) -> Dict[str, Any]:
        """Leave out what was added, at its default."""
        fields: Dict[str, Any] = inner(self)
        for name in self.ADDED:
            if getattr(self, name) == type(self).model_fields[name].get_default(call_default_factory=True):
                fields.pop(name, None)
        return fields


class Estimate(Reading):
    """When a job comes to its turn and to its end, from the planned times of its cells and from what was seen."""

    starts_in_s: Optional[NonNegative] = Field(
        None, description="null: it is running, or waits for the end of a lease."
    )
    ends_in_s: Optional[NonNegative] = Field(None, description="null: it waits for the end of a lease.")


class LeaseRequest(Record):
    """Body of ``POST /lease``."""

    holder: Line = Field(description="Name of the holder, shown to others.")
    ttl_s: float = Field(
        600.0,
        ge=1,
        le=864_000,
        allow_inf_nan=False,
        description="The lease expires this long after it was last renewed.",
    )
    note: Optional[Line] = Field(None, description="Purpose of the lease, shown to others.")


class LeaseInfo(Reading):
    """Who holds the device, as everybody may know it."""

    holder: str
    note: Optional[str] = None
    since: str = Field(description="UTC, ISO 8601.")
    ttl_s: NonNegative
    expires_in_s: NonNegative


class Lease(LeaseInfo):
    """A lease as its holder gets it. Whoever knows ``id`` can use, renew and release it."""

    id: Name


class LeaseState(Reading):
    """Answer of ``GET /lease``."""

    lease: Optional[LeaseInfo] = Field(None, description="null: nobody holds the device.")


class Notice(Reading):
    """Something that whoever looks after the agent should know."""

    code: Name
    detail: str
    hint: Optional[str] = None
