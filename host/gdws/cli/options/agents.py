"""What the commands share that ask an agent for something: its address, and a request from options."""

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
        str, typer.Option("--device", metavar="local|URL", help="An agent's address, or this machine.")
    ] = LOCAL
    token: Token = None
    reconnect: Reconnect = 20.0

    @contextlib.contextmanager
    def client(self, *, lease: str | None = None, data_dir: Path | None = None) -> Iterator[DeviceClient]:
        """A client of the agent, which is started here if it is the local one; ``lease`` is kept alive meanwhile.

        With ``data_dir`` an agent that is started here keeps its jobs there, and goes on with them.
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
        """What the agent found for ``request``; ``live`` shows how far it is, ``out`` keeps what is measured."""
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


@contextlib.contextmanager
def agent_at(device: str, data_dir: Path | None = None) -> Iterator[str]:
    """The address of the agent, started here if ``device`` is ``local``; it then keeps its jobs in ``data_dir``."""
    from gdws.device.local_agent import local_agent

    if device == LOCAL:
        with local_agent(data_dir) as url:
            yield url
    else:
        yield device


def make_request(kind: type[_Request], command: str, **fields: Any) -> _Request:
    """A request of the contract; raises :class:`GdwsError` naming the field that is wrong."""
    from gdws_contract.parsing import first_fault

    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        field, message = first_fault(error)
        raise GdwsError(f"{field}: {message}", hint=f"gdws {command} --help tells what each option takes") from error


def given(**fields: Any) -> dict[str, Any]:
    """Those ``fields`` that an option gave a value, so that the contract's defaults stand for the others."""
    return {name: value for name, value in fields.items() if value is not None}


def milliseconds(seconds: float | None) -> float | None:
    """An option in seconds as the contract has it; None stays None."""
    return None if seconds is None else 1000 * seconds
