"""The options that the commands of the gate share."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gdws.cli.options import common as options
from gdws.cli.options.agents import agent_at
from gdws.cli.views.output import errors

if TYPE_CHECKING:
    from gdws.gate.devices import Device

_LIMITS = "Limits (of each network in each setting)"
_MEASURING = "What is measured, and for how long"

Devices = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="URL|NAME|tag:NAME,...",
        envvar="GDWS_DEVICE",
        show_envvar=True,
        help="Addresses of agents, or names and tags of the devices file; several are measured at the same time.",
    ),
]
DevicesFile = Annotated[
    Path | None,
    typer.Option("--devices", metavar="FILE", help="Devices by name. Default: devices.toml, if it is there."),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Limits and more. Default: gdws-gate.toml, if it is there."),
]
Wait = Annotated[
    float,
    typer.Option("--wait", metavar="SECONDS", min=0, help="Wait so long in line, for whoever holds the device."),
]
NoiseFile = Annotated[
    Path | None,
    typer.Option(
        "--noise", metavar="FILE", help="The device's noise. Default: where gdws noise keeps it for that device."
    ),
]


@contextlib.contextmanager
def agents(device: str, devices: Path | None, token: str | None) -> Iterator[list[Device]]:
    """The devices that the options name; for ``local`` an agent is started here. ``token`` is for those without one."""
    from gdws.gate.devices import choose_devices

    with contextlib.ExitStack() as stack:
        chosen = []
        for each in choose_devices(device, devices):
            url = stack.enter_context(agent_at(each.url))
            chosen.append(dataclasses.replace(each, url=url, token=each.token or token))
        yield chosen


def say_on_stderr(quiet: bool) -> Callable[[str], None]:
    """What tells in lines what goes on: a log of CI has no place for bars."""
    console = errors()

    def say(line: str) -> None:
        if not quiet:
            console.print(line, markup=False)

    return say


def limit(name: str, text: str) -> Any:
    """The option of a limit; ``text`` is its help."""
    return typer.Option(name, metavar="NUMBER", min=0, help=text, rich_help_panel=_LIMITS)


def measuring(name: str, metavar: str, text: str) -> Any:
    """An option on what is measured."""
    return typer.Option(name, metavar=metavar, help=text, rich_help_panel=_MEASURING)


Networks = Annotated[str | None, measuring("--variants", "NAME,...", "Networks of the bundle. Default: all.")]
Batch = Annotated[str | None, measuring("--batch", "N,...", "Batch sizes. Default: 1.")]
Backends = Annotated[str | None, measuring("--backends", "NAME,...", "Runtimes. Default: the best there is.")]
Precision = Annotated[str | None, measuring("--precision", "NAME,...", "E.g. fp32,fp16. Default: fp32.")]
Rounds = Annotated[int | None, measuring("--rounds", "N", "Turns that each network takes in a run. Default: 10.")]
MinDuration = Annotated[
    float | None, measuring("--min-duration", "SECONDS", "Measured time of each network in a run. Default: 1.")
]
MinIterations = Annotated[
    int | None, measuring("--min-iterations", "N", "Measured inferences of each network in a run. Default: 100.")
]


def measurement(
    variants: str | None,
    batch: str | None,
    backends: str | None,
    precision: str | None,
    rounds: int | None,
    min_duration: float | None,
    min_iterations: int | None,
) -> dict[str, Any]:
    """The options as the section ``measure`` of the settings has them; None stays None."""
    return {
        "networks": options.words(variants),
        "batch_sizes": None if batch is None else options.numbers(batch, "--batch"),
        "backends": options.words(backends),
        "precisions": options.words(precision),
        "rounds": rounds,
        "min_duration_s": min_duration,
        "min_iterations": min_iterations,
    }
