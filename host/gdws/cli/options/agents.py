"""Options of commands that use an agent: its address, and requests built from options."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError

from gdws.cli.options.common import Reconnect, Token
from gdws.errors import GdwsError

if TYPE_CHECKING:
    from gdws.cli.options.sharing import SharingOptions
    from gdws.cli.views.live import LiveBenchmark
    from gdws.device.client import DeviceClient, JobRequest
    from gdws_contract.rest import BenchmarkResult

LOCAL = "local"

_Request = TypeVar("_Request", bound=BaseModel)


@dataclass(frozen=True)
class AgentOptions:
    """The agent that measures."""

    device: Annotated[
        str, typer.Option("--device", metavar="local|URL", help="The agent's address, or local for this machine.")
    ] = LOCAL
    token: Token = None
    reconnect: Reconnect = 20.0

    @contextlib.contextmanager
    def client(self, *, lease: str | None = None, data_dir: Path | None = None) -> Iterator[DeviceClient]:
        """A client of the agent, which is started if it is the local one; ``lease`` is renewed meanwhile.

        A local agent stores its jobs in ``data_dir``, if given, and resumes those it finds there.
        """
        from gdws.device.client import DeviceClient
        from gdws.device.leases import renewing

        with (
            agent_at(self.device, data_dir) as url,
            DeviceClient(url, token=self.token) as client,
            renewing(client, lease),
        ):
            yield client

    def measure(
        self,
        bundle: Path,
        request: JobRequest,
        sharing: SharingOptions,
        live: LiveBenchmark,
        out: Path | None,
    ) -> BenchmarkResult:
        """The result of ``request``; ``live`` shows the progress, ``out`` is updated with what is measured so far."""
        from gdws.device.benchmark import benchmark

        with live, self.client(lease=sharing.lease) as client:
            live.uploading(bundle.stat().st_size)
            return benchmark(
                client,
                bundle,
                request,
                out=out,
                on_upload=live.sent,
                on_progress=live.show,
                reconnect_s=self.reconnect,
                lease_id=sharing.lease,
            )


def model_id(bundle: Path) -> str:
    """The id that an agent knows ``bundle`` by. Raises what :func:`gdws_contract.archive.open_bundle` raises."""
    from gdws_contract.archive import open_bundle

    with open_bundle(bundle) as opened:
        return opened.id


def end_as(result: BenchmarkResult, device: str) -> None:
    """End the command as the job of ``result`` ended on ``device``.

    Raises :class:`~gdws.errors.DeviceError` for a job that did not finish, and ``typer.Exit`` with code 1 where a cell
    was not measured or did not pass.
    """
    from gdws.device.benchmark import failure, is_complete

    error = failure(result, device)
    if error is not None:
        raise error
    if not is_complete(result):
        raise typer.Exit(1)


@contextlib.contextmanager
def agent_at(device: str, data_dir: Path | None = None) -> Iterator[str]:
    """The address of the agent. ``local`` starts one on this machine, which stores its jobs in ``data_dir``."""
    from gdws.device.local_agent import local_agent

    if device == LOCAL:
        with local_agent(data_dir) as url:
            yield url
    else:
        yield device


def make_request(kind: type[_Request], command: str, **fields: Any) -> _Request:
    """A request of the contract; raises :class:`GdwsError` naming an invalid field."""
    from gdws_contract.parsing import first_fault

    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        field, message = first_fault(error)
        raise GdwsError(f"{field}: {message}", hint=f"see gdws {command} --help") from error


def given(**fields: Any) -> dict[str, Any]:
    """The ``fields`` that are not None; the contract's defaults apply to the others."""
    return {name: value for name, value in fields.items() if value is not None}


def milliseconds(seconds: float | None) -> float | None:
    """Seconds of an option as milliseconds of the contract; None stays None."""
    return None if seconds is None else 1000 * seconds
