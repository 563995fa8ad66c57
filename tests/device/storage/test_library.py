import contextlib
import errno
import os
import shutil
import threading
import zipfile
from pathlib import Path

import pytest

from gdws_agent.errors import ModelDamaged, ModelInUse, ModelNotFound, StorageFailed, StorageFull
from gdws_agent.storage.library import Library, check_bundle
from gdws_agent.storage.store import Store
from gdws_contract.errors import BundleCorrupt, BundleError, BundleUnsafe
from support.agents import resolved
from support.bundles import tiny_parts, write_unchecked


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "agent.db")
    yield opened
    opened.close()


@pytest.fixture
def library(store, folder):
    return Library(store, folder)


@pytest.fixture
def upload(bundle_path, tmp_path):
    """Return a function that makes one more uploaded copy of the bundle and checks it."""
    numbers = iter(range(1000))

    def make():
        return check_bundle(Path(shutil.copy(str(bundle_path), str(tmp_path / f"{next(numbers)}.partial"))))

    return make


def test_a_bundle_is_kept_under_its_id(library, upload, folder, bundle_path):
    checked = upload()

    info, is_new = library.add(checked)

    assert is_new
    assert (info.id, info.name, info.baseline, info.variants) == (checked.id, "tiny", "dense", ["dense", "gdws"])
    assert info.manifest == checked.manifest
    assert info.size_bytes == bundle_path.stat().st_size
    assert [entry.name for entry in folder.iterdir()] == [f"{info.id}.gdws"]
    assert library.path(info.id).read_bytes() == bundle_path.read_bytes()
    assert library.manifest(info.id) == checked.manifest


def test_the_same_bundle_again_is_not_new(library, upload, folder):
    first, _ = library.add(upload())

    again, is_new = library.add(upload())

    assert not is_new
    assert again == first
    assert len(list(folder.iterdir())) == 1


def test_a_bundle_whose_file_went_missing_is_healed_by_sending_it_again(library, upload):
    info, _ = library.add(upload())
    library.path(info.id).unlink()

    library.add(upload())

    assert library.path(info.id).exists()


def test_a_removed_bundle_is_gone(library, upload, folder):
    info, _ = library.add(upload())

    library.remove(info.id)

    assert (library.models(), list(folder.iterdir())) == ([], [])
    with pytest.raises(ModelNotFound):
        library.remove(info.id)


def test_a_bundle_whose_file_is_missing_can_be_removed(library, upload):
    info, _ = library.add(upload())
    library.path(info.id).unlink()

    library.remove(info.id)

    assert library.models() == []


def test_a_bundle_can_be_removed_from_a_full_disk(store, folder, upload):
    """Even forgetting a bundle takes space, which its own file makes."""

    class FullStore:
        def __getattr__(self, name):
            return getattr(store, name)

        def remove_model(self, model_id):
            if library.path(model_id).exists():
                raise StorageFull("full")
            store.remove_model(model_id)

    library = Library(FullStore(), folder)
    info, _ = library.add(upload())
    library.remove(info.id)

    assert (library.models(), list(folder.iterdir())) == ([], [])


def test_a_bundle_in_use_is_kept_on_a_full_disk_too(store, folder, upload, monkeypatch):
    def refuse(model_id):
        raise StorageFull("full")

    library = Library(store, folder)
    info, _ = library.add(upload())
    store.add_job(resolved(info.id))
    monkeypatch.setattr(store, "remove_model", refuse)

    with pytest.raises(ModelInUse):
        library.remove(info.id)

    assert library.path(info.id).exists()


def test_a_file_without_a_record_is_taken_in_at_the_start(store, folder, upload, caplog):
    info, _ = Library(store, folder).add(upload())
    store.remove_model(info.id)

    library = Library(store, folder)

    assert [kept.id for kept in library.models()] == [info.id]
    assert "taken in" in caplog.text
    assert library.model(info.id).manifest == info.manifest


def test_a_file_that_is_no_bundle_or_another_one_is_left_alone(store, folder, upload, caplog):
    checked = upload()
    strange = [folder / f"{'0' * 64}.gdws", folder / f"{'1' * 64}.gdws", folder / f"{'2' * 64}.gdws"]
    strange[0].write_bytes(b"of a later release, perhaps")
    shutil.copy(str(checked.path), str(strange[1]))
    strange[2].mkdir()

    library = Library(store, folder)

    assert library.models() == []
    assert all(path.exists() for path in strange)
    assert all(path.name in caplog.text for path in strange)


def flip_a_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


