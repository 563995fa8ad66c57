"""Images in place of those that only a registry has: python:3.11-slim, and an L4T image with Python 3.8.

They hold this machine's settings for package indexes and its certificates, so that the Dockerfiles
under test need none of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from console import Skipped, Step, run
from engine import Engine, install_packages

CPU_IMAGE = "gdws-standin:cpu"
JETSON_IMAGE = "gdws-standin:l4t"

_PACKAGES = "ca-certificates,python3,python3-pip,python3-venv,libssl3,libffi8,libsqlite3-0,zlib1g,libbz2-1.0,liblzma5"
_SUITE = "bookworm"  # its Python is 3.11
_INDEX_SETTINGS = ("index-url", "trusted-host", "timeout")

#: Packages that an L4T image brings and that must stay, name -> version. They are empty here but for
#: that, except numpy, which the agent uses and whose version is not the one of the pins.
L4T_PACKAGES = {
    "torch": "2.0.0+nv23.5",
    "torchvision": "0.15.1",
    "torch2trt": "0.4.0",
    "tensorrt": "8.5.2.2",
    "pycuda": "2022.2.2",
}
L4T_NUMPY = "1.23.5"


def build_image(engine: Engine, work: Path, tag: str = CPU_IMAGE, architecture: str | None = None) -> None:
    """Make the image ``tag``, where it is not there yet: Debian with its own Python.

    ``architecture`` is one that this machine can run, or None for its own.

    Raises:
        Skipped: it cannot be made here.
    """
    if engine("images", "--quiet", tag).strip():
        return
    install_packages({"debootstrap": "debootstrap"})
    root = work / "root"
    options = ["--variant=minbase", f"--include={_PACKAGES}", *([f"--arch={architecture}"] if architecture else [])]
    with Step(f"make the stand-in for python:3.11-slim{f', {architecture}' if architecture else ''}"):
        run(["debootstrap", *options, _SUITE, root])
        _settle(root)
        _import(engine, root, tag)
    shutil.rmtree(root)


def build_jetson_image(engine: Engine, work: Path, python38: Path) -> None:
    """Make :data:`JETSON_IMAGE`: the same with ``python38`` as its python3, and an L4T image's packages.

    Like those of L4T r36, it names a package index that does not exist.

    Raises:
        Skipped: the interpreter is part of a distribution and cannot be copied.
    """
    prefix = Path(run([python38, "-c", "import sys; print(sys.base_prefix)"]).strip())
    if prefix == Path("/usr"):
        raise Skipped(f"{python38} belongs to this machine's distribution and cannot be copied into an image")
    context = work / "l4t"
    shutil.copytree(prefix, context / "python", symlinks=True, ignore=_unneeded)
    packages = next((context / "python" / "lib").glob("python3.8/site-packages"))
    for name, version in L4T_PACKAGES.items():
        _write_package(packages, name, version)
    (context / "Dockerfile").write_text(
        f"FROM {CPU_IMAGE}\n"
        "COPY python /opt/python3.8\n"
        "RUN echo /opt/python3.8/lib > /etc/ld.so.conf.d/python3.8.conf && ldconfig"
        " && ln -s /opt/python3.8/bin/python3.8 /usr/local/bin/python3\n"
        f"RUN python3 -m pip install --quiet --no-cache-dir numpy=={L4T_NUMPY}\n"
        "ENV PIP_INDEX_URL=http://index.invalid/simple\n"
    )
    with Step("make the stand-in for an L4T image with Python 3.8"):
        engine("build", "--quiet", "--tag", JETSON_IMAGE, context)
    shutil.rmtree(context)


def find_python38() -> Path:
    """Return a Python 3.8 of this machine.

    Raises:
        Skipped: there is none.
    """
    named = os.environ.get("PYTHON38")
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [named] if named else ["python3.8", *map(str, sorted(pyenv.glob("versions/3.8*/bin/python3.8")))]
    for candidate in candidates:
        path = shutil.which(candidate)
        if path and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0:
            return Path(path)
    raise Skipped("no Python 3.8 was found for the stand-in of an L4T image; PYTHON38 names one")


def _settle(root: Path) -> None:
    """Give the image this machine's certificates and package index."""
    for path in (os.environ.get("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt"):
        if path and Path(path).is_file():
            shutil.copyfile(path, root / "etc/ssl/certs/ca-certificates.crt")
            break
    lines = ["[global]", "cert = /etc/ssl/certs/ca-certificates.crt", "disable-pip-version-check = true"]
    lines += [f"{name} = {value}" for name, value in _pip_settings().items()]
    (root / "etc/pip.conf").write_text("\n".join(lines) + "\n")


def _pip_settings() -> dict[str, str]:
    """Return the settings of this machine's pip that tell where packages come from, those on its disk excepted."""
    settings = {}
    for line in run([sys.executable, "-m", "pip", "config", "list"]).splitlines():
        key, _, quoted = line.partition("=")
        name, value = key.rpartition(".")[2], quoted.strip("'\"")
        if name in _INDEX_SETTINGS and "file:" not in value:
            settings[name] = value
    return settings


def _import(engine: Engine, root: Path, tag: str) -> None:
    with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as archive:
        subprocess.run(
            [engine.docker, "import", "-", tag],
            stdin=archive.stdout,
            stdout=subprocess.DEVNULL,
            env=engine.process_environment(),
            check=True,
        )


def _unneeded(folder: str, names: list[str]) -> set[str]:
    """Leave out tests, caches and other people's packages; keep pip, setuptools and their metadata."""
    left_out = {name for name in names if name in ("test", "tests", "__pycache__", "include", "share")}
    if folder.endswith("site-packages"):
        left_out |= {name for name in names if not name.lower().startswith(("pip", "setuptools", "pkg_resources"))}
        left_out |= {name for name in names if name.endswith((".pth", ".egg-link"))}
    return left_out


def _write_package(folder: Path, name: str, version: str) -> None:
    package, metadata = folder / name, folder / f"{name}-{version}.dist-info"
    package.mkdir()
    (package / "__init__.py").write_text(f'__version__ = "{version}"\n')
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (metadata / "RECORD").write_text("")
