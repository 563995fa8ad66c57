from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from gdws_agent import doctor
from gdws_agent.doctor import Finding
from gdws_agent.probes import Probes
from gdws_contract.rest import Availability
from support.agents import settings_for

AVAILABLE = Availability(name="onnxruntime", available=True, version="1.16.3")
MISSING = Availability(name="tensorrt", available=False, reason="tensorrt is not installed")
NO_SOCKET = Availability(name="jtop", available=False, reason="there is no jtop service")
NO_SENSOR = Availability(name="none", available=True)


def write(root: Path, name: str, text: str = "") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def make_jetson(root: Path, release: str = "# R35 (release), REVISION: 4.1, GCID: 1", ubuntu: str = "20.04") -> Path:
    write(root, "etc/nv_tegra_release", release)
    write(root, "etc/os-release", f'ID=ubuntu\nVERSION_ID="{ubuntu}"\n')
    return root


def only(findings: Iterator[Finding]) -> Finding:
    (finding,) = findings
    return finding


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    monkeypatch.setenv("GDWS_AGENT_DATA_DIR", str(folder))
    return folder


def probes(*backends: Availability) -> Probes:
    return Probes(lambda: list(backends), lambda: [NO_SOCKET, NO_SENSOR])


class TestExamine:
    def test_an_ordinary_machine_has_nothing_to_warn_of(self, tmp_path: Path) -> None:
        found = doctor.examine(tmp_path, probes(AVAILABLE, MISSING))
        assert {finding.level for finding in found} == {"ok", "note"}
        assert "not a Jetson" in found[1].message

    def test_a_bare_jetson_is_told_all_that_it_lacks(self, tmp_path: Path) -> None:
        found = doctor.examine(make_jetson(tmp_path), probes(AVAILABLE))
        warned = [finding.subject for finding in found if finding.level == "warning"]
        assert warned == ["GPU", "TensorRT", "power sensor jtop"]

    def test_each_finding_is_one_line_with_its_fix(self, tmp_path: Path) -> None:
        for finding in doctor.examine(make_jetson(tmp_path), probes(AVAILABLE, MISSING)):
            assert "\n" not in str(finding)
            assert str(finding).startswith(f"[{finding.level}] {finding.subject}: {finding.message}")
            assert (finding.fix is None) == ("Fix: " not in str(finding))


class TestReport:
    def test_says_whether_the_agent_can_do_anything(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(doctor, "examine", lambda: [Finding("warning", "jtop", "no socket", "start it")])
        assert doctor.report()
        monkeypatch.setattr(doctor, "examine", lambda: [Finding("fatal", "backends", "none can run here")])
        assert not doctor.report()
        assert capsys.readouterr().out.splitlines() == [
            "[warning] jtop: no socket. Fix: start it",
            "[fatal] backends: none can run here",
        ]


class TestSettings:
    def test_the_data_folder_is_made(self, data_dir: Path) -> None:
        assert only(doctor.check_settings()).level == "ok"
        assert data_dir.is_dir()
        assert not list(data_dir.iterdir())

    def test_a_wrong_setting_is_fatal_and_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GDWS_AGENT_PORT", "http")
        finding = only(doctor.check_settings())
        assert finding.level == "fatal"
        assert "GDWS_AGENT_PORT" in finding.message

    def test_a_file_in_its_place_is_fatal(self, data_dir: Path) -> None:
        data_dir.write_text("")
        finding = only(doctor.check_settings())
        assert (finding.level, finding.subject) == ("fatal", "data folder")

    def test_a_folder_of_someone_else_is_fatal_and_says_how_to_own_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(dir: str) -> None:
            raise PermissionError(13, "Permission denied", dir)

        monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
        finding = only(doctor.check_settings())
        assert finding.level == "fatal"
        assert f"chown -R {os.getuid()}:{os.getgid()}" in str(finding.fix)

    def test_little_space_is_a_warning(self, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=100 * 2**20))
        finding = only(doctor.check_settings())
        assert finding.level == "warning"
        assert "100 MiB" in finding.message


class TestBoard:
    def test_a_release_that_fits_its_image(self, tmp_path: Path) -> None:
        assert only(doctor.check_board(make_jetson(tmp_path))) == Finding("ok", "board", "Linux for Tegra 35.4.1")

    def test_a_release_before_jetpack_5(self, tmp_path: Path) -> None:
        finding = only(doctor.check_board(make_jetson(tmp_path, "# R32 (release), REVISION: 7.1", "18.04")))
        assert finding.level == "warning"
        assert finding.fix == "install JetPack 5.1 or newer"

    @pytest.mark.parametrize(
        ("release", "ubuntu"),
        [("# R35 (release), REVISION: 4.1", "22.04"), ("# R36 (release), REVISION: 4.0", "20.04")],
    )
    def test_an_image_of_another_jetpack(self, tmp_path: Path, release: str, ubuntu: str) -> None:
        finding = only(doctor.check_board(make_jetson(tmp_path, release, ubuntu)))
        assert (finding.level, finding.subject) == ("warning", "base image")
        assert release[2:5].lower() in str(finding.fix)

    def test_an_image_that_is_not_ubuntu_is_not_judged(self, tmp_path: Path) -> None:
        make_jetson(tmp_path)
        write(tmp_path, "etc/os-release", 'ID=debian\nVERSION_ID="12"\n')
        assert only(doctor.check_board(tmp_path)).level == "ok"

    def test_a_jetson_whose_release_is_hidden(self, tmp_path: Path) -> None:
        write(tmp_path, "dev/nvmap")
        finding = only(doctor.check_board(tmp_path))
        assert finding.level == "warning"
        assert "/etc/nv_tegra_release" in str(finding.fix)


