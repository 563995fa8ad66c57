"""The agent's error hierarchy, and the table of HTTP statuses and problem codes.

::

    AgentError
    ├── StartupError             the agent cannot start; ``exit_code`` is what the command returns
    │   ├── SettingsInvalid      an option or environment variable is wrong
    │   ├── AddressUnusable      the port is in use, or the host is not this machine's
    │   └── DataUnusable         the data folder cannot be used
    │       └── StoreUnsupported its database cannot be read
    │           └── StoreDamaged because it is damaged, not because a newer release wrote it
    ├── RequestInvalid           the request does not say what to do
    │   ├── BodyMalformed        the body is not the JSON or the form that it claims to be
    │   ├── FramingAmbiguous     its headers state in two ways where the body ends
    │   ├── MediaTypeUnsupported the body is of a type that is not taken here
    │   ├── UnknownVariant       the bundle has no variant of that name
    │   ├── AttackImpossible     the bundle has nothing that an attack needs
    │   ├── LimitTooHigh         a job asks for more time or memory than the agent allows
    │   └── IdempotencyKeyReused the key came before, with another request
    ├── AccessRefused            the request is not let in
    │   ├── TokenNeeded          it brings no token
    │   ├── TokenUnknown         it brings one that is not this agent's
    │   ├── TooManyAttempts      many wrong tokens came from its address
    │   ├── ReadOnlyToken        it would change something, and its token only reads
    │   ├── OriginForeign        a browser sent it for the page of another site
    │   └── HostForeign          a browser was led here under the name of another site
    ├── TooManyStreams         too many clients have a stream of events
    ├── BodyTooLarge             a limit on the size of the body is passed
    ├── BodyTooSlow              the body does not arrive in time
    ├── UploadCutOff             the client went away in the middle of the body
    ├── ModelNotFound            no bundle of that id is stored
    │   └── ModelDamaged         it was stored, but its file is gone or damaged
    ├── JobNotFound              no job of that id is known
    ├── ModelInUse               a benchmark still needs the bundle
    ├── QueueFull                as many jobs wait as may
    ├── LeaseError               the device is held, or not by who says so
    │   ├── LeaseHeld            somebody else holds it
    │   └── LeaseNotHeld         no lease with this id is in force (any more)
    ├── BackendError             a backend cannot do what it should
    │   ├── UnknownBackend       there is no backend of that name
    │   ├── BackendUnavailable   its runtime is not installed, or does not start here
    │   ├── PrecisionUnsupported it does not run in that precision here
    │   ├── ProfileUnsupported   its runtime cannot time single layers
    │   ├── BuildFailed          the model could not be made into an engine
    │   ├── RunFailed            an engine could not run
    │   └── OutOfMemory          memory did not suffice to build or run
    ├── ClocksError              power mode or clocks are not as they should be
    │   ├── ClocksUnavailable    they cannot be set on this machine, or not now
    │   ├── PowerModeUnknown     the board has no power mode of that name or number
    │   ├── PowerModeNeedsReboot the board would have to reboot to enter that mode
    │   ├── ClocksNotHeld        a change was asked for and did not come about
    │   └── ClocksInterrupted    waiting for a change was given up, because nobody needs it any more
    └── StorageFailed            the data folder does not take or give what it should
        └── StorageFull          no space is left

Errors of reading bundles come from :mod:`gdws_contract.errors`. Exceptions that their own package catches, such as
those of sensors, stand there.
"""

from __future__ import annotations

from typing import Dict, Optional, Tuple, Type

from gdws_contract.errors import (
    BundleCorrupt,
    BundleTooLarge,
    BundleUnreadable,
    BundleUnsafe,
    ContractError,
    ManifestInvalid,
    SchemaUnsupported,
)
from gdws_contract.problems import Problem, problem_type

from .machine import MACHINE_SHORT, is_machine_fault


