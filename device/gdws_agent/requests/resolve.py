"""Resolves a request: fills in the open choices, or raises an error that says why it cannot."""

from __future__ import annotations

from typing import Callable, List, Optional, Sequence

from gdws_agent.errors import (
    BackendUnavailable,
    ClocksUnavailable,
    PrecisionUnsupported,
    RequestInvalid,
    UnknownBackend,
    UnknownVariant,
)
from gdws_contract.manifest import Manifest
from gdws_contract.rest import Availability, BenchmarkRequest, Protocol

from .attack_request import resolve_attack


def resolve(
    request: BenchmarkRequest,
    manifest: Manifest,
    backends: Sequence[Availability],
    check_clocks: Callable[[], None],
    *,
    cores: int,
) -> BenchmarkRequest:
    """Return ``request`` with nothing left open: variants, backends, what an attack needs, and the threads planned for.

    Fixing both when the request comes in keeps the meaning of a job across restarts, and shows the client
    what was chosen. ``backends`` come best first. ``check_clocks`` raises ClocksUnavailable where power modes and
    clocks cannot be set; what it does not see shows itself in the cells. A bundle that was planned for more threads
    than there are ``cores`` gets one for each.

    Raises:
        UnknownVariant, UnknownBackend, PrecisionUnsupported, BackendUnavailable, ClocksUnavailable, AttackImpossible,
            RequestInvalid: with the path of the field.
    """
    if request.profile is not None and request.attack is not None:
        raise RequestInvalid("a job takes profiles or attacks, not both", field="attack", hint="send a job for each")
    _check_clocks(request, check_clocks)
    variants = _variants(request.variants, [variant.name for variant in manifest.variants])
    if request.backends is None:
        chosen = [_best(request.precisions, backends)]
    else:
        chosen = [_named(name, index, backends) for index, name in enumerate(request.backends)]
    for backend in chosen:
        _check_precisions(request.precisions, backend)
    return request.model_copy(
        update={
            "variants": variants,
            "backends": [backend.name for backend in chosen],
            "attack": None if request.attack is None else resolve_attack(request.attack, manifest),
            "protocol": _with_threads(request.protocol, manifest.threads, cores),
        }
    )


def _with_threads(protocol: Protocol, planned: Optional[int], cores: int) -> Protocol:
    """Return ``protocol`` with the threads that a bundle was ``planned`` for, unless it names a number itself."""
    if protocol.threads is not None or planned is None:
        return protocol
    return protocol.model_copy(update={"threads": min(planned, cores)})


def _check_clocks(request: BenchmarkRequest, check: Callable[[], None]) -> None:
    for field in ("power_modes", "jetson_clocks"):
        if getattr(request, field) is not None:
            try:
                check()
            except ClocksUnavailable as error:
                raise ClocksUnavailable(
                    f"{field} cannot be set here: {error.message}", field=field, hint=error.hint
                ) from error


def _variants(asked: Optional[Sequence[str]], known: List[str]) -> List[str]:
    for index, name in enumerate(asked or []):
        if name not in known:
            raise UnknownVariant(
                f"the bundle has no variant {name!r}", field=f"variants[{index}]", hint=f"it has {', '.join(known)}"
            )
    return known if asked is None else list(asked)


def _named(name: str, index: int, backends: Sequence[Availability]) -> Availability:
    field = f"backends[{index}]"
    for backend in backends:
        if backend.name == name:
            if not backend.available:
                raise BackendUnavailable(f"backend {name!r} cannot be used here: {backend.reason}", field=field)
            return backend
    known = ", ".join(backend.name for backend in backends) or "none"
    raise UnknownBackend(f"there is no backend {name!r}", field=field, hint=f"known are {known}")


def _best(precisions: Sequence[str], backends: Sequence[Availability]) -> Availability:
    """Return the first that can do all ``precisions``, else the first, whose lack is then reported."""
    usable = [backend for backend in backends if backend.available]
    if not usable:
        reasons = "; ".join(f"{backend.name}: {backend.reason}" for backend in backends) or "none is installed"
        raise BackendUnavailable(f"no backend can be used here ({reasons})", hint="GET /device lists what is missing")
    capable = [backend for backend in usable if set(precisions) <= set(backend.precisions)]
    return (capable or usable)[0]


def _check_precisions(precisions: Sequence[str], backend: Availability) -> None:
    for index, precision in enumerate(precisions):
        if precision not in backend.precisions:
            raise PrecisionUnsupported(
                f"backend {backend.name!r} does not run in {precision!r} here",
                field=f"precisions[{index}]",
                hint=f"it runs in {', '.join(backend.precisions) or 'none'}",
            )
