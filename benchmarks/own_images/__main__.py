"""The memory that `gdws evaluate` and `gdws convert` take for a folder of 50,000 images of 224 x 224 pixels.

    python -m benchmarks.own_images [--counts 2000 50000]

Makes a folder of 50,000 JPEG files (links to some hundred) and runs each command on as many of them as is said; the
network is tiny, so what grows is due to the images. Writes ``results.md`` and returns 1 if the peak grows by more than
a tenth of what the images would take in memory.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
FILES, DIFFERENT, SIDE = 50_000, 250, 224
#: Of an image as the network takes it.
MIB_EACH = 4 * 3 * SIDE * SIDE / 2**20
_NETWORK = ("--module", "benchmarks.own_images.network:classifier", "--input-shape", f"3,{SIDE},{SIDE}", "--quiet")
_CONVERT = ("--method", "data-aware", "--mean-rank", "2", "--calibration", "256", "--verification", "8")


def main() -> int:
    """Run all and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs=2, default=[2_000, FILES], metavar="N", help="images, few and many")
    few, many = parser.parse_args().counts
    rows, bounded = [], True
    with TemporaryDirectory(prefix="own-images-") as name:
        folder = Path(name)
        _fill(folder / "images")
        for command, more in (("evaluate", ()), ("convert", (*_CONVERT, "--out", str(folder / "model.gdws")))):
            found = [_run(command, folder, count, more) for count in (few, many)]
            whole = MIB_EACH * (many - few)
            bounded &= found[1][0] - found[0][0] < whole / 10
            cells = " | ".join(f"{peak:,.0f} MiB, {seconds:,.0f} s" for peak, seconds in found)
            rows.append(f"| `gdws {command}` | {cells} | {MIB_EACH * many / 1024:.1f} GiB |")
            print(rows[-1], flush=True)
    head = f"| | {few:,} images | {many:,} images | these in memory |\n|---|---|---|---|\n"
    text = f"# Peak memory on a folder of {FILES:,} images of {SIDE} x {SIDE}\n\nConversion is fitted to 256.\n\n"
    (HERE / "results.md").write_text(text + head + "\n".join(rows) + "\n")
    return 0 if bounded else 1


def _fill(root: Path) -> None:
    """A folder of images to fit to, and one to evaluate on."""
    rng = np.random.default_rng(0)
    (root / "originals").mkdir(parents=True)
    for index in range(DIFFERENT):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        coarse.resize((320, 240), Image.Resampling.BICUBIC).save(root / "originals" / f"{index:03}.jpg")
    for split, count in (("train", 1_000), ("test", FILES)):
        (root / split).mkdir()
        for index in range(count):
            os.link(root / "originals" / f"{index % DIFFERENT:03}.jpg", root / split / f"{index:05}.jpg")
    for path in (root / "originals").iterdir():
        path.unlink()
    (root / "originals").rmdir()


def _run(command: str, folder: Path, count: int, more: tuple[str, ...]) -> tuple[float, float]:
    """The peak of memory in MiB and the seconds that a command took."""
    words = [sys.executable, "-m", "gdws", command, *_NETWORK, "--data", str(folder / "images")]
    started = time.monotonic()
    child = subprocess.Popen([*words, "--images", str(count), "--attack", "none", *more], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"gdws {command} failed")
    return usage.ru_maxrss / 1024, time.monotonic() - started


if __name__ == "__main__":
    sys.exit(main())
