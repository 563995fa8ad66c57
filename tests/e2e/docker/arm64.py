#!/usr/bin/env python3
"""Run the contract's and the agent's tests in an arm64 container, by emulation: the instruction set of a Jetson.

    python tests/e2e/docker/arm64.py [pytest arguments]

Needs root; takes about half an hour, most of it in the emulator. What cannot be done here is skipped,
with one line why.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import standin
from console import Failed, Skipped, Step, run, say
from engine import Engine, install_packages, open_engine

PROJECT = Path(__file__).resolve().parents[3]
IMAGE = "gdws-standin:arm64"
EMULATOR = "qemu-aarch64-static"
BINFMT = Path("/proc/sys/fs/binfmt_misc")

#: Debian bookworm's Python, and the wheels that its glibc 2.36 can load.
PYTHON = "3.11"
PLATFORMS = ("manylinux2014_aarch64", *(f"manylinux_2_{minor}_aarch64" for minor in range(17, 37)))

#: Pinned for images whose base has torch, which is not among the pins.
NEEDS_TORCH = ("onnx2torch", "onnx-graphsurgeon")

#: Left out, because the emulator shows: it adds words of its own when a program aborts, ONNX Runtime warns of its
#: processor, it tells no process's memory and takes no limit on it, and a worker takes longer to start than the short
#: silence that these tests allow.
SHOWS_EMULATOR = (
    "abort",
    "silent_worker",
    "hung_variant",
    "an_order_becomes_cells",
    "counted_as_they_end",
    "memory_beyond_what_is_free",
)

#: What the kernel recognises an arm64 program by: the head of its ELF file, and which bits of it count.
_MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
_MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"


def main() -> int:
    """Return 0 when the tests passed or were skipped."""
    with tempfile.TemporaryDirectory(prefix="gdws-arm64-") as folder:
        work = Path(folder)
        try:
            register_emulator()
            packages = install_wheels(work)
            with open_engine(work) as engine:
                standin.build_image(engine, work, IMAGE, architecture="arm64")
                return run_tests(engine, packages, sys.argv[1:])
        except Skipped as reason:
            say(f"SKIPPED  tests under arm64: {reason}")
            return 0
        except Failed as reason:
            say(f" FAILED  tests under arm64: {reason}")
            return 1


def register_emulator() -> None:
    """Have the kernel start arm64 programs through the emulator, in containers too.

    Raises:
        Skipped: the kernel or this user cannot.
    """
    install_packages({EMULATOR: "qemu-user-static"})
    if not (BINFMT / "register").exists():
        try:
            run(["mount", "-t", "binfmt_misc", "none", BINFMT])
        except Failed as reason:
            raise Skipped(f"this kernel does not start foreign programs through an emulator: {reason}") from reason
    if not (BINFMT / "qemu-aarch64").exists():
        # F: the kernel opens the emulator now, so that it need not exist in the container.
        path = shutil.which(EMULATOR)
        (BINFMT / "register").write_text(f":qemu-aarch64:M::{_MAGIC}:{_MASK}:{path}:F")


def install_wheels(work: Path) -> Path:
    """Unpack the agent's dependencies for arm64; no arm64 program needs to run for that."""
    folder = work / "packages"
    options = ["--only-binary=:all:", "--implementation", "cp", "--python-version", PYTHON]
    options += [word for platform in PLATFORMS for word in ("--platform", platform)]
    # Their names are those of the pins, which are complete; the agent itself is read from the working tree.
    pins = (PROJECT / "device" / "constraints" / "jetpack6.txt").read_text().splitlines()
    wanted = work / "wanted.txt"
    wanted.write_text("\n".join(pin for pin in pins if pin.partition("==")[0] not in NEEDS_TORCH))
    with Step("unpack the agent's dependencies for arm64"):
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *options]
        run([*command, "--target", folder, "--requirement", wanted])
    return folder


def run_tests(engine: Engine, packages: Path, arguments: list[str]) -> int:
    """Run the tests with their output shown, and return pytest's exit status."""
    command = [
        engine.docker,
        "run",
        "--rm",
        "--init",
        "--volume",
        f"{PROJECT}:/src:ro",
        "--volume",
        f"{packages}:/packages:ro",
    ]
    command += ["--env", "PYTHONPATH=/packages:/src/device", "--env", "OMP_NUM_THREADS=1", "--workdir", "/src", IMAGE]
    command += ["python3", "-m", "pytest", "-p", "no:cacheprovider", "-k", f"not ({' or '.join(SHOWS_EMULATOR)})"]
    command += arguments
    if not any((PROJECT / argument.partition("::")[0]).exists() for argument in arguments):
        command += ["tests/contract", "tests/device"]
    say("         python3 -m pytest, under arm64")
    return subprocess.run(command, env=engine.process_environment()).returncode


if __name__ == "__main__":
    sys.exit(main())
