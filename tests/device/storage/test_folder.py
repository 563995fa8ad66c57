from __future__ import annotations

import errno
import os
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