class AgentError(Exception):
    """Base of the tree; ``field`` is the path of the invalid field in the request, ``hint`` says how to fix it.

    ``retry_after_s`` is given where the same request may succeed later.
    """

    def __init__(
        self,
        message: str,
        *,
        field: Optional[str] = None,
        hint: Optional[str] = None,
        retry_after_s: Optional[float] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.hint = hint
        self.retry_after_s = retry_after_s


class StartupError(AgentError):
    """The agent cannot start."""

    exit_code = 1


class SettingsInvalid(StartupError):
    """An option or environment variable is wrong."""

    exit_code = 2


class AddressUnusable(StartupError):
    """The port is in use, or the host is not an address of this machine."""

    exit_code = 3


class DataUnusable(StartupError):
    """The data folder cannot be written, is full, or is used by another agent."""

    exit_code = 4


class StoreUnsupported(DataUnusable):
    """The database is damaged, or a newer release wrote it."""


class StoreDamaged(StoreUnsupported):
    """The database is damaged, or not a database."""


class RequestInvalid(AgentError):
    """The request is invalid."""


class BodyMalformed(RequestInvalid):
    """The body is not the JSON or the form that it claims to be."""


class FramingAmbiguous(RequestInvalid):
    """The headers state in two ways where the body ends."""


class MediaTypeUnsupported(RequestInvalid):
    """The media type of the body is not supported here."""


class UnknownVariant(RequestInvalid):
    """The bundle has no variant of that name."""


class AttackImpossible(RequestInvalid):
    """The bundle has nothing that an attack needs, or does not say what the request leaves open."""


class LimitTooHigh(RequestInvalid):
    """A job asks for more time or memory than the agent's settings allow."""


class IdempotencyKeyReused(RequestInvalid):
    """The idempotency key was used before with another request."""


class AccessRefused(AgentError):
    """Access is refused."""


class TokenNeeded(AccessRefused):
    """The request has no token."""


class TokenUnknown(AccessRefused):
    """The token of the request is not valid for this agent."""


class TooManyAttempts(AccessRefused):
    """Many wrong tokens came from the address of the request."""


class ReadOnlyToken(AccessRefused):
    """The request changes something, but has a read-only token."""


class OriginForeign(AccessRefused):
    """A browser sent the request for the page of another site."""


class HostForeign(AccessRefused):
    """A browser sent the request under the host name of another site (DNS rebinding)."""


class TooManyStreams(AgentError):
    """Too many clients have a stream of events."""


class BodyTooSlow(AgentError):
    """The body does not arrive in time."""


class BodyTooLarge(AgentError):
    """The body exceeds its size limit."""


class UploadCutOff(AgentError):
    """The client disconnected in the middle of the body."""


class ModelNotFound(AgentError):
    """No bundle with that id is stored."""


class ModelDamaged(ModelNotFound):
    """The bundle was stored, but its file is missing or damaged. Uploading it again repairs it."""


class JobNotFound(AgentError):
    """There is no job with that id."""


class ModelInUse(AgentError):
    """An unfinished benchmark needs the bundle."""


class QueueFull(AgentError):
    """The queue is full."""


class LeaseError(AgentError):
    """An error of a lease."""


class LeaseHeld(LeaseError):
    """Another client holds the lease."""


class LeaseNotHeld(LeaseError):
    """No lease with that id is in force: it was released, or expired."""


class BackendError(AgentError):
    """An error of a backend."""


class UnknownBackend(BackendError):
    """There is no backend with that name."""


class BackendUnavailable(BackendError):
    """The runtime is not installed, or does not start here."""


class PrecisionUnsupported(BackendError):
    """The backend does not run in that precision here."""


class ProfileUnsupported(BackendError):
    """The runtime cannot time single layers."""


class BuildFailed(BackendError):
    """No engine could be built from the model."""


class RunFailed(BackendError):
    """An engine could not run."""


class OutOfMemory(BackendError):
    """There was not enough memory to build or run."""


class ClocksError(AgentError):
    """An error of power mode or clocks."""


class ClocksUnavailable(ClocksError):
    """They cannot be set on this machine, or not now."""


class PowerModeUnknown(ClocksError):
    """The board has no power mode with that name or number."""


class PowerModeNeedsReboot(ClocksError):
    """The board would have to reboot to enter that power mode."""


class ClocksNotHeld(ClocksError):
    """A requested change did not take effect."""


class ClocksInterrupted(ClocksError):
    """Waiting for a change was cancelled."""


class StorageFailed(AgentError):
    """The data folder cannot be read or written."""


class StorageFull(StorageFailed):
    """No space is left in the data folder."""


#: Exception -> (HTTP status, problem code). The entry of the nearest base class applies.
TABLE: Dict[Type[Exception], Tuple[int, str]] = {
    RequestInvalid: (422, "request-invalid"),
    BodyMalformed: (400, "body-malformed"),
    FramingAmbiguous: (400, "framing-ambiguous"),
    MediaTypeUnsupported: (415, "media-type-unsupported"),
    UnknownVariant: (422, "unknown-variant"),
    AttackImpossible: (422, "attack-impossible"),
    UnknownBackend: (422, "unknown-backend"),
    PrecisionUnsupported: (422, "precision-unsupported"),
    AccessRefused: (403, "access-refused"),
    TokenNeeded: (401, "token-needed"),
    TokenUnknown: (401, "token-unknown"),
    TooManyAttempts: (429, "too-many-attempts"),
    ReadOnlyToken: (403, "read-only-token"),
    OriginForeign: (403, "origin-foreign"),
    HostForeign: (421, "host-foreign"),
    TooManyStreams: (429, "too-many-listeners"),
    BodyTooLarge: (413, "body-too-large"),
    BodyTooSlow: (408, "body-too-slow"),
    UploadCutOff: (400, "upload-cut-off"),
    ModelNotFound: (404, "model-not-found"),
    ModelDamaged: (404, "model-damaged"),
    JobNotFound: (404, "job-not-found"),
    ModelInUse: (409, "model-in-use"),
    LimitTooHigh: (422, "limit-too-high"),
    IdempotencyKeyReused: (422, "idempotency-key-reused"),
    QueueFull: (429, "queue-full"),
    LeaseError: (409, "lease-failed"),
    LeaseHeld: (409, "lease-held"),
    LeaseNotHeld: (409, "lease-not-held"),
    BackendError: (500, "backend-failed"),
    BackendUnavailable: (409, "backend-unavailable"),
    ProfileUnsupported: (422, "profile-unsupported"),
    BuildFailed: (422, "build-failed"),
    RunFailed: (500, "run-failed"),
    OutOfMemory: (500, "out-of-memory"),
    ClocksError: (500, "clocks-failed"),
    ClocksUnavailable: (409, "clocks-unavailable"),
    PowerModeUnknown: (422, "power-mode-unknown"),
    PowerModeNeedsReboot: (409, "power-mode-needs-reboot"),
    ClocksNotHeld: (500, "clocks-not-held"),
    ClocksInterrupted: (503, "clocks-interrupted"),
    StorageFailed: (503, "storage-failed"),
    StorageFull: (507, "storage-full"),
    ContractError: (422, "bundle-invalid"),
    BundleUnreadable: (422, "bundle-unreadable"),
    BundleUnsafe: (422, "bundle-unsafe"),
    BundleTooLarge: (413, "bundle-too-large"),
    BundleCorrupt: (422, "bundle-corrupt"),
    ManifestInvalid: (422, "manifest-invalid"),
    SchemaUnsupported: (422, "schema-unsupported"),
    Exception: (500, "internal-error"),
}

#: The codes of problems with a bundle itself.
BUNDLE_CODES = frozenset(code for kind, (_, code) in TABLE.items() if issubclass(kind, ContractError))


def make_problem(
    status: int, code: str, detail: str, *, field: Optional[str] = None, hint: Optional[str] = None
) -> Problem:
    """Return a problem document whose title is its ``code`` in words."""
    title = code.replace("-", " ").capitalize()
    return Problem(type=problem_type(code), title=title, status=status, detail=detail, field=field, hint=hint)


def problem_of(error: Exception) -> Problem:
    """Return the problem document of ``error`` by :data:`TABLE`.

    The text of an error that nobody foresaw stays in the log: it may tell what the client should not know.
    """
    if not isinstance(error, (AgentError, ContractError)) and is_machine_fault(error):
        detail = "the machine is short of memory, disk or descriptors"
        return make_problem(503, MACHINE_SHORT, detail, hint="try again later")
    status, code = next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)
    if isinstance(error, (AgentError, ContractError)):
        return make_problem(status, code, error.message, field=error.field, hint=error.hint)
    return make_problem(status, code, "The agent had an internal error.")
