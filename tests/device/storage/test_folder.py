import errno
import os
import stat
import subprocess
import sys

import pytest

from gdws_agent.errors import DataUnusable
from gdws_agent.storage.folder import DataFolder, is_full


def test_the_folder_is_made_with_its_parts(tmp_path):
    with DataFolder(tmp_path / "a" / "b") as folder:
        assert folder.models.is_dir()
        assert folder.uploads.is_dir()
        assert folder.cache.is_dir()
        assert list(folder.uploads.iterdir()) == []


def test_what_cut_off_uploads_left_is_dropped_and_the_rest_is_kept(tmp_path):
    with DataFolder(tmp_path) as folder:
        (folder.uploads / "x.partial").write_bytes(b"half")
        (folder.models / "y.gdws").write_bytes(b"whole")
        (folder.cache / "engine").write_bytes(b"engine")

    with DataFolder(tmp_path) as folder:
        assert list(folder.uploads.iterdir()) == []
        assert (folder.models / "y.gdws").exists()
        assert (folder.cache / "engine").exists()


def test_a_second_agent_is_refused_and_harms_nothing(tmp_path):
    with DataFolder(tmp_path) as folder:
        (folder.uploads / "x.partial").write_bytes(b"under way")

        with pytest.raises(DataUnusable, match="in use by another agent"):
            DataFolder(tmp_path)

        assert (folder.uploads / "x.partial").exists()
    DataFolder(tmp_path).close()


def test_the_lock_ends_with_a_process_that_is_killed(tmp_path):
    script = (
        "import os, signal, sys; from pathlib import Path; from gdws_agent.storage.folder import DataFolder;"
        "folder = DataFolder(Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)

    DataFolder(tmp_path).close()


def test_a_file_in_its_place_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(DataUnusable, match="File exists"):
        DataFolder(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(DataUnusable, match="Permission denied"):
        DataFolder(tmp_path / "data")


@pytest.mark.parametrize(("number", "told"), [(errno.ENOSPC, "no space left"), (errno.EROFS, "Read-only")])
def test_a_disk_that_does_not_take_a_block_is_named(tmp_path, monkeypatch, number, told):
    def refuse(path, data):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("pathlib.Path.write_bytes", refuse)

    with pytest.raises(DataUnusable, match=told):
        DataFolder(tmp_path)


def test_full_means_no_space_or_no_quota():
    assert is_full(OSError(errno.ENOSPC, ""))
    assert is_full(OSError(errno.EDQUOT, ""))
    assert not is_full(OSError(errno.EACCES, ""))


def modes(folder):
    return {str(path.relative_to(folder)): stat.S_IMODE(path.lstat().st_mode) for path in folder.rglob("*")}


class TestOtherUsers:
    def test_a_new_folder_is_the_agents_alone(self, tmp_path):
        before = os.umask(0o022)
        try:
            with DataFolder(tmp_path / "data") as folder:
                assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
                assert {name: mode for name, mode in modes(folder.path).items() if name != "lock"} == dict.fromkeys(
                    ("models", "uploads", "cache", "scratch"), 0o700
                )
        finally:
            os.umask(before)

    def test_what_an_earlier_release_left_open_is_closed(self, tmp_path):
        data = tmp_path / "data"
        DataFolder(data).close()
        files = ("agent.db", "agent.db-wal", "agent.db-shm", "agent.db.damaged-1", "clocks.json", "lock", "token")
        (data / "cache" / "tensorrt").mkdir()
        for name in (*files, "read-token", "models/a.gdws", "cache/tensorrt/b.cache"):
            (data / name).write_bytes(b"secret")
            (data / name).chmod(0o644)
        for folder in (data, data / "models", data / "cache", data / "cache" / "tensorrt"):
            folder.chmod(0o755)

        DataFolder(data).close()

        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        assert {name: mode for name, mode in modes(data).items() if mode & 0o077} == {}
        assert (data / "models" / "a.gdws").read_bytes() == b"secret"

    def test_what_is_not_the_agents_is_left_as_it_is(self, tmp_path):
        foreign = tmp_path / "notes"
        foreign.write_bytes(b"")
        foreign.chmod(0o644)
        outside = tmp_path.parent / "outside"
        outside.write_bytes(b"")
        outside.chmod(0o644)
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "link.gdws").symlink_to(outside)

        DataFolder(tmp_path).close()

        assert [stat.S_IMODE(path.stat().st_mode) for path in (foreign, outside)] == [0o644, 0o644]

    def test_a_folder_for_everybody_stays_one(self, tmp_path):
        shared = tmp_path / "shared"
        shared.mkdir()
        shared.chmod(0o1777)

        DataFolder(shared).close()

        assert stat.S_IMODE(shared.stat().st_mode) == 0o1777
        assert stat.S_IMODE((shared / "models").stat().st_mode) == 0o700

    def test_what_another_user_owns_is_told(self, tmp_path, monkeypatch, caplog):
        (tmp_path / "agent.db").write_bytes(b"")
        (tmp_path / "agent.db").chmod(0o644)

        def refuse(path, mode):
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr("pathlib.Path.chmod", refuse)
        DataFolder(tmp_path).close()

        assert "another user owns them" in caplog.text

    def test_what_a_worker_that_died_left_is_dropped(self, tmp_path):
        with DataFolder(tmp_path):
            (tmp_path / "scratch" / "worker-x").mkdir()

        with DataFolder(tmp_path):
            assert list((tmp_path / "scratch").iterdir()) == []
