"""Run real gates on this machine, of a network against itself and against the same made slower.

    python -m benchmarks.gate.gates [--gates 10] [--limit 2.5] [--append]

``gdws gate`` against the CPU agent, both kinds in turns. The noise of the device is measured first, as ``gdws noise``
does, and once: ``--append`` goes on with that of the gates that are there. Writes ``gates.json`` beside this file.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.gate.networks import Burdened, shipped, write
from benchmarks.gate.record import MEASUREMENT, WIDTH, scheduling
from benchmarks.measured import machine
from gdws.device.devices import Device
from gdws.device.local_agent import local_agent
from gdws.gate.documents import save
from gdws.gate.launch import DeviceAccess, calibrate, run_gate
from gdws.gate.limits import Limits
from gdws.gate.noise import Noise
from gdws.gate.settings import GateSettings

HERE = Path(__file__).resolve().parent

CALIBRATION_RUNS = 10


def silent(line: str) -> None:
    """What goes on within a gate is nobody's business here."""


def measure(gates: int, limit: float, noise: Noise | None) -> tuple[Noise, list[dict[str, Any]]]:
    """The noise, measured if there is none yet, and how each gate ended."""
    settings = GateSettings(limits=Limits(max_slowdown_percent=limit), measure=MEASUREMENT)
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name, local_agent() as url:
        folder, device = Path(name), Device("local", url)
        main = write(folder / "main.gdws", shipped())
        candidates = {"same": main, "slower": write(folder / "slower.gdws", Burdened(shipped(), WIDTH))}
        if noise is None:
            options = {"runs": CALIBRATION_RUNS, "folder": folder / "noise", "access": DeviceAccess(), "say": silent}
            [noise] = calibrate(main, device, settings, **options)  # type: ignore[arg-type]
        save(noise, folder / "noise.json")
        for _ in range(gates):
            for kind, candidate in candidates.items():
                began_s = time.monotonic()
                report, interrupt = run_gate(
                    candidate,
                    [device],
                    settings,
                    baseline=main,
                    folder=folder / kind,
                    noise=folder / "noise.json",
                    access=DeviceAccess(),
                    say=silent,
                )
                if interrupt is not None:
                    raise interrupt
                [judged] = report.devices
                gate = {
                    "candidate": kind,
                    "outcome": report.word,
                    "runs": judged.finished_runs,
                    "seconds": round(time.monotonic() - began_s, 1),
                    "sentence": judged.verdicts[0].sentence if judged.verdicts else judged.error,
                    "notes": judged.notes,
                }
                print(gate, flush=True)
                found.append(gate)
    return noise, found


def main() -> int:
    """Run the gates and keep how they ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gates", type=int, default=10, help="of each kind")
    parser.add_argument("--limit", type=float, default=2.5, help="slowdown that is allowed, in percent")
    parser.add_argument("--out", type=Path, default=HERE / "gates.json")
    parser.add_argument("--append", action="store_true", help="add to the gates that are there already")
    options = parser.parse_args()
    former = json.loads(options.out.read_text()) if options.append and options.out.exists() else None
    if former is not None and former["limit_percent"] != options.limit:
        parser.error(f"{options.out} is of another limit: --limit {former['limit_percent']:g}")
    before = machine() | {"scheduling": scheduling()}
    noise, gates = measure(options.gates, options.limit, None if former is None else Noise(**former["noise"]))
    document = {
        "machine": before,
        "limit_percent": options.limit,
        "noise": noise.model_dump(mode="json"),
        "gates": [*(former["gates"] if former is not None else []), *gates],
    }
    options.out.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
