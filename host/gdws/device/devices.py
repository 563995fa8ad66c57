"""Devices by name and tag: ``devices.toml``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, model_validator

from gdws._util.text_files import read_text
from gdws._util.toml_file import load_toml
from gdws.errors import SettingsError
from gdws_contract.base import Name, Record
from gdws_contract.layer_plan import inconsistent

DEFAULT_FILE = Path("devices.toml")


class DeviceEntry(Record):
    """One device of the file."""

    url: str
    tags: list[Name] = Field(default_factory=list)
    token_variable: str | None = Field(None, description="The environment variable with its token.")
    token_file: str | None = Field(None, description="Or the file with its token.")

    @model_validator(mode="after")
    def _one_source_of_the_token(self) -> DeviceEntry:
        if self.token_variable is not None and self.token_file is not None:
            raise inconsistent("token_file", "give token_variable or token_file, not both")
        return self


class DevicesFile(Record):
    """The whole file."""

    devices: dict[Name, DeviceEntry]


_HINT = f"a device has {', '.join(DeviceEntry.model_fields)}; see docs/ci.md for an example of devices.toml"


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
        SettingsError: the file is malformed, has no such device or tag, or a token is not where it should be.
        OSError: the file cannot be read.
    """
    known = load_devices(path)
    chosen: dict[str, Device] = {}
    for word in filter(None, (part.strip() for part in wanted.split(","))):
        if word.startswith("tag:"):
            tagged = with_tags(known, [word[4:]])
            chosen |= {name: named(name, known[name], environment) for name in tagged if name not in chosen}
        elif word in known:
            chosen.setdefault(word, named(word, known[word], environment))
        elif "://" in word or ":" in word or word == "local":
            chosen.setdefault(word, Device(word, word))
        else:
            raise SettingsError(
                f"there is no device {word!r}", hint=f"known devices: {', '.join(known) or 'none'}; {_HINT}"
            )
    if not chosen:
        raise SettingsError("no device is named", hint="give --device an address, a name or tag:NAME")
    return list(chosen.values())


def load_devices(path: Path | None) -> dict[str, DeviceEntry]:
    """The devices of the file at ``path``, or of :data:`DEFAULT_FILE`; none if that does not exist.

    Raises:
        SettingsError: the file is malformed.
        OSError: the file cannot be read.
    """
    if path is None and not DEFAULT_FILE.exists():
        return {}
    return load_toml(DevicesFile, path or DEFAULT_FILE, hint=_HINT).devices


def tagged_devices(path: Path | None, tags: Sequence[str]) -> dict[str, DeviceEntry]:
    """The devices of the file at ``path``, or of :data:`DEFAULT_FILE`, with at least one of ``tags``, if any are given.

    Raises:
        SettingsError: the file is malformed, there is none, or it has no device or none with a tag.
        OSError: the file cannot be read.
    """
    known = load_devices(path)
    if not known:
        reason = f"there is no {DEFAULT_FILE} in this folder" if path is None else f"{path} has no devices"
        raise SettingsError(reason, hint=f"give --devices a file of devices; {_HINT}")
    return with_tags(known, tags)


def with_tags(known: Mapping[str, DeviceEntry], tags: Sequence[str]) -> dict[str, DeviceEntry]:
    """The devices with at least one of ``tags``, in the order of the file; all of them without tags.

    Raises :class:`SettingsError` for a tag that no device has.
    """
    for tag in tags:
        if not any(tag in entry.tags for entry in known.values()):
            tagged = sorted({tag for entry in known.values() for tag in entry.tags})
            raise SettingsError(
                f"no device has the tag {tag!r}", hint=f"known tags: {', '.join(tagged) or 'none'}; {_HINT}"
            )
    return {name: entry for name, entry in known.items() if not tags or set(tags) & set(entry.tags)}


def named(name: str, entry: DeviceEntry, environment: Mapping[str, str] = os.environ) -> Device:
    """The device of an ``entry``, with its token.

    Raises :class:`SettingsError` if the variable or the file of the token is not there.
    """
    if entry.token_file is not None:
        field = f"devices.{name}.token_file"
        try:
            token = read_text(Path(entry.token_file)).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"the token of {name} cannot be read: {error}", field=field) from error
        if not token:
            raise SettingsError(f"{entry.token_file} is empty", field=field, hint="put the device's token into it")
        return Device(name, entry.url, token)
    if entry.token_variable is None:
        return Device(name, entry.url)
    token = environment.get(entry.token_variable, "")
    if not token:
        raise SettingsError(
            f"{entry.token_variable} is not set",
            field=f"devices.{name}.token_variable",
            hint="set it to the device's token",
        )
    return Device(name, entry.url, token)
