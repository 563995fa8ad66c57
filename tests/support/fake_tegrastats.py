"""A ``tegrastats`` for tests: the lines of a board, at the interval that it is asked for, until it is ended.

Rails have the power that is given, or that which INA3221 files below a sysfs tree hold at that moment. Runs on
Python 3.8, with the standard library alone.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Dict, Mapping, Optional

#: Lines of real boards, with the rails left out.
_REST = (
    "RAM 3045/31919MB (lfb 6418x4MB) SWAP 0/15959MB (cached 0MB) CPU [12%@2265,9%@2265,off,off] EMC_FREQ 0%@2133 "
    "GR3D_FREQ 96%@1377 APE 150 MTS fg 0% bg 0% AO@36C GPU@37C Tboard@37C AUX@36C CPU@37.5C thermal@36.5C PMIC@50C"
)


def install_tegrastats(
    folder: Path,
    rails_mw: Optional[Mapping[str, int]] = None,
    *,
    sysfs: Optional[Path] = None,
    form: str = "{name} {power}mW/{power}mW",
) -> Path:
    """Write the program to ``folder`` and return its path; ``form`` is how it tells a rail."""
    program = folder / "tegrastats"
    program.write_text(
        f"#!{sys.executable} -S\nimport sys\nsys.path[:0] = [{str(Path(__file__).parents[1])!r}]\n"
        f"from support.fake_tegrastats import main\n"
        f"main({dict(rails_mw or {})!r}, {None if sysfs is None else str(sysfs)!r}, {form!r})\n"
    )
    program.chmod(0o755)
    return program


def main(rails_mw: Dict[str, int], sysfs: Optional[str], form: str) -> None:
    """Print lines until somebody ends this process, or nobody reads them any more."""
    name, interval_ms = sys.argv[1:]
    assert name == "--interval", sys.argv
    while True:
        seen = rails_mw if sysfs is None else read_rails(Path(sysfs))
        rails = " ".join(form.format(name=rail, power=power) for rail, power in seen.items())
        print(f"{_REST} {rails}".rstrip(), flush=True)
        time.sleep(int(interval_ms) / 1e3)


def read_rails(sysfs: Path) -> Dict[str, int]:
    """Return the power of each rail in mW, as the kernel's files of the INA3221 have it."""
    found = {}
    for label in sorted(sysfs.glob("bus/i2c/devices/*/hwmon/hwmon*/in[123]_label")):
        number = label.name[2]
        volts = int((label.parent / f"in{number}_input").read_text())
        amperes = int((label.parent / f"curr{number}_input").read_text())
        found[label.read_text().strip()] = volts * amperes // 1_000
    return found
