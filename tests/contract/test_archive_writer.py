"""Writing bundles: deterministic, atomic, and never one that a reader refuses."""

import json
import os
import zipfile

import pytest

from gdws_contract import archive_writer
from gdws_contract.archive import Limits, open_bundle
from gdws_contract.archive_writer import write_bundle
from gdws_contract.errors import BundleCorrupt, BundleTooLarge, BundleUnsafe, ManifestInvalid
from gdws_contract.manifest import Manifest
from support.bundles import tiny_parts


@pytest.fixture
def parts():
    return tiny_parts(net="linear", count=2)


def test_the_same_content_gives_the_same_bytes(tmp_path, parts):
    fields, members = parts
    first = write_bundle(tmp_path / "a.gdws", fields, members)
    second = write_bundle(tmp_path / "b.gdws", fields, dict(reversed(members.items())))
    assert first == second
    assert (tmp_path / "a.gdws").read_bytes() == (tmp_path / "b.gdws").read_bytes()


def test_another_content_gives_another_id(tmp_path, parts):
    fields, members = parts
    first = write_bundle(tmp_path / "a.gdws", fields, members)
    assert write_bundle(tmp_path / "a.gdws", {**fields, "description": "x"}, members) != first
    assert write_bundle(tmp_path / "a.gdws", fields, {**members, "more.bin": b"x"}) != first


def test_a_reader_finds_what_was_written(tmp_path, parts):
    fields, members = parts
    written = write_bundle(tmp_path / "a.gdws", fields, members)
    with open_bundle(tmp_path / "a.gdws") as bundle:
        bundle.verify()
        assert bundle.id == written
        assert {name: bundle.read(name) for name in bundle.manifest.members} == members
        assert bundle.manifest.model_dump(exclude={"members"}) == Manifest.model_validate(
            {**fields, "members": bundle.manifest.members}
        ).model_dump(exclude={"members"})


def test_the_manifest_is_canonical_json_and_comes_first(tmp_path, parts):
    write_bundle(tmp_path / "a.gdws", *parts)
    with zipfile.ZipFile(tmp_path / "a.gdws") as archive:
        names = archive.namelist()
        text = archive.read("manifest.json")
        assert archive.testzip() is None
    assert names == ["manifest.json", *sorted(parts[1])]
    assert text.decode() == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def test_files_as_members(tmp_path, parts):
    fields, members = parts
    first = write_bundle(tmp_path / "a.gdws", fields, members)
    on_disk = {}
    for index, (name, content) in enumerate(members.items()):
        on_disk[name] = tmp_path / str(index)
        on_disk[name].write_bytes(content)
    assert write_bundle(tmp_path / "b.gdws", fields, on_disk) == first
    assert (tmp_path / "a.gdws").read_bytes() == (tmp_path / "b.gdws").read_bytes()


def test_plain_data_as_fields(tmp_path, parts):
    fields, members = parts
    first = write_bundle(tmp_path / "a.gdws", fields, members)
    with open_bundle(tmp_path / "a.gdws") as bundle:
        plain = json.loads(bundle.manifest.model_dump_json(exclude={"members"}))
    assert write_bundle(tmp_path / "b.gdws", plain, members) == first


def test_non_ascii_text_survives(tmp_path, parts):
    fields, members = parts
    write_bundle(tmp_path / "a.gdws", {**fields, "description": "Käfer 甲虫"}, members)
    with open_bundle(tmp_path / "a.gdws") as bundle:
        assert bundle.manifest.description == "Käfer 甲虫"


@pytest.mark.parametrize(
    ("change", "error", "field"),
    [
        ({"name": "a b"}, ManifestInvalid, "name"),
        ({"baseline": "gdws"}, ManifestInvalid, "baseline"),
        ({"variants": []}, ManifestInvalid, "variants"),
        ({"colour": "red"}, ManifestInvalid, "colour"),
        ({"provenance": {"x": object()}}, ManifestInvalid, "provenance"),
        ({"provenance": {"x": float("nan")}}, ManifestInvalid, "provenance"),
        ({"provenance": {"x": "\ud800"}}, ManifestInvalid, "provenance"),
        ({"provenance": {"x": 2**70}}, ManifestInvalid, "manifest.json"),
    ],
)
def test_fields_that_a_reader_would_refuse(tmp_path, parts, change, error, field):
    fields, members = parts
    with pytest.raises(error) as caught:
        write_bundle(tmp_path / "a.gdws", {**fields, **change}, members)
    assert caught.value.field == field
    assert list(tmp_path.iterdir()) == []


def test_a_missing_member(tmp_path, parts):
    fields, members = parts
    del members["variants/gdws/model.onnx"]
    with pytest.raises(ManifestInvalid, match="points to") as caught:
        write_bundle(tmp_path / "a.gdws", fields, members)
    assert caught.value.field == "variants[1].onnx"


@pytest.mark.parametrize("name", ["../a", "/a", "a//b", "manifest.json", ""])
def test_unsafe_member_paths(tmp_path, parts, name):
    fields, members = parts
    with pytest.raises(BundleUnsafe):
        write_bundle(tmp_path / "a.gdws", fields, {**members, name: b""})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "limits", [Limits(members=3), Limits(manifest_bytes=100), Limits(total_bytes=5_000), Limits(archive_bytes=5_000)]
)
def test_limits(tmp_path, parts, limits):
    with pytest.raises(BundleTooLarge):
        write_bundle(tmp_path / "a.gdws", *parts, limits)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_changes_while_it_is_packed(tmp_path, parts, monkeypatch):
    fields, members = parts
    source = tmp_path / "source"
    source.write_bytes(b"before")
    monkeypatch.setattr(archive_writer, "_check_limits", lambda *_: source.write_bytes(b"after!"))
    with pytest.raises(BundleCorrupt, match="changed") as caught:
        write_bundle(tmp_path / "a.gdws", fields, {**members, "extra.bin": source})
    assert caught.value.field == "extra.bin"
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_full_disk_leaves_the_former_bundle_and_nothing_else(tmp_path, parts):
    resource = pytest.importorskip("resource")
    fields, members = parts
    path = tmp_path / "a.gdws"
    path.write_bytes(b"former")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (0, 100, 5_000, sum(map(len, members.values()))):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(OSError, match="large"):
                write_bundle(path, fields, members)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert path.read_bytes() == b"former"
        assert [each.name for each in tmp_path.iterdir()] == ["a.gdws"]


def test_a_folder_that_is_not_there(tmp_path, parts):
    with pytest.raises(FileNotFoundError):
        write_bundle(tmp_path / "none" / "a.gdws", *parts)


def test_a_path_that_is_a_folder(tmp_path, parts):
    (tmp_path / "a.gdws").mkdir()
    with pytest.raises(OSError, match=r"a\.gdws"):
        write_bundle(tmp_path / "a.gdws", *parts)
    assert [path.name for path in tmp_path.iterdir()] == ["a.gdws"]


def test_a_path_that_is_a_pipe_is_left_as_it_is(tmp_path, parts):
    """So is a device: a bundle in the place of /dev/null would be missed by the whole machine."""
    os.mkfifo(tmp_path / "a.gdws")
    with pytest.raises(OSError, match="device or a pipe"):
        write_bundle(tmp_path / "a.gdws", *parts)
    assert (tmp_path / "a.gdws").is_fifo()


def test_permissions_are_the_usual_ones(tmp_path, parts):
    before = os.umask(0o022)
    try:
        write_bundle(tmp_path / "a.gdws", *parts)
    finally:
        os.umask(before)
    assert (tmp_path / "a.gdws").stat().st_mode & 0o777 == 0o644
