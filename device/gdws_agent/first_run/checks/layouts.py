"""What each form of the same network costs on this machine, in FP16 and INT8."""

from __future__ import annotations

from typing import Dict, List

from gdws_agent.first_run.bench import Bench, clocks_in_words
from gdws_agent.first_run.bundle import FORMS
from gdws_agent.first_run.network import DENSE
from gdws_agent.first_run.report import CheckFailed, Figure, Outcome, Table, Value
from gdws_contract.measures import Flag
from gdws_contract.rest import Cell

PRECISIONS = ("fp16", "int8")
_COLUMNS = [
    "form",
    "median ms",
    "on the device ms",
    "times as fast as dense",
    "from",
    "to",
    "precision in force",
    "mJ an image",
]


def check_layouts(bench: Bench) -> Outcome:
    """Measure every form in turn, in each precision that the best backend has; else in fp32."""
    precisions = [name for name in PRECISIONS if name in bench.backend().precisions] or ["fp32"]
    tables: List[Table] = []
    fastest: List[str] = []
    problems: List[CheckFailed] = []
    doubts: List[List[Value]] = []
    with bench.fixed_clocks() as state:
        sensor = bench.probes.best_power_sensor()
        for precision in precisions:
            try:
                cells = bench.measure(FORMS, precision, power_sensor=sensor, in_force=state)
            except CheckFailed as error:
                problems.append(error)
                continue
            tables.append(Table(title=precision, columns=_COLUMNS, rows=[_row(cells[form], form) for form in FORMS]))
            doubts += [_doubt(precision, form, flag) for form, cell in cells.items() for flag in cell.flags]
            fastest.append(f"{precision}: {_fastest(cells)}")
    if doubts:
        tables.append(Table(title="Doubts about these figures", columns=["precision", "form", "doubt"], rows=doubts))
    figures = [
        Figure(name="clocks", value=clocks_in_words(state)),
        Figure(name="backend", value=bench.backend().name),
        Figure(name="batch size", value=1),
    ]
    if problems:
        raise CheckFailed(
            "; ".join(str(error) for error in problems),
            *[advice for error in problems for advice in error.outcome.advice],
            figures=figures,
            tables=tables,
        )
    summary = "; ".join([*fastest, *([f"doubts about these figures: {len(doubts)}"] if doubts else [])])
    return Outcome(status="ok", summary=summary, figures=figures, tables=tables)


def _row(cell: Cell, form: str) -> List[Value]:
    interval = None if cell.speedup is None else cell.speedup.interval
    energy_mj = None if cell.power is None else cell.power.energy_per_inference_mj
    return [
        form,
        None if cell.latency is None else cell.latency.median_ms,
        None if cell.device_latency is None else cell.device_latency.compute.median_ms,
        None if cell.speedup is None else cell.speedup.ratio,
        None if interval is None else interval.low,
        None if interval is None else interval.high,
        None if cell.build is None else cell.build.precision,
        energy_mj,
    ]


def _fastest(cells: Dict[str, Cell]) -> str:
    """Return the fastest form in words, by the rounds in which each took its turn."""
    speedups = {form: cell.speedup for form, cell in cells.items() if cell.speedup is not None}
    best = max(speedups, key=lambda form: speedups[form].ratio)
    ratio, interval = speedups[best].ratio, speedups[best].interval
    if ratio < 1.0:
        return f"{DENSE} is fastest, and {best} {ratio:.2f} times as fast"
    span = "" if interval is None else f" ({interval.low:.2f} to {interval.high:.2f})"
    return f"{best} is fastest, {ratio:.2f}{span} times as fast as {DENSE}"


def _doubt(precision: str, form: str, flag: Flag) -> List[Value]:
    return [precision, form, f"{flag.code}: {flag.detail}"]