class TestGpu:
    def test_no_device_nodes(self, tmp_path: Path) -> None:
        finding = only(doctor.check_gpu(tmp_path))
        assert finding.level == "warning"
        assert "runtime: nvidia" in str(finding.fix)

    def test_nodes_and_driver(self, tmp_path: Path) -> None:
        write(tmp_path, "dev/nvmap")
        asked: list[str] = []
        assert only(doctor.check_gpu(tmp_path, asked.append)).level == "ok"
        assert asked == ["libcuda.so.1"]

    def test_nodes_without_the_driver_library(self, tmp_path: Path) -> None:
        write(tmp_path, "dev/nvgpu/igpu0/ctrl")

        def fail(name: str) -> None:
            raise OSError(f"{name}: cannot open shared object file")

        finding = only(doctor.check_gpu(tmp_path, fail))
        assert finding.level == "warning"
        assert "libcuda.so.1" in finding.message

    def test_a_node_that_is_closed_names_the_group(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        node = write(tmp_path, "dev/nvmap")
        monkeypatch.setattr(doctor.os, "access", lambda *_: False)
        finding = only(doctor.check_gpu(tmp_path, lambda _: None))
        assert str(node) in finding.message
        assert str([str(node.stat().st_gid)]) in str(finding.fix)


class TestTensorRT:
    @pytest.mark.parametrize("version", ["8.5.2.2", "8.6.2", "10.3.0", "10.16.0.1", "11.0"])
    def test_new_enough(self, version: str) -> None:
        finding = only(doctor.check_tensorrt(lambda _: SimpleNamespace(__version__=version)))
        assert finding == Finding("ok", "TensorRT", version)

    @pytest.mark.parametrize("version", ["8.4.1.5", "8.2.1.9", "7.1.3"])
    def test_too_old(self, version: str) -> None:
        finding = only(doctor.check_tensorrt(lambda _: SimpleNamespace(__version__=version)))
        assert finding.level == "warning"
        assert version in finding.message

    def test_absent(self) -> None:
        def absent(name: str) -> None:
            raise ImportError("libnvinfer.so.8: cannot open shared object file")

        finding = only(doctor.check_tensorrt(absent))
        assert finding.level == "warning"
        assert "libnvinfer.so.8" in finding.message

    @pytest.mark.parametrize(
        ("version", "l4t", "message"),
        [
            ("10.4.0", "36.4.3", "10.4.0 of the image; JetPack's own for this board is 10.3"),
            ("10.3.0", "36.4.3", "10.3.0"),
            ("8.5.2.2", "35.4.1", "8.5.2.2"),
            ("10.4.0", None, "10.4.0"),
            ("10.4.0", "40.1", "10.4.0"),
        ],
    )
    def test_an_image_with_another_one_than_the_board(self, version: str, l4t: str, message: str) -> None:
        finding = only(doctor.check_tensorrt(lambda name: SimpleNamespace(__version__=version), l4t))
        assert (finding.level, finding.message) == ("ok", message)


class TestWhatCanBeUsed:
    def test_a_missing_backend_is_a_note_with_its_reason(self) -> None:
        available, missing = doctor.check_backends([AVAILABLE, MISSING])
        assert available == Finding("ok", "backend onnxruntime", "1.16.3")
        assert missing == Finding("note", "backend tensorrt", "tensorrt is not installed")

    def test_no_backend_at_all_is_fatal(self) -> None:
        *_, last = doctor.check_backends([MISSING])
        assert last.level == "fatal"

    def test_a_jetson_without_power_is_warned(self) -> None:
        assert only(doctor.check_sensors([NO_SOCKET], on_jetson=True)).level == "warning"
        assert only(doctor.check_sensors([NO_SOCKET], on_jetson=False)).level == "note"

    def test_the_boards_power_modes_are_named_where_a_sensor_knows_them(self) -> None:
        jtop = Availability(name="jtop", available=True, version="7.2.2", detail={"power_modes": "15W, MAXN_SUPER"})
        *_, last = doctor.check_sensors([jtop], on_jetson=True)
        assert last == Finding("ok", "power modes", "15W, MAXN_SUPER")

    def test_one_sensor_is_enough(self) -> None:
        ina3221 = Availability(name="ina3221", available=True)
        levels = [finding.level for finding in doctor.check_sensors([NO_SOCKET, ina3221], on_jetson=True)]
        assert levels == ["note", "ok"]


def test_it_tells_whether_a_token_is_needed_and_where_it_comes_from(tmp_path):
    settings = settings_for(tmp_path)
    assert "generated now" in doctor.check_access(settings, False).message
    (tmp_path / "token").write_text("x")
    assert str(tmp_path / "token") in doctor.check_access(settings, False).message
    assert "configured token" in doctor.check_access(settings, True).message


def test_a_token_that_is_none_is_fatal(tmp_path, monkeypatch):
    monkeypatch.setenv("GDWS_AGENT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("GDWS_AGENT_TOKEN", "short")
    (finding,) = doctor.check_settings()
    assert (finding.level, "GDWS_AGENT_TOKEN" in finding.message) == ("fatal", True)


@pytest.mark.parametrize(("version", "level", "told"), [(7, "ok", "landlock 7"), (None, "note", "not available")])
def test_how_far_what_measures_can_be_confined(version, level, told):
    finding = doctor.check_confinement(lambda: version)
    assert finding.level == level
    assert told in str(finding)


def test_a_data_folder_that_it_makes_is_closed_to_others(tmp_path):
    before = os.umask(0o022)
    try:
        doctor.check_data_dir(tmp_path / "data")
    finally:
        os.umask(before)
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0
