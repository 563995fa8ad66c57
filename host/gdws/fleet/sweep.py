"""``SWEEP.toml``: what to measure on every device of a fleet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from gdws._util.toml_file import load_toml
from gdws.errors import SettingsError
from gdws_contract.archive import open_bundle
from gdws_contract.base import Name, Record, distinct_items, safe_name
from gdws_contract.errors import ContractError
from gdws_contract.parsing import first_fault
from gdws_contract.rest import BenchmarkRequest

_HINT = "see docs/fleet.md for an example of a sweep"


class Retries(Record):
    """How long a device that cannot serve is tried again; the times between tries double from the first on."""

    first_s: float = Field(5.0, gt=0, le=3_600, description="Before the second try.")
    longest_s: float = Field(300.0, gt=0, le=86_400, description="Between later tries, at most.")
    tries: int = Field(8, ge=1, le=1_000, description="In a row; then the device is left until the sweep is resumed.")

    def delay_s(self, failures: int) -> float:
        """The time before the next try, after so many ``failures`` in a row (from 1)."""
        return min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, 60))


_RETRIES = Retries.model_validate({})


class Section(Record):
    """A part of the sweep: every bundle, with every number of threads, on the devices with one of the tags."""

    bundles: list[str] | None = Field(None, min_length=1, description="Files. Default: those of the whole sweep.")
    tags: list[Name] = Field(default_factory=list, description="On devices with one of these tags. Default: on all.")
    threads: list[int] | None = Field(None, min_length=1, description="A job for each number of CPU threads.")
    request: dict[str, Any] = Field(default_factory=dict, description="As for POST /benchmark, without model_id.")

    @field_validator("bundles", "threads")
    @classmethod
    def _distinct(cls, values: list[Any] | None) -> list[Any] | None:
        return distinct_items(values)


class SweepFile(Record):
    """The whole file."""

    bundles: list[str] = Field(default_factory=list, description="Files, relative to this one.")
    measure: list[Section] = Field(default_factory=lambda: [Section.model_validate({})], min_length=1)
    retries: Retries = Field(default=_RETRIES)


class SweepJob(Record):
    """One job of every device that it is for; ``name`` is unique in the sweep and fit for a file."""

    name: Name
    bundle: str = Field(description="The file, absolute.")
    tags: list[Name] = Field(default_factory=list)
    request: BenchmarkRequest

    def is_for(self, tags: list[Name]) -> bool:
        """Whether a device with ``tags`` measures it."""
        return not self.tags or bool(set(self.tags) & set(tags))


class Sweep(Record):
    """The jobs, in the order in which each device measures them."""

    jobs: list[SweepJob] = Field(min_length=1)
    retries: Retries


def load_sweep(path: Path) -> Sweep:
    """The sweep that the file at ``path`` describes.

    Raises:
        SettingsError: the file or one of its requests is malformed, or a bundle cannot be used.
        OSError: a file cannot be read.
    """
    file = load_toml(SweepFile, path, hint=_HINT)
    ids: dict[Path, str] = {}
    jobs: list[SweepJob] = []
    taken: set[str] = set()
    for index, section in enumerate(file.measure):
        bundles = file.bundles if section.bundles is None else section.bundles
        if not bundles:
            raise SettingsError(f"{path}: measure[{index}] has no bundles", field="bundles", hint=_HINT)
        for bundle in (path.parent.joinpath(name).resolve() for name in bundles):
            if bundle not in ids:
                ids[bundle] = _bundle_id(bundle, path)
            for suffix, request in _requests(section, ids[bundle], f"{path}: measure[{index}].request"):
                name = _unused(safe_name(bundle.stem[:60] + suffix, default="job"), taken)
                jobs.append(SweepJob(name=name, bundle=str(bundle), tags=section.tags, request=request))
    return Sweep(jobs=jobs, retries=file.retries)


def sweep_of(bundle: Path, request: BenchmarkRequest) -> Sweep:
    """One ``request`` for ``bundle``, on every device."""
    name = safe_name(bundle.stem[:60], default="job")
    return Sweep(jobs=[SweepJob(name=name, bundle=str(bundle.resolve()), request=request)], retries=_RETRIES)


def _bundle_id(bundle: Path, sweep: Path) -> str:
    try:
        with open_bundle(bundle) as opened:
            return opened.id
    except ContractError as error:
        raise SettingsError(f"{sweep}: {bundle}: {error.message}", field="bundles", hint=error.hint) from error


def _requests(section: Section, model_id: str, where: str) -> Iterator[tuple[str, BenchmarkRequest]]:
    """The request for each number of threads, with what tells it from the others."""
    request = _request({**section.request, "model_id": model_id}, where)
    if not request.is_timed:
        raise SettingsError(f"{where}: a sweep measures times", hint="use gdws profile or gdws attack")
    if section.threads is None:
        yield "", request
        return
    for threads in section.threads:
        protocol = {**request.protocol.model_dump(), "threads": threads}
        yield f".threads-{threads}", _request({**request.model_dump(), "protocol": protocol}, where)


def _request(fields: dict[str, Any], where: str) -> BenchmarkRequest:
    try:
        return BenchmarkRequest.model_validate(fields)
    except ValidationError as error:
        field, message = first_fault(error)
        raise SettingsError(f"{where}: {field}: {message}", field=field, hint=_HINT) from error


def _unused(name: str, taken: set[str]) -> str:
    """``name``, with a number where it is ``taken`` already."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}.{number}"
    taken.add(found)
    return found
