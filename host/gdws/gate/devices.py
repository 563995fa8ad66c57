"""Devices by name and tag: ``devices.toml``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from gdws._util.toml_file import load_toml
from gdws.errors import SettingsError
from gdws_contract.base import Name, Record

DEFAULT_FILE = Path("devices.toml")
_HINT = "see docs/ci.md for an example of devices.toml"


class DeviceEntry(Record):
    """One device of the file."""

    url: str
    tags: list[Name] = Field(default_factory=list)
    token_variable: str | None = Field(None, description="The environment variable with its token.")


class DevicesFile(Record):
    """The whole file."""

    devices: dict[Name, DeviceEntry]


@dataclass(frozen=True)
class Device:
    """Where to measure: a display name, the address, and the device's own token, if any."""

    name: str
    url: str
    token: str | None = None


def choose_devices(wanted: str, path: Path | None, environment: Mapping[str, str] = os.environ) -> list[Device]:
    """The devices that ``wanted`` names: comma-separated addresses, names of the file, or ``tag:NAME``.

    Duplicates are dropped; the order is that of ``wanted`` and of the file. The file is ``path``, or
    :data:`DEFAULT_FILE` if it exists; addresses need no file.

    Raises:
        SettingsError: the file is malformed, has no such device or tag, or the variable of a token is not set.
        OSError: the file cannot be read.
    """
    known = _load(path)
    chosen: dict[str, Device] = {}
    for word in filter(None, (part.strip() for part in wanted.split(","))):
        if word.startswith("tag:"):
            tagged = [name for name, entry in known.items() if word[4:] in entry.tags]
            if not tagged:
                raise SettingsError(f"no device has the tag {word[4:]!r}", hint=_HINT)
            chosen |= {name: _device(name, known[name], environment) for name in tagged if name not in chosen}
        elif word in known:
            chosen.setdefault(word, _device(word, known[word], environment))
        elif "://" in word or ":" in word or word == "local":
            chosen.setdefault(word, Device(word, word))
        else:
            raise SettingsError(
                f"there is no device {word!r}", hint=f"known devices: {', '.join(known) or 'none'}; {_HINT}"
            )
    if not chosen:
        raise SettingsError("no device is named", hint="give --device an address, a name or tag:NAME")
    return list(chosen.values())


def _load(path: Path | None) -> dict[str, DeviceEntry]:
    if path is None and not DEFAULT_FILE.exists():
        return {}
    return load_toml(DevicesFile, path or DEFAULT_FILE, hint=_HINT).devices


def _device(name: str, entry: DeviceEntry, environment: Mapping[str, str]) -> Device:
    if entry.token_variable is None:
        return Device(name, entry.url)
    token = environment.get(entry.token_variable)
    if not token:
        raise SettingsError(
            f"{entry.token_variable} is not set",
            field=f"devices.{name}.token_variable",
            hint="set it to the device's token",
        )
    return Device(name, entry.url, token)
