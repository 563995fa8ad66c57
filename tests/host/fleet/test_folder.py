"""The folder of a sweep: what it refuses, and the keys of its jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdws.device.devices import DeviceEntry
from gdws.errors import GdwsError, SettingsError
from gdws.fleet.folder import RECORD, create, open_folder, with_devices
from gdws.fleet.sweep import Sweep
from gdws.fleet.workflows import JsonSerializer, place_of
from support.fleets import FAST, fleet_folder

URLS = {"a": "http://a:8000", "b": "http://b:8000"}


def test_a_folder_reads_back_as_it_was_written(tmp_path: Path) -> None:
    folder = fleet_folder(tmp_path, URLS)
    assert open_folder(folder.path).record == folder.record


def test_a_folder_is_not_written_over(tmp_path: Path) -> None:
    folder = fleet_folder(tmp_path, URLS)
    with pytest.raises(SettingsError, match="already has a sweep"):
        create(folder.path, Sweep(jobs=folder.record.jobs, retries=FAST), folder.record.devices, shared_database=False)


def test_devices_without_a_job_are_left_out(tmp_path: Path) -> None:
    jobs = [job.model_copy(update={"tags": ["orin"]}) for job in fleet_folder(tmp_path, URLS).record.jobs]
    devices = {"orin": DeviceEntry(url="http://o", tags=["orin"]), "nano": DeviceEntry(url="http://n")}
    made = create(tmp_path / "other", Sweep(jobs=jobs, retries=FAST), devices, shared_database=False)
    assert list(made.record.devices) == ["orin"]
    with pytest.raises(SettingsError, match="no device has a job"):
        create(tmp_path / "x", Sweep(jobs=jobs, retries=FAST), {"nano": devices["nano"]}, shared_database=False)


@pytest.mark.parametrize(
    ("url", "said"), [("local", "a sweep starts no agent"), ("ftp://a", "is not the address"), ("http://", "address")]
)
def test_an_address_that_never_answers_is_refused_at_once(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(SettingsError, match=rf"devices\.a\.url: .*{said}"):
        fleet_folder(tmp_path, {"a": url})
    folder = fleet_folder(tmp_path, URLS)
    with pytest.raises(SettingsError, match=rf"devices\.b\.url: .*{said}"):
        with_devices(folder, {"b": DeviceEntry(url=url)})
    assert open_folder(folder.path).record == folder.record


def test_jobs_that_no_device_measures_are_known(tmp_path: Path) -> None:
    folder = fleet_folder(tmp_path, URLS, tags=["orin"])
    assert folder.unassigned() == []
    first, second = folder.record.jobs
    jobs = [first, second.model_copy(update={"tags": ["xavier"]})]
    made = create(tmp_path / "x", Sweep(jobs=jobs, retries=FAST), folder.record.devices, shared_database=False)
    assert [job.name for job in made.unassigned()] == [second.name]


@pytest.mark.parametrize("content", [None, "{}", "nonsense"])
def test_what_is_no_sweep_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / RECORD).write_text(content)
    with pytest.raises(SettingsError):
        open_folder(tmp_path)
    if content is not None:
        with pytest.raises(SettingsError, match="there is no sweep in"):
            open_folder(tmp_path / RECORD)


def test_keys_differ_by_sweep_device_job_and_repeat_and_by_nothing_else(tmp_path: Path) -> None:
    folder = fleet_folder(tmp_path, URLS)
    (tmp_path / "again").mkdir()
    other = fleet_folder(tmp_path / "again", URLS)
    keys = {
        each.key(device, job.name, repeat)
        for each in (folder, other)
        for device in URLS
        for job in folder.record.jobs
        for repeat in (0, 1)
    }
    assert len(keys) == 16
    assert open_folder(folder.path).key("a", "net.threads-1", 0) in keys


def test_new_addresses_are_taken_and_tags_stay(tmp_path: Path) -> None:
    folder = fleet_folder(tmp_path, URLS, tags=["orin"])
    changed = with_devices(folder, {"a": DeviceEntry(url="http://new", token_file="/t"), "c": DeviceEntry(url="x")})
    assert open_folder(folder.path).record == changed.record
    assert changed.record.devices["a"] == DeviceEntry(url="http://new", tags=["orin"], token_file="/t")
    assert changed.record.devices["b"] == folder.record.devices["b"]
    assert set(changed.record.devices) == set(URLS)
    with pytest.raises(SettingsError, match="none of these devices: c") as caught:
        with_devices(folder, {"c": DeviceEntry(url="x")})
    assert caught.value.hint == "its devices: a, b"


def test_a_sweep_is_continued_in_the_database_that_it_began_in(tmp_path: Path) -> None:
    folder = fleet_folder(tmp_path, URLS)
    assert place_of(folder, None).url.startswith("sqlite:///")
    with pytest.raises(GdwsError, match=r"leave out --database|are in"):
        place_of(folder, "postgresql://db/x")
    (tmp_path / "shared").mkdir()
    shared = fleet_folder(tmp_path / "shared", URLS, shared_database=True)
    assert place_of(shared, "postgres://me@db/x").url == "postgresql+psycopg://me@db/x"
    for wrong in (None, "mysql://db/x"):
        with pytest.raises(GdwsError, match="PostgreSQL"):
            place_of(shared, wrong)


def test_values_are_stored_as_json_and_errors_as_what_they_say() -> None:
    serializer = JsonSerializer()
    assert serializer.deserialize(serializer.serialize({"a": [1, None, "x"]})) == {"a": [1, None, "x"]}
    error = serializer.deserialize(serializer.serialize(ValueError("no")))
    assert isinstance(error, GdwsError)
    assert error.message == "ValueError: no"
    with pytest.raises(TypeError, match="object is not stored"):
        serializer.serialize(object())
