"""``gdws fleet`` from the start of a sweep to its report, on thin agents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gdws.device.devices import tagged_devices
from gdws.fleet.folder import create
from gdws.fleet.sweep import load_sweep
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
    assert "orin did not measure net.threads-2: unknown-backend" in gdws("fleet", "report", tmp_path / "fleet").stdout


def test_cells_that_were_not_measured_are_told_and_end_with_1(agents: ThinAgents, tmp_path: Path) -> None:
    agents["orin"].failing_batch = 1
    out = tmp_path / "fleet"
    devices = ("--devices", tmp_path / "devices.toml", "--tag", "orin", "--out", out)
    ended = gdws("fleet", "run", tmp_path / "SWEEP.toml", *devices)
    assert ended.exit_code == 1
    assert f"orin: 4 cells not measured; gdws fleet report {out} has the reasons" in ended.stderr
    assert "Out of memory" in gdws("fleet", "report", out).stdout


def test_a_section_whose_tags_no_device_has_is_named(agents: ThinAgents, tmp_path: Path) -> None:
    with (tmp_path / "SWEEP.toml").open("a") as sweep:
        sweep.write('[[measure]]\ntags = ["xavier", "tx2"]\n')
    ended = gdws(
        "fleet", "run", tmp_path / "SWEEP.toml", "--devices", tmp_path / "devices.toml", "--out", tmp_path / "f"
    )
    assert ended.exit_code == 0
    assert "no device measures net: none has the tag xavier or tx2" in ended.stderr


def test_what_is_wrong_is_told_before_there_is_a_folder(
    agents: ThinAgents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "fleet"
    run = ("fleet", "run", tmp_path / "SWEEP.toml", "--out", out)
    devices = ("--devices", tmp_path / "devices.toml")
    (tmp_path / "none.toml").write_text("[devices]\n")
    wrong = {
        "none.toml has no devices": ("--devices", tmp_path / "none.toml"),
        "known tags: nano, orin": (*devices, "--tag", "xavier"),
        "is not a PostgreSQL URL": (*devices, "--database", "mysql://db/x"),
        "the database cannot be used": (*devices, "--database", f"postgresql://me@/db?host={tmp_path}"),
    }
    for said, options in wrong.items():
        ended = gdws(*run, *options)
        assert (ended.exit_code, said in ended.stderr, out.exists()) == (2, True, False), ended.stderr
    (tmp_path / "devices.toml").unlink()
    assert "there is no devices.toml in this folder" in gdws(*run).stderr


def test_devices_that_a_sweep_does_not_have_are_refused(agents: ThinAgents, tmp_path: Path) -> None:
    out = tmp_path / "fleet"
    devices = ("--devices", tmp_path / "devices.toml", "--tag", "orin", "--out", out)
    assert gdws("fleet", "run", tmp_path / "SWEEP.toml", *devices).exit_code == 0
    unknown = gdws("fleet", "resume", out, "--accept-identity", "orni")
    assert (unknown.exit_code, "has no device 'orni'" in unknown.stderr) == (2, True)
    assert "its devices: orin" in unknown.stderr


def test_the_status_tells_that_no_coordinator_lives(agents: ThinAgents, tmp_path: Path) -> None:
    out = tmp_path / "fleet"
    devices = tagged_devices(tmp_path / "devices.toml", [])
    create(out, load_sweep(tmp_path / "SWEEP.toml"), devices, shared_database=False)
    shown = gdws("fleet", "status", out)
    assert shown.exit_code == 0
    assert f"no coordinator works on it; continue with: gdws fleet resume {out}" in shown.stderr
    assert "waiting" in shown.stdout
    assert gdws("fleet", "resume", out, "--quiet").exit_code == 0
    assert "coordinator" not in gdws("fleet", "status", out).stderr


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
    as_json = gdws(*bench, "--out", tmp_path / "other", "--json")
    assert (as_json.exit_code, "--json is for one device" in as_json.stderr) == (2, True)
    assert "give --devices" in gdws("bench", tmp_path / "net.gdws", "--tag", "orin").stderr
