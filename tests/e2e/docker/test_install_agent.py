"""The installer of the images, on interpreters and packages made for the test; no index is asked."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "docker"))

import install_agent

SCRIPTS = Path(install_agent.__file__).parent

TORCH = {"torch": ["2.0.0+nv23.5", "/base"]}


def write_package(folder: Path, name: str, version: str) -> None:
    metadata = folder / f"{name}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (folder / f"{name}.py").write_text(f"__version__ = {version!r}\n")


def output(*command: object) -> str:
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A Python with packages of its own, as a base image has: an environment stands for it."""
    venv.create(tmp_path / "base", with_pip=False)
    python = tmp_path / "base" / "bin" / "python3"
    packages = Path(output(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
    write_package(packages, "torch", "2.0.0+nv23.5")
    write_package(packages, "tensorrt", "8.5.2.2")
    return python


@pytest.fixture
def overlay(tmp_path: Path, base: Path) -> Path:
    script = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import install_agent, pathlib\n"
    script += f"print(install_agent.create_overlay(pathlib.Path({str(tmp_path / 'overlay')!r})))"
    return Path(output(base, "-c", script))


def test_the_overlay_sees_the_bases_packages(base: Path, overlay: Path) -> None:
    assert install_agent.locate(str(overlay)) == install_agent.locate(str(base))
    assert set(install_agent.locate(str(overlay))) == {"torch", "tensorrt"}
    assert output(overlay, "-c", "import tensorrt; print(tensorrt.__version__)") == "8.5.2.2"


def test_a_newer_copy_in_front_is_noticed(
    base: Path, overlay: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = Path(output(overlay, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
    write_package(own, "torch", "2.14.1")
    assert install_agent.compare(install_agent.locate(str(base)), install_agent.locate(str(overlay))) == 1
    assert "2.0.0+nv23.5" in capsys.readouterr().out


def test_packages_that_stay_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert install_agent.compare(TORCH, dict(TORCH)) == 0
    assert "torch 2.0.0+nv23.5" in capsys.readouterr().out


def test_a_package_that_vanished_is_noticed() -> None:
    assert install_agent.compare(TORCH, {}) == 1


def test_pins_give_way_to_what_the_base_has() -> None:
    pins = ["# tested", "Torch==2.14.1", "numpy==1.24.4", ""]
    assert install_agent.constrain(pins, TORCH) == ["# tested", "numpy==1.24.4", "", "torch==2.0.0+nv23.5"]