HARM = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-10]),
    "one byte": flip_a_byte,
}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
@pytest.mark.parametrize("restarted", [False, True])
def test_a_damaged_bundle_says_so_and_is_whole_when_it_is_sent_again(store, folder, upload, harm, restarted):
    library = Library(store, folder)
    info, _ = library.add(upload())
    assert library.model(info.id) == info
    harm(library.path(info.id))
    library = Library(store, folder) if restarted else library

    for look in (library.model, library.manifest):
        with pytest.raises(ModelDamaged, match="cannot be used any more") as caught:
            look(info.id)
        assert "again" in caught.value.hint
    assert library.manifest_on_record(info.id) == info.manifest
    assert [listed.id for listed in library.models()] == [info.id]

    assert library.add(upload())[1] is False
    assert library.model(info.id) == info


def test_a_whole_bundle_is_read_once(library, upload, monkeypatch):
    info, _ = library.add(upload())
    reads = []
    monkeypatch.setattr(
        "gdws_agent.storage.library.check_bundle", lambda path: reads.append(path) or check_bundle(path)
    )
    for _ in range(3):
        library.model(info.id)
    assert len(reads) == 0
    library.distrust(info.id)
    for _ in range(3):
        library.model(info.id)
    assert len(reads) == 1


def test_bytes_that_changed_on_the_disk_are_noticed_after_a_job_failed_on_them(library, upload):
    """The disk gives other bytes, though nothing about the file has changed."""
    info, _ = library.add(upload())
    path = library.path(info.id)
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    with open(path, "r+b") as file:
        file.write(data)
    os.utime(str(path), ns=(before.st_atime_ns, before.st_mtime_ns))
    library.model(info.id)

    library.distrust(info.id)

    with pytest.raises(ModelDamaged):
        library.model(info.id)


def test_the_folder_is_made_anew_when_it_vanished(library, upload, folder):
    info, _ = library.add(upload())
    shutil.rmtree(str(folder))

    library.add(upload())

    assert library.model(info.id) == info


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE])
def test_a_disk_that_fails_while_moving_leaves_nothing(library, upload, folder, monkeypatch, number):
    def refuse(descriptor):
        raise OSError(number, "no")

    checked = upload()
    monkeypatch.setattr("os.fsync", refuse)

    with pytest.raises(StorageFailed) as caught:
        library.add(checked)

    assert isinstance(caught.value, StorageFull) == (number in (errno.ENOSPC, errno.EDQUOT))
    assert (library.models(), list(folder.iterdir())) == ([], [])


def test_a_record_that_cannot_be_stored_leaves_no_file(library, store, upload, folder, monkeypatch):
    def refuse(info, manifest):
        raise StorageFull("full")

    monkeypatch.setattr(store, "add_model", refuse)

    with pytest.raises(StorageFull):
        library.add(upload())

    assert list(folder.iterdir()) == []


def test_adding_and_removing_at_once_never_leaves_one_half(library, upload, store, folder):
    copies = [upload() for _ in range(20)]
    errors = []

    def add():
        try:
            while True:
                library.add(copies.pop())
        except IndexError:
            pass  # all are added
        except Exception as error:
            errors.append(error)

    def remove():
        for _ in range(20):
            for info in library.models():
                with contextlib.suppress(ModelNotFound):
                    library.remove(info.id)

    threads = [threading.Thread(target=work) for work in (add, remove, add, remove)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert {f"{info.id}.gdws" for info in store.models()} == {entry.name for entry in folder.iterdir()}


def test_every_byte_is_checked(bundle_path, tmp_path):
    data = bytearray(bundle_path.read_bytes())
    data[200] ^= 1
    damaged = tmp_path / "damaged.gdws"
    damaged.write_bytes(data)

    with pytest.raises(BundleError):
        check_bundle(damaged)


def test_a_member_that_differs_from_its_hash_is_named(bundle_path, tmp_path):
    damaged = tmp_path / "damaged.gdws"
    with zipfile.ZipFile(bundle_path) as source, zipfile.ZipFile(damaged, "w") as target:
        for entry in source.infolist():
            data = source.read(entry)
            target.writestr(entry.filename, data[:-1] + b"!" if entry.filename.endswith("labels.npy") else data)

    with pytest.raises(BundleCorrupt) as caught:
        check_bundle(damaged)

    assert caught.value.field == "verification/labels.npy"


def test_a_network_that_reads_files_is_not_taken(tmp_path):
    pytest.importorskip("onnx")
    from support.hostile_onnx import reading

    fields, members = tiny_parts()
    members["variants/gdws/model.onnx"] = reading("/etc/passwd", 1)
    write_unchecked(tmp_path / "evil.gdws", fields, members)
    with pytest.raises(BundleUnsafe, match="in another file") as caught:
        check_bundle(tmp_path / "evil.gdws")
    assert caught.value.field == "variants/gdws/model.onnx"
