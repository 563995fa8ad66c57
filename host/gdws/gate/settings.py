"""``gdws-gate.toml``: the gate's settings in a repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from gdws._util.toml_file import load_toml
from gdws.errors import SettingsError
from gdws.gate.limits import Limits, Sequencing
from gdws_contract.base import Name, NonNegative, Record
from gdws_contract.layer_plan import inconsistent
from gdws_contract.pacing import Rate
from gdws_contract.parsing import first_fault
from gdws_contract.rest import BatchSize, PowerMode

#: The file that is read from the current folder, if it exists.
DEFAULT_FILE = Path("gdws-gate.toml")


class Measurement(Record):
    """What each run measures, like the options of ``gdws bench``."""

    networks: list[Name] | None = Field(None, min_length=1, max_length=32, description="Of the bundle. Default: all.")
    batch_sizes: list[BatchSize] = Field([1], min_length=1, max_length=32)
    backends: list[Name] | None = Field(None, min_length=1, description="Default: the device's best.")
    precisions: list[Name] = Field(["fp32"], min_length=1)
    power_modes: list[PowerMode] | None = Field(None, min_length=1)
    jetson_clocks: bool | None = None
    rounds: int = Field(10, ge=2, le=1_000, description="Rounds of each run; preferably even.")
    min_duration_s: NonNegative = Field(1.0, le=3_600, description="Measured time of each network in a run.")
    min_iterations: int = Field(100, ge=1, description="Measured inferences of each network in a run.")
    warmup_s: NonNegative = Field(0.2, le=600)
    idle_s: NonNegative = Field(0.0, le=600, description="Idle time before each run, to measure the idle power.")
    threads: int | None = Field(None, ge=1)
    rate_hz: Rate | None = Field(None, description="Rate of inferences that arrive after the rounds; null: none.")
    deadline_ms: float | None = Field(None, gt=0, le=3_600_000, description="Their deadline; null: the period.")
    paced_s: float = Field(10.0, ge=0.1, le=3_600, description="How long they arrive.")
    time_limit_s: float | None = Field(None, gt=0, description="Time limit of one run.")

    def request(self) -> dict[str, Any]:
        """The fields of the request for a run, except its bundle and seed."""
        protocol = {
            "rounds": self.rounds,
            "min_duration_ms": 1e3 * self.min_duration_s,
            "min_iterations": self.min_iterations,
            "warmup_ms": 1e3 * self.warmup_s,
            "idle_ms": 1e3 * self.idle_s,
            "threads": self.threads,
        }
        return {
            "backends": self.backends,
            "precisions": self.precisions,
            "batch_sizes": self.batch_sizes,
            "power_modes": self.power_modes,
            "jetson_clocks": self.jetson_clocks,
            "protocol": protocol,
            "pacing": self._pacing(),
            "limits": {"time_s": self.time_limit_s},
        }

    def _pacing(self) -> dict[str, Any] | None:
        if self.rate_hz is None:
            return None
        return {"rate_hz": self.rate_hz, "deadline_ms": self.deadline_ms, "duration_ms": 1e3 * self.paced_s}


class GateSettings(Record):
    """The whole file."""

    limits: Limits = Field(default_factory=Limits)
    measure: Measurement = Field(default_factory=Measurement)
    gate: Sequencing = Field(default_factory=Sequencing)

    @model_validator(mode="after")
    def _arrivals_for_deadlines(self) -> GateSettings:
        asked = {
            "limits.max_miss_rate_percent": self.limits.max_miss_rate_percent,
            "measure.deadline_ms": self.measure.deadline_ms,
        }
        for name, value in asked.items():
            if value is not None and self.measure.rate_hz is None:
                raise inconsistent(name, "it is for inferences that arrive by a clock: give measure.rate_hz (--rate)")
        return self

    def with_options(self, limits: dict[str, Any], gate: dict[str, Any], measure: dict[str, Any]) -> GateSettings:
        """These settings, overridden by the given fields that are not None.

        Raises :class:`SettingsError` if one is out of range.
        """
        fields = self.model_dump()
        for section, given in (("limits", limits), ("gate", gate), ("measure", measure)):
            fields[section] |= {name: value for name, value in given.items() if value is not None}
        try:
            return GateSettings.model_validate(fields)
        except ValidationError as error:
            field, message = first_fault(error)
            raise SettingsError(f"{field}: {message}", field=field, hint="see gdws gate --help") from error


def load_settings(path: Path | None) -> GateSettings:
    """The settings at ``path``, or without it those of :data:`DEFAULT_FILE`, if it exists.

    Raises:
        OSError: the file cannot be read.
        SettingsError: it is malformed.
    """
    if path is None and not DEFAULT_FILE.exists():
        return GateSettings()
    return load_toml(GateSettings, path or DEFAULT_FILE, hint="see docs/ci.md for the fields")
