"""Deadlines and memory of each network, as tables that every renderer shows."""

from __future__ import annotations

from collections.abc import Callable

from gdws.results.report.figures import Facts, Measurement
from gdws.results.report.tables import Column, Table, measured_table
from gdws_contract.findings import text
from gdws_contract.memory import Memory
from gdws_contract.pacing import HighestRate, Paced


def open_loop_tables(facts: Facts) -> tuple[Table, ...]:
    """The tables that have something to show, in the order of the report."""
    memory = _memory(facts)
    return (*pacing_tables(facts), *(() if memory is None else (memory,)))


def pacing_tables(facts: Facts) -> tuple[Table, ...]:
    """The requested ones: missed deadlines, and the highest rate."""
    found = (_deadlines(facts), _highest_rates(facts))
    return tuple(table for table in found if table is not None)


def paced_run(m: Measurement) -> Paced | None:
    """The run at the request's own arrivals; None if there was none."""
    return None if m.paced is None else m.paced.run


def highest_rate(m: Measurement) -> HighestRate | None:
    """What the search found; None if there was none."""
    return None if m.paced is None else m.paced.highest_rate


def _deadlines(facts: Facts) -> Table | None:
    columns = (
        Column("Arrivals", _of_run(lambda run: text.whole(run.arrivals))),
        Column("Rate Hz", _of_run(lambda run: _known(run.rate_hz))),
        Column("Deadline ms", _of_run(lambda run: _known(run.deadline_ms))),
        Column("Missed", _of_run(lambda run: f"{text.whole(run.missed.successes)} ({_share(run.missed.value)})")),
        Column("Longest burst", _of_run(lambda run: text.whole(run.bursts.longest))),
        Column("Median ms", _of_run(lambda run: _known(run.latency.median_ms if run.latency else None))),
        Column("p99 ms", _of_run(lambda run: _known(run.latency.p99_ms if run.latency else None))),
        Column("p99.9 ms", _of_run(lambda run: _known(run.p999_ms))),
        Column("Busy", _of_run(lambda run: text.percent(run.utilisation))),
        Column("Generator late by, p99 ms", _of_run(lambda run: _known(run.jitter.p99_ms if run.jitter else None))),
        Column("Withheld", _of_run(lambda run: run.withheld)),
    )
    waits = list(dict.fromkeys(m.paced.waits_by for m in facts.measurements if m.paced is not None))
    note = (
        "Inferences that arrived by a clock, whether or not the one before had ended. Latency is from the scheduled "
        "arrival, so that waiting counts. Longest burst: deadlines missed in a row. Generator: how late it began what "
        f"found the device free; it {'; '.join(waits)}."
    )
    return measured_table(facts, "Deadlines", columns, lambda m: paced_run(m) is not None, note)


def _highest_rates(facts: Facts) -> Table | None:
    def rate(found: HighestRate) -> str | None:
        return "none that was tried" if found.rate_hz is None else f"{text.significant(found.rate_hz)} Hz"

    columns = (
        Column("Sustained", _of_search(rate)),
        Column("Not sustained", _of_search(lambda f: f"{text.significant(f.missed_hz)} Hz" if f.missed_hz else None)),
        Column("Misses allowed", _of_search(lambda found: _share(found.max_miss_rate))),
        Column("Deadline ms", _of_search(lambda f: "one period" if f.deadline_ms is None else _known(f.deadline_ms))),
        Column("Runs", _of_search(lambda found: text.whole(found.runs))),
        Column("Fewest arrivals", _of_search(lambda found: text.whole(found.arrivals))),
        Column("Remark", _of_search(lambda found: found.reason)),
    )
    note = (
        "The highest rate of arrivals at which two runs in a row missed no more deadlines than allowed, and the lowest "
        "above it at which one did. A run of few arrivals shows no rarer misses than one of them."
    )
    return measured_table(facts, "Highest rate", columns, lambda m: highest_rate(m) is not None, note)


def _memory(facts: Facts) -> Table | None:
    def shown(m: Measurement) -> bool:
        memory = m.memory
        return memory is not None and (memory.host_peak_bytes is not None or memory.device_peak_bytes is not None)

    columns = (
        Column("Host peak", _of_memory(lambda memory: _mebibytes(memory.host_peak_bytes))),
        Column("Device peak", _of_memory(lambda memory: _mebibytes(memory.device_peak_bytes) or memory.device_reason)),
        Column("Together", _of_memory(lambda memory: _mebibytes(memory.total_peak_bytes))),
    )
    known = [m.memory for m in facts.measurements if m.memory is not None]
    methods = {
        "Host": dict.fromkeys(memory.host_method for memory in known if memory.host_method),
        "Device": dict.fromkeys(memory.device_method for memory in known if memory.device_method),
    }
    note = " ".join(f"{side}: {'; '.join(words)}." for side, words in methods.items() if words)
    return measured_table(
        facts, "Memory", columns, shown, note, lambda m: None if m.memory is None else m.memory.host_reason
    )


def _of_run(cell: Callable[[Paced], str | None]) -> Callable[[Measurement], str | None]:
    def of(m: Measurement) -> str | None:
        run = paced_run(m)
        return None if run is None else cell(run)

    return of


def _of_search(cell: Callable[[HighestRate], str | None]) -> Callable[[Measurement], str | None]:
    def of(m: Measurement) -> str | None:
        found = highest_rate(m)
        return None if found is None else cell(found)

    return of


def _of_memory(cell: Callable[[Memory], str | None]) -> Callable[[Measurement], str | None]:
    return lambda m: None if m.memory is None else cell(m.memory)


def _share(share: float) -> str:
    """A share of misses, which are rare: with more digits than an accuracy has."""
    return f"{text.significant(100 * share)} %"


def _known(value: float | None) -> str | None:
    return None if value is None else text.significant(value)


def _mebibytes(size_bytes: int | None) -> str | None:
    return None if size_bytes is None else text.mebibytes(size_bytes)
