"""What the report keeps of stored results."""

from __future__ import annotations

import weakref
from collections.abc import Iterator

from gdws.results.report.fleet import FleetMeasurement
from gdws.results.report.fleet.facts import fleet_facts
from gdws_contract.rest import BenchmarkResult
from support.fleet_results import board


def test_results_are_read_one_at_a_time_and_not_kept():
    read: list[weakref.ref[BenchmarkResult]] = []
    in_memory: list[int] = []

    def results() -> Iterator[FleetMeasurement]:
        for number in range(6):
            found = board(f"orin-{number}")
            read.append(weakref.ref(found.result))
            in_memory.append(sum(each() is not None for each in read))
            yield found

    facts = fleet_facts(results(), [])

    timed = {entry.device for row in facts.blocks[0].rows for entry in row if entry.median_ms is not None}
    assert len(timed) == 6
    assert max(in_memory) <= 2  # the one before is held until the next is there
