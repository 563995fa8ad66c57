"""Install the agent beside a base image's own packages, and prove that none of those changed.

On a Jetson the base image brings torch, TensorRT, pycuda and numpy, built for that very board; a
package index has no equal. The agent's dependencies therefore go into a folder of their own, an
overlay environment that sees the base's packages: pip cannot uninstall anything outside of it.
What pip could still do is put a newer copy in front, so each package of the base that must stay
is pinned to the version that is there, and looked up again afterwards.

Runs under the base image's Python, 3.8 or newer, with nothing but its standard library and pip.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

#: Belongs to the base image, where it has them.
PROTECTED = ("torch", "torchvision", "torchaudio", "torch2trt", "tensorrt", "pycuda", "numpy")

_LOCATE = """
import importlib.metadata as metadata, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        continue
    found[name] = [distribution.version, str(distribution.locate_file(""))]
print(json.dumps(found))
"""


def main() -> int:
    """Install, check, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("requirement", help="what to install: NAME==VERSION, or a folder with [extras] after it")
    parser.add_argument("--prefix", type=Path, required=True, help="folder of the overlay environment")
    parser.add_argument("--constraints", type=Path, required=True, help="tested pins of the dependencies")
    parser.add_argument("--alone", action="store_true", help="install it again, without its dependencies")
    arguments = parser.parse_args()

    before = locate(sys.executable)
    python = create_overlay(arguments.prefix)
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("\n".join(constrain(arguments.constraints.read_text().splitlines(), before)))
        wheel = build_wheel(arguments.requirement, Path(folder) / "wheels")
        options = ["--no-deps", "--force-reinstall"] if arguments.alone else ["--constraint", str(constraints)]
        pip(python, "install", *options, wheel)
    return compare(before, locate(python))


def compare(before: dict[str, list[str]], after: dict[str, list[str]]) -> int:
    """Print what became of the base image's packages; return 1 when one of them changed, else 0."""
    changed = [name for name in before if before[name] != after.get(name)]
    for name in changed:
        print(f"error: {name} of the base image is no longer the one in use: {before[name]} -> {after.get(name)}")
    if changed:
        return 1
    kept = ", ".join(f"{name} {version}" for name, (version, _) in before.items())
    print(f"the base image's packages are untouched: {kept or 'it has none of ' + ', '.join(PROTECTED)}")
    return 0


def pip(python: str, command: str, *arguments: str) -> None:
    """Run one command of pip.

    Raises:
        subprocess.CalledProcessError: it failed, and said why.
    """
    subprocess.run([python, "-m", "pip", command, "--no-cache-dir", *arguments], check=True)


def build_wheel(requirement: str, folder: Path) -> str:
    """Return the wheel of ``requirement``, with its extras.

    It is built by the base's own interpreter: seen from the overlay, the base's setuptools, which
    may be too old to read pyproject.toml, would come before the one that pip fetches for the build.
    """
    source, bracket, extras = requirement.partition("[")
    pip(sys.executable, "wheel", "--use-pep517", "--no-deps", "--wheel-dir", str(folder), source)
    (wheel,) = folder.glob("*.whl")
    return f"{wheel}{bracket}{extras}"


def locate(python: str) -> dict[str, list[str]]:
    """Return name -> [version, folder] of the protected packages that ``python`` sees."""
    output = subprocess.run([python, "-c", _LOCATE, *PROTECTED], check=True, stdout=subprocess.PIPE).stdout
    found: dict[str, list[str]] = json.loads(output)
    return found


def create_overlay(prefix: Path) -> str:
    """Create the environment, where it is not there yet, and return the path of its Python.

    It processes the package folders of this interpreter after its own, whether this is a system
    interpreter or itself a virtual environment.
    """
    python = prefix / "bin" / "python3"
    if python.exists():
        return str(python)
    venv.create(prefix, with_pip=False, symlinks=True)
    own = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.strip()
    base = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    lines = [f"import site; site.addsitedir({path!r})" for path in base]
    (Path(own) / "base_image.pth").write_text("\n".join(lines) + "\n")
    return str(python)


def constrain(pins: list[str], present: dict[str, list[str]]) -> list[str]:
    """Return ``pins`` with those of packages that are ``present`` replaced by the versions there."""
    kept = [line for line in pins if line.partition("==")[0].strip().lower() not in present]
    return kept + [f"{name}=={version}" for name, (version, _) in present.items()]


if __name__ == "__main__":
    sys.exit(main())
