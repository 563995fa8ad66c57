"""The agent's settings, from options, ``GDWS_AGENT_*`` variables or defaults, in this order."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, Mapping, Optional

from pydantic import Field, ValidationError
from typing_extensions import Literal

from gdws_agent.errors import SettingsInvalid
from gdws_contract.base import Record

ENVIRONMENT_PREFIX = "GDWS_AGENT_"


class Settings(Record):
    """The settings of one agent. The descriptions are the help of the command line."""

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on; 0.0.0.0: all networks.")
    port: int = Field(8000, ge=0, le=65_535, description="Port to listen on; 0: any free port.")
    data_dir: Path = Field(
        description="Folder for bundles, results and engines; default ~/.local/state/gdws-agent.",
    )
    token_file: Optional[Path] = Field(
        None, description="File of the access token. Default: GDWS_AGENT_TOKEN, or generated if one is needed."
    )
    read_token_file: Optional[Path] = Field(
        None, description="File of the read-only token. Default: GDWS_AGENT_READ_TOKEN, or generated if one is needed."
    )
    max_upload_mb: int = Field(1_024, ge=1, le=1_048_576, description="Maximum size of an upload, in MiB.")
    build_timeout_s: float = Field(
        3_600.0,
        gt=0,
        le=864_000,
        description="Time limit of loading and building, in seconds, after which the worker is killed.",
    )
    silence_timeout_s: float = Field(
        900.0, gt=0, le=864_000, description="Kill a worker that reports nothing for this long, in seconds."
    )
    cancel_grace_s: float = Field(
        1.0, ge=0, le=60, description="Time that a worker has to exit before it is killed, in seconds."
    )
    max_interruptions: int = Field(
        5, ge=1, le=1_000_000, description="Skip cells during which the agent itself died this many times in a row."
    )
    max_queued_jobs: int = Field(
        1_000, ge=1, le=100_000, description="Maximum number of queued jobs; more are rejected."
    )
    max_job_time_s: float = Field(
        86_400.0, gt=0, le=8_640_000, description="Maximum time that a job may be measured, in seconds."
    )
    max_memory_mib: int = Field(
        0, ge=0, le=4_194_304, description="Maximum private memory of a worker, in MiB; 0: no limit."
    )
    max_lease_s: float = Field(86_400.0, ge=1, le=864_000, description="Maximum time to live of a lease, in seconds.")
    keep_results_days: float = Field(
        0.0, ge=0, le=100_000, description="Remove results older than this, in days of running; 0: never."
    )
    keep_results_mb: int = Field(
        2_048, ge=0, le=1_048_576, description="Remove the oldest results beyond this size, in MiB; 0: never."
    )
    keep_models_days: float = Field(
        0.0, ge=0, le=100_000, description="Remove bundles unused for longer than this; 0: never."
    )
    keep_models_mb: int = Field(
        20_480,
        ge=0,
        le=16_777_216,
        description="Remove the least recently used bundles beyond this size, in MiB; 0: never.",
    )
    keep_engines_days: float = Field(
        0.0, ge=0, le=100_000, description="Remove engines unused for longer than this; 0: never."
    )
    keep_engines_mb: int = Field(
        8_192,
        ge=0,
        le=16_777_216,
        description="Remove the least recently used engines beyond this size, in MiB; 0: never.",
    )
    jtop_socket: Path = Field(
        Path("/run/jtop.sock"), description="Socket of the jtop service: power, power modes and clocks of a Jetson."
    )
    simulated: bool = Field(
        False, description="true: this machine simulates a Jetson, and every result is marked as simulated."
    )
    confine_workers: bool = Field(
        True, description="false: do not confine measuring processes, in case a driver needs more access."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Minimum level of log messages."
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="text: a line with key=value at its end; json: one JSON object a line."
    )

    @property
    def max_upload_bytes(self) -> int:
        """The upload limit in bytes."""
        return self.max_upload_mb * 2**20


def variable_name(field: str) -> str:
    """Return the environment variable of a setting, e.g. ``GDWS_AGENT_PORT``."""
    return ENVIRONMENT_PREFIX + field.upper()


def default_data_dir(environment: Mapping[str, str]) -> Optional[str]:
    """Return the user's state folder for this program by the XDG convention, or None without a home."""
    base = environment.get("XDG_STATE_HOME")
    if base and os.path.isabs(base):
        return os.path.join(base, "gdws-agent")
    home = os.path.expanduser("~")
    return None if home == "~" else os.path.join(home, ".local", "state", "gdws-agent")


def load_settings(options: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """Return the settings; options that are None count as not given.

    Raises:
        SettingsInvalid: a value is wrong; the message names the option or variable that it came from.
    """
    values: Dict[str, Any] = {"data_dir": default_data_dir(environment)}
    sources = {"data_dir": "--data-dir"}
    for field in Settings.model_fields:
        name = variable_name(field)
        if environment.get(name):
            values[field], sources[field] = environment[name], name
    for field, value in options.items():
        if value is not None:
            values[field], sources[field] = value, option_name(field)
    if not values["data_dir"]:
        raise SettingsInvalid("no data folder: the user has no home", hint="give --data-dir")
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        field = str(fault["loc"][0])
        raise SettingsInvalid(f"{sources[field]} {values[field]!r}: {fault['msg']}") from error


def option_name(field: str) -> str:
    """Return the command-line option of a setting, e.g. ``--data-dir``."""
    return "--" + field.replace("_", "-")
