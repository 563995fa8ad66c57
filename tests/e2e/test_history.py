"""History, comparison and export from the command line, on a real agent that really measures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.agent_process import AgentProcess, running_agent
from support.bundles import tiny_bundle
from support.command import gdws

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("history")


@pytest.fixture(scope="module")
def device(folder: Path) -> Iterator[AgentProcess]:
    """An agent that measured the same bundle twice; the results are ``1.json`` and ``2.json``."""
    bundle = tiny_bundle(folder / "tiny.gdws")
    with running_agent(folder / "data") as agent:
        for number in (1, 2):
            asked = ["--rounds", 4, "--min-duration", 0.1, "--min-iterations", 8, "--warmup", 0, "--quiet"]
            done = gdws(
                "bench", bundle, "--device", agent.url, "--label", number, "--out", folder / f"{number}.json", *asked
            )
            assert done.exit_code == 0, done.output
        yield agent


def job_ids(device: AgentProcess) -> list[str]:
    return [job["id"] for job in json.loads(gdws("history", "--device", device.url, "--json").stdout)]


def test_history_lists_jobs_and_chooses_among_them(device: AgentProcess) -> None:
    shown = gdws("history", "--device", device.url).stdout
    newest, oldest = job_ids(device)
    assert shown.index(newest) < shown.index(oldest)
    assert "done" in shown
    assert "2/2" in shown
    assert "tiny" in shown
    assert gdws("history", "--device", device.url, "--state", "failed").stderr == "no jobs\n"
    assert gdws("history", "--device", device.url, "--model", "other").stderr == "no jobs\n"
    assert newest in gdws("history", "--device", device.url, "--model", "tiny", "--since", "1h").stdout
    assert gdws("history", "--device", device.url, "--since", "2999-01-01").stderr == "no jobs\n"


def test_wrong_times_are_bad_input(device: AgentProcess) -> None:
    found = gdws("history", "--device", device.url, "--since", "soon")
    assert (found.exit_code, "is not a valid time" in found.stderr) == (2, True)


def test_jobs_and_files_compare_alike(device: AgentProcess, folder: Path) -> None:
    newest, oldest = job_ids(device)
    by_job = json.loads(gdws("compare", oldest, newest, "--device", device.url, "--json").stdout)
    by_file = json.loads(gdws("compare", folder / "1.json", folder / "2.json", "--json").stdout)
    assert by_job["cells"] == by_file["cells"]
    assert [cell["key"]["variant"] for cell in by_file["cells"]] == ["dense", "gdws"]
    assert all(cell["speedup"]["low"] <= cell["speedup"]["high"] for cell in by_file["cells"])
    assert by_file["differences"] == []


def test_a_comparison_is_printed_or_written(device: AgentProcess, folder: Path) -> None:
    printed = gdws("compare", folder / "1.json", folder / "2.json")
    written = gdws("compare", folder / "1.json", folder / "2.json", "--out", folder / "c.md")
    assert printed.exit_code == written.exit_code == 0
    assert "times as fast" in printed.stdout
    assert "labelled 2" in printed.stdout
    assert written.stdout == ""
    assert "| dense | batch 1, onnxruntime, fp32 |" in (folder / "c.md").read_text()


def test_what_is_neither_file_nor_job_is_bad_input(device: AgentProcess, folder: Path) -> None:
    absent = gdws("compare", folder / "1.json", "nowhere.json")
    unknown = gdws("compare", folder / "1.json", "no-such-job", "--device", device.url)
    assert (absent.exit_code, "there is no file nowhere.json" in absent.stderr) == (2, True)
    assert (unknown.exit_code, "no-such-job" in unknown.stderr) == (3, True)


@pytest.mark.parametrize("form", ["csv", "github-action-benchmark", "bencher"])
def test_a_result_is_exported(device: AgentProcess, folder: Path, form: str) -> None:
    found = gdws("export", folder / "1.json", "--format", form, "--out", folder / f"out.{form}")
    assert found.exit_code == 0, found.output
    assert "onnxruntime" in (folder / f"out.{form}").read_text()
