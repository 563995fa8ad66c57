"""A request for a profile as the benchmark that takes it. Pure."""

from __future__ import annotations

from gdws_contract.manifest import Manifest
from gdws_contract.profiles import ProfileRequest
from gdws_contract.rest import BenchmarkRequest, Protocol

#: Path of a field of the benchmark -> the field of the profile that it came from.
FIELDS = {
    "variants[0]": "variant",
    "backends[0]": "backend",
    "precisions[0]": "precision",
    "batch_sizes[0]": "batch_size",
    "profile": "options",
    "protocol.threads": "threads",
}


def as_benchmark(request: ProfileRequest, manifest: Manifest) -> BenchmarkRequest:
    """Return the benchmark of the one variant that ``request`` names, by default the baseline of ``manifest``.

    A backend that is left open stays open, for :func:`gdws_agent.requests.resolve.resolve`.
    """
    return BenchmarkRequest(
        model_id=request.model_id,
        variants=[manifest.baseline if request.variant is None else request.variant],
        backends=None if request.backend is None else [request.backend],
        precisions=[request.precision],
        batch_sizes=[request.batch_size],
        engine=request.engine,
        profile=request.options,
        protocol=Protocol(threads=request.threads),
        label=request.label,
        priority=request.priority,
        limits=request.limits,
    )
