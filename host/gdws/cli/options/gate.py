"""Options that the commands of the gate share."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gdws.cli.options.agents import agent_at
from gdws.cli.options.common import Reconnect, Token, numbers, words
from gdws.cli.options.groups import panel
from gdws.cli.options.sharing import LeaseId
from gdws.cli.views.output import errors
from gdws.errors import GdwsError

if TYPE_CHECKING:
    from gdws.device.devices import Device
    from gdws.gate.launch import DeviceAccess
    from gdws.gate.settings import GateSettings

_limit = panel("Limits (for each network in each setting)")
_measuring = panel("Measurement")


@dataclass(frozen=True)
class DevicesOptions:
    """The devices that measure, and how long to wait for them."""

    device: Annotated[
        str,
        typer.Option(
            "--device",
            metavar="URL|NAME|tag:NAME,...",
            envvar="GDWS_DEVICE",
            show_envvar=True,
            help="Addresses of agents, or names and tags of the devices file; several measure at the same time.",
        ),
    ] = "local"
    devices: Annotated[
        Path | None,
        typer.Option("--devices", metavar="FILE", help="File of named devices. Default: devices.toml, if it exists."),
    ] = None
    token: Token = None
    wait: Annotated[
        float,
        typer.Option(
            "--wait", metavar="SECONDS", min=0, help="How long to wait in the queue and for another client's lease."
        ),
    ] = 3_600.0
    reconnect: Reconnect = 20.0
    lease: LeaseId = None

    def access(self) -> DeviceAccess:
        """How a gate waits for a device."""
        from gdws.gate.launch import DeviceAccess

        return DeviceAccess(self.wait, self.reconnect, self.lease)

    @contextlib.contextmanager
    def agents(self) -> Iterator[list[Device]]:
        """The devices; ``local`` starts an agent on this machine. ``token`` is for devices without their own."""
        from gdws.device.devices import choose_devices

        with contextlib.ExitStack() as stack:
            chosen = []
            for each in choose_devices(self.device, self.devices):
                url = stack.enter_context(agent_at(each.url))
                chosen.append(dataclasses.replace(each, url=url, token=each.token or self.token))
            yield chosen

    @contextlib.contextmanager
    def only_agent(self, message: str) -> Iterator[Device]:
        """The only device; raises :class:`GdwsError` with ``message`` if there are several."""
        with self.agents() as agents:
            if len(agents) > 1:
                raise GdwsError(message, hint="name one with --device")
            yield agents[0]


def say_on_stderr(quiet: bool) -> Callable[[str], None]:
    """A function that prints progress as lines, since CI logs cannot show bars."""
    console = errors()

    def say(line: str) -> None:
        if not quiet:
            console.print(line, markup=False)

    return say


def limit(name: str, text: str) -> Any:
    """The option of a limit; ``text`` is its help."""
    return _limit(name, metavar="NUMBER", min=0, help=text)


def measuring(name: str, metavar: str, text: str) -> Any:
    """An option of the measurement; ``text`` is its help."""
    return _measuring(name, metavar=metavar, help=text)


def _named_points(text: str) -> tuple[str, float]:
    """``detections_kept=5`` as a name and a number."""
    name, _, points = text.rpartition("=")
    try:
        return name, float(points)
    except ValueError:
        raise GdwsError(f"--max-drop {text!r} is not METRIC=POINTS", hint="e.g. --max-drop detections_kept=5") from None


@dataclass(frozen=True)
class RunOptions:
    """What each run of a gate measures."""

    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Settings file. Default: gdws-gate.toml, if it exists."),
    ] = None
    variants: Annotated[str | None, measuring("--variants", "NAME,...", "Networks of the bundle. Default: all.")] = None
    batch: Annotated[str | None, measuring("--batch", "N,...", "Batch sizes. Default: 1.")] = None
    backends: Annotated[str | None, measuring("--backends", "NAME,...", "Runtimes. Default: the device's best.")] = None
    precision: Annotated[str | None, measuring("--precision", "NAME,...", "E.g. fp32,fp16. Default: fp32.")] = None
    rounds: Annotated[
        int | None,
        measuring("--rounds", "N", "Rounds of each run, in which every network is measured in turn. Default: 10."),
    ] = None
    min_duration: Annotated[
        float | None, measuring("--min-duration", "SECONDS", "Measured time of each network in a run. Default: 1.")
    ] = None
    min_iterations: Annotated[
        int | None, measuring("--min-iterations", "N", "Measured inferences of each network in a run. Default: 100.")
    ] = None
    rate: Annotated[
        float | None, measuring("--rate", "HZ", "Then inferences arrive so often, as from a camera. Default: not.")
    ] = None
    deadline: Annotated[
        float | None, measuring("--deadline", "MS", "From arrival to outputs. Default: the period of the rate.")
    ] = None
    paced_duration: Annotated[
        float | None, measuring("--paced-duration", "SECONDS", "How long they arrive in a run. Default: 10.")
    ] = None

    def settings(self, limits: dict[str, Any] | None = None, plan: dict[str, Any] | None = None) -> GateSettings:
        """The settings of the file, overridden by options.

        ``limits`` and ``plan`` override those sections of the file. Raises :class:`~gdws.errors.SettingsError`.
        """
        from gdws.gate.settings import load_settings

        measured = {
            "networks": words(self.variants),
            "batch_sizes": None if self.batch is None else numbers(self.batch, "--batch"),
            "backends": words(self.backends),
            "precisions": words(self.precision),
            "rounds": self.rounds,
            "min_duration_s": self.min_duration,
            "min_iterations": self.min_iterations,
            "rate_hz": self.rate,
            "deadline_ms": self.deadline,
            "paced_s": self.paced_duration,
        }
        return load_settings(self.config).with_options(limits or {}, plan or {}, measured)


@dataclass(frozen=True)
class LimitOptions:
    """The limits of a gate; those that are given apply."""

    max_slowdown: Annotated[float | None, limit("--max-slowdown", "Latency, percent above the baseline's.")] = None
    max_p95_slowdown: Annotated[float | None, limit("--max-p95-slowdown", "95th percentile, likewise.")] = None
    max_p99_slowdown: Annotated[float | None, limit("--max-p99-slowdown", "99th percentile, likewise.")] = None
    max_energy_increase: Annotated[
        float | None, limit("--max-energy-increase", "Energy of an inference, percent above the baseline's.")
    ] = None
    max_latency: Annotated[float | None, limit("--max-latency", "Typical latency, ms.")] = None
    max_p95: Annotated[float | None, limit("--max-p95", "95th percentile of the latency, ms.")] = None
    max_p99: Annotated[float | None, limit("--max-p99", "99th percentile of the latency, ms.")] = None
    min_fps: Annotated[float | None, limit("--min-fps", "Images per second.")] = None
    max_energy: Annotated[float | None, limit("--max-energy", "Energy of an inference, mJ.")] = None
    max_natural_drop: Annotated[
        float | None, limit("--max-natural-drop", "Natural accuracy on the device, points below the baseline's.")
    ] = None
    max_robust_drop: Annotated[
        float | None, limit("--max-robust-drop", "Accuracy on adversarial inputs, points below the baseline's.")
    ] = None
    min_natural: Annotated[float | None, limit("--min-natural", "Natural accuracy on the device, percent.")] = None
    min_robust: Annotated[float | None, limit("--min-robust", "Accuracy on adversarial inputs, percent.")] = None
    max_drop: Annotated[
        list[str] | None,
        _limit(
            "--max-drop",
            metavar="METRIC=POINTS",
            help="Maximum drop of a metric measured on the host, in points of 0.01, from the baseline or, without "
            "--baseline, from the dense network. E.g. detections_kept=5. Repeatable.",
        ),
    ] = None
    max_size: Annotated[float | None, limit("--max-size", "ONNX file, MiB.")] = None
    max_size_increase: Annotated[
        float | None, limit("--max-size-increase", "ONNX file, percent above the baseline's.")
    ] = None
    max_miss_rate: Annotated[float | None, limit("--max-miss-rate", "Deadlines missed at --rate, percent.")] = None
    max_memory: Annotated[float | None, limit("--max-memory-mib", "Peak memory of host and device, MiB.")] = None
    max_build: Annotated[float | None, limit("--max-build", "Build of the engine, seconds.")] = None

    def limits(self) -> dict[str, Any]:
        """The section ``limits`` of the settings. Raises :class:`GdwsError` for a limit that cannot be read."""
        return {
            "max_slowdown_percent": self.max_slowdown,
            "max_p95_slowdown_percent": self.max_p95_slowdown,
            "max_p99_slowdown_percent": self.max_p99_slowdown,
            "max_energy_increase_percent": self.max_energy_increase,
            "max_latency_ms": self.max_latency,
            "max_p95_ms": self.max_p95,
            "max_p99_ms": self.max_p99,
            "min_fps": self.min_fps,
            "max_energy_mj": self.max_energy,
            "max_natural_drop_points": self.max_natural_drop,
            "max_robust_drop_points": self.max_robust_drop,
            "min_natural_percent": self.min_natural,
            "min_robust_percent": self.min_robust,
            "max_drop_points": dict(map(_named_points, self.max_drop)) if self.max_drop else None,
            "max_size_mib": self.max_size,
            "max_size_increase_percent": self.max_size_increase,
            "max_miss_rate_percent": self.max_miss_rate,
            "max_memory_mib": self.max_memory,
            "max_build_s": self.max_build,
        }
