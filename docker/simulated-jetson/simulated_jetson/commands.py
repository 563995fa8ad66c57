"""Stand-ins for ``nvpmodel`` and ``jetson_clocks``: the options that jtop uses, acting on the tree.

They print what the real programs print, as far as jtop reads it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from . import board
from .tree import EMC, EMC_CAP, GPU_CLOCK, MODE, Tree, cpu_clock, cpu_online, mode_answer

#: Where the programs, started by jtop, find the tree.
ROOT_VARIABLE = "SIMULATED_JETSON_ROOT"


def install(directory: Path, root: Path) -> None:
    """Write the two programs to ``directory``; each runs this module under this interpreter.

    jtop asks ``nvpmodel -q`` with every reading: that is answered without starting an interpreter.
    """
    directory.mkdir(parents=True, exist_ok=True)
    package = Path(__file__).resolve().parent.parent
    for program in ("nvpmodel", "jetson_clocks"):
        path = directory / program
        path.write_text(
            "#!/bin/sh\n"
            f'[ "$1" = -q ] && exec cat "{root / MODE}"\n'
            f'export PYTHONPATH="{package}" {ROOT_VARIABLE}="{root}"\n'
            f'exec "{sys.executable}" -S -m simulated_jetson.commands {program} "$@"\n'
        )
        path.chmod(0o755)


def nvpmodel(tree: Tree, arguments: list[str]) -> list[str]:
    """Run ``nvpmodel`` and return its lines of output.

    Raises:
        ValueError: the arguments are not among those that jtop uses.
    """
    if arguments[:1] == ["-p"]:
        return _mode_table()
    if arguments[:1] == ["-m"] and len(arguments) == 2:
        return _set_mode(tree, int(arguments[1]))
    raise ValueError(f"nvpmodel {' '.join(arguments)} is not simulated")


def current_mode(tree: Tree) -> int:
    """Return the ID of the power mode that is set."""
    return int((tree.root / MODE).read_text().split()[-1])


def jetson_clocks(tree: Tree, arguments: list[str]) -> list[str]:
    """Run ``jetson_clocks`` and return its lines of output.

    Raises:
        ValueError: the arguments are not among those that jtop uses.
    """
    if not arguments:
        _lock_clocks(tree)
        return []
    if arguments == ["--show"]:
        return _show_clocks(tree)
    if arguments[0] == "--store" and len(arguments) == 2:
        Path(arguments[1]).write_text(json.dumps(_clock_floors(tree)))
        return ["stored"]
    if arguments[0] == "--restore" and len(arguments) == 2:
        for path, value in json.loads(Path(arguments[1]).read_text()).items():
            tree.write(path, value)
        return []
    raise ValueError(f"jetson_clocks {' '.join(arguments)} is not simulated")


def _mode_table() -> list[str]:
    lines = []
    for mode_id, mode in enumerate(board.POWER_MODES):
        lines += [
            f"POWER_MODEL: ID={mode_id} NAME={mode.name}",
            *(f"CPU_ONLINE CORE_{cpu} {int(cpu < mode.cpus)}" for cpu in range(board.CPU_COUNT)),
            f"TPC_POWER_GATING TPC_PG_MASK {mode.tpc_mask}",
            f"CPU_DENVER_0 MAX_FREQ {mode.cpu_max_khz}",
            f"GPU MAX_FREQ {mode.gpu_max_hz}",
            f"EMC MAX_FREQ {mode.emc_max_hz}",
        ]
    default = board.POWER_MODES[board.DEFAULT_MODE]
    return [*lines, f"PM_CONFIG: DEFAULT={default.name}({board.DEFAULT_MODE})"]


def _set_mode(tree: Tree, mode_id: int) -> list[str]:
    if not 0 <= mode_id < len(board.POWER_MODES):
        return [f"NVPM ERROR: invalid power mode {mode_id}"]
    mode, current = board.POWER_MODES[mode_id], board.POWER_MODES[current_mode(tree)]
    if mode.tpc_mask != current.tpc_mask:
        return ["NVPM WARN: Reboot required for changing to this power mode", "NVPM ERROR: not rebooting"]
    for cpu in range(board.CPU_COUNT):
        tree.write(cpu_online(cpu), int(cpu < mode.cpus))
        for name in ("scaling_max_freq", "scaling_cur_freq"):
            tree.write(f"{cpu_clock(cpu)}/{name}", mode.cpu_max_khz)
    for name in ("max_freq", "cur_freq"):
        tree.write(f"{GPU_CLOCK}/{name}", mode.gpu_max_hz)
    for name in ("max_rate", "rate"):
        tree.write(f"{EMC}/{name}", mode.emc_max_hz)
    tree.write(EMC_CAP, mode.emc_max_hz)
    tree.write(MODE, mode_answer(mode_id))
    return []


def _lock_clocks(tree: Tree) -> None:
    """Raise every lower limit to the upper one, and hold the memory clock at its own."""
    for cpu in range(board.CPU_COUNT):
        tree.write(f"{cpu_clock(cpu)}/scaling_min_freq", tree.read_int(f"{cpu_clock(cpu)}/scaling_max_freq"))
    tree.write(f"{GPU_CLOCK}/min_freq", tree.read_int(f"{GPU_CLOCK}/max_freq"))
    tree.write(f"{EMC}/mrq_rate_locked", tree.read_int(f"{EMC}/max_rate"))
    tree.write(f"{EMC}/rate", tree.read_int(f"{EMC}/max_rate"))


def _clock_floors(tree: Tree) -> dict[str, int]:
    """Return the files that :func:`_lock_clocks` changes, and what they hold now."""
    paths = [f"{cpu_clock(cpu)}/scaling_min_freq" for cpu in range(board.CPU_COUNT)]
    paths += [f"{GPU_CLOCK}/min_freq", f"{EMC}/mrq_rate_locked", f"{EMC}/rate"]
    return {path: tree.read_int(path) for path in paths}


def _show_clocks(tree: Tree) -> list[str]:
    lines = ["SOC family:tegra194  Machine:Simulated Jetson AGX Xavier"]
    for cpu in range(board.CPU_COUNT):
        clock = cpu_clock(cpu)
        lines.append(
            f"cpu{cpu}: Online={tree.read_int(cpu_online(cpu))} Governor=schedutil"
            f" MinFreq={tree.read_int(f'{clock}/scaling_min_freq')}"
            f" MaxFreq={tree.read_int(f'{clock}/scaling_max_freq')}"
            f" CurrentFreq={tree.read_int(f'{clock}/scaling_cur_freq')}"
        )
    for name, low, high, now in (
        ("GPU", f"{GPU_CLOCK}/min_freq", f"{GPU_CLOCK}/max_freq", f"{GPU_CLOCK}/cur_freq"),
        ("EMC", f"{EMC}/min_rate", f"{EMC}/max_rate", f"{EMC}/rate"),
    ):
        low_hz, high_hz, now_hz = tree.read_int(low), tree.read_int(high), tree.read_int(now)
        lines.append(f"{name} MinFreq={low_hz} MaxFreq={high_hz} CurrentFreq={now_hz}")
    return lines


def main(arguments: list[str]) -> int:
    """Run the program named first with the rest as its arguments; return the exit status."""
    program = {"nvpmodel": nvpmodel, "jetson_clocks": jetson_clocks}[arguments[0]]
    try:
        lines = program(Tree(Path(os.environ[ROOT_VARIABLE])), arguments[1:])
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    for line in lines:
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
