"""``gdws fleet`` from the start of a sweep to its report, on thin agents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.bundles import tiny_bundle
from support.command import gdws
from support.thin_agents import ThinAgents, thin_agents

SWEEP = """
bundles = ["net.gdws"]
[retries]
first_s = 0.01
longest_s = 0.02
tries = 2
[[measure]]
threads = [1, 2]
"""


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[ThinAgents]:
    """Two devices, in the files of a sweep."""
    with thin_agents(["orin", "nano"]) as found:
        tiny_bundle(tmp_path / "net.gdws")
        (tmp_path / "SWEEP.toml").write_text(SWEEP)
        entries = [f'[devices.{name}]\nurl = "{found.url(name)}"\ntags = ["{name}"]\n' for name in ("orin", "nano")]
        (tmp_path / "devices.toml").write_text("".join(entries))
        yield found


def test_a_sweep_with_a_device_that_is_set_aside_mended_and_reported(agents: ThinAgents, tmp_path: Path) -> None:
    out = tmp_path / "fleet"
    agents["nano"].fault = "full"
    devices = ("--devices", tmp_path / "devices.toml", "--out", out)

    ended = gdws("fleet", "run", tmp_path / "SWEEP.toml", *devices)
    assert ended.exit_code == 3
    assert "orin: done, 2 of 2 jobs, 4 cells" in ended.stderr
    assert "nano is set aside: " in ended.stderr
    assert f"to try again: gdws fleet resume {out}" in ended.stderr
    assert gdws("fleet", "run", tmp_path / "SWEEP.toml", *devices).exit_code == 2

    shown = gdws("fleet", "status", out)
    assert shown.exit_code == 0
    [nano] = [line for line in shown.stdout.splitlines() if line.startswith("nano")]
    assert "set aside" in nano
    assert "storage-full" in nano
    told = json.loads(gdws("fleet", "status", out, "--json").stdout)
    assert (told["orin"]["phase"], told["orin"]["tally"]["cells"], told["nano"]["phase"]) == ("done", 4, "set aside")
    assert "storage-full" in gdws("fleet", "report", out).stdout

    agents["nano"].fault = None
    resumed = gdws("fleet", "resume", out, "--quiet")
    assert resumed.exit_code == 0, resumed.stderr
    assert gdws("fleet", "status", out, "--watch").exit_code == 0
    report = tmp_path / "report.html"
    assert gdws("fleet", "report", out, "--out", report).exit_code == 0
    assert "nano" in report.read_text()
    assert "cancelled on 0 devices" in gdws("fleet", "cancel", out).stderr


def test_tags_choose_the_devices(agents: ThinAgents, tmp_path: Path) -> None:
    devices = ("--devices", tmp_path / "devices.toml", "--tag", "orin", "--out", tmp_path / "fleet")
    assert gdws("fleet", "run", tmp_path / "SWEEP.toml", *devices).exit_code == 0
    assert not agents["nano"].jobs


def test_a_job_that_a_device_refuses_ends_with_1(agents: ThinAgents, tmp_path: Path) -> None:
    agents["orin"].refused_threads = 2
    devices = ("--devices", tmp_path / "devices.toml", "--tag", "orin", "--out", tmp_path / "fleet")
    ended = gdws("fleet", "run", tmp_path / "SWEEP.toml", *devices)
    assert ended.exit_code == 1
    assert "orin: net.threads-2 was not measured: unknown-backend" in ended.stderr


def test_without_dbos_the_fix_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gdws.fleet.engine.find_spec", lambda name: None)
    ended = gdws("fleet", "run", tmp_path / "SWEEP.toml")
    assert ended.exit_code == 2
    assert "pip install 'gdws[fleet]'" in ended.stderr


def test_bench_measures_on_all_devices_of_a_file(agents: ThinAgents, tmp_path: Path) -> None:
    bench = ("bench", tmp_path / "net.gdws", "--devices", tmp_path / "devices.toml")
    out = tmp_path / "nightly"
    ended = gdws(*bench, "--out", out, "--quiet")
    assert ended.exit_code == 0, ended.stderr
    assert len(agents["orin"].jobs) == len(agents["nano"].jobs) == 1
    assert "nano" in gdws("fleet", "report", out).stdout
    assert "it is a folder" in gdws(*bench).stderr
    one = gdws(*bench, "--device", "http://127.0.0.1:9", "--out", tmp_path / "other")
    assert (one.exit_code, "--device is for one device" in one.stderr) == (2, True)
    assert "give --devices" in gdws("bench", tmp_path / "net.gdws", "--tag", "orin").stderr
