import os
import stat
from pathlib import Path

import pytest

from gdws_agent.jobs.surroundings import own_folder, worker_environment


def environment(**given):
    return worker_environment(given, Path("/data/scratch/own"), Path("/data/cache"))


@pytest.mark.parametrize(
    "name",
    [
        "GDWS_TOKEN",
        "GDWS_AGENT_TOKEN",
        "GDWS_AGENT_READ_TOKEN",
        "GDWS_AGENT_DATA_DIR",
        "GITHUB_TOKEN",
        "AWS_SESSION",
        "DATABASE_PASSWORD",
        "db_passwd",
        "OPENAI_API_KEY",
        "CLIENT_SECRET",
        "SSH_AUTH_SOCK",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "XDG_RUNTIME_DIR",
        "XDG_CACHE_HOME",
    ],
)
def test_no_secret_reaches_a_worker(name):
    assert name not in environment(**{name: "x"})


@pytest.mark.parametrize("name", ["PATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "PYTHONPATH", "OMP_NUM_THREADS"])
def test_variables_that_runtimes_need_are_passed_on(name):
    assert environment(**{name: "x"})[name] == "x"


def test_home_and_temporary_files_are_in_its_folder():
    found = environment(HOME="/home/user", TMPDIR="/tmp")
    assert (found["HOME"], found["TMPDIR"]) == ("/data/scratch/own", "/data/scratch/own")


def test_the_kernels_that_cuda_compiles_are_kept_unless_it_was_told_where():
    assert environment()["CUDA_CACHE_PATH"] == "/data/cache/cuda"
    assert environment(CUDA_CACHE_PATH="/fast/cuda")["CUDA_CACHE_PATH"] == "/fast/cuda"


def test_packages_of_the_user_are_still_found():
    assert environment(HOME="/home/user")["PYTHONUSERBASE"].startswith(os.path.expanduser("~"))


def test_a_folder_is_empty_private_and_gone_afterwards(tmp_path):
    with own_folder(tmp_path) as folder:
        assert folder.parent == tmp_path / "scratch"
        assert list(folder.iterdir()) == []
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(folder.parent.stat().st_mode) & 0o077 == 0
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_bytes(b"x")
        (folder / "deep").chmod(0)
    assert not folder.exists() or os.geteuid() != 0


def test_a_relative_data_folder_gives_an_absolute_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    with own_folder(Path("data")) as folder:
        assert folder.is_absolute()
