import json

import pytest

from gdws_agent.storage.rows import JobText, cell_text, split_cell
from gdws_contract.measures import RoundSummary
from gdws_contract.rest import Cell, Job
from support.agents import cell, running_job

ROUNDS = [RoundSummary(index=index, count=7, median_ms=1.5, duration_s=0.1) for index in range(3)]
CELLS = {
    "no rounds": cell("dense"),
    "rounds": cell("gdws").model_copy(update={"rounds": ROUNDS}),
    "text": cell("a").model_copy(
        update={"environment": {"rounds": '{"rounds":[', "name": "\u2028€"}, "rounds": ROUNDS}
    ),
}


@pytest.mark.parametrize("measured", CELLS.values(), ids=CELLS)
def test_a_cell_is_put_together_from_its_parts_as_it_was(measured):
    parts = [part.encode() for part in split_cell(measured)]

    assert Cell.model_validate_json(cell_text(*parts, with_rounds=True)) == measured
    assert json.loads(cell_text(*parts, with_rounds=True)) == measured.model_dump(mode="json")
    assert json.loads(cell_text(*parts, with_rounds=False)) == measured.model_dump(mode="json", exclude={"rounds"})


@pytest.mark.parametrize("measured", CELLS.values(), ids=CELLS)
def test_a_cell_of_an_older_release_is_told_alike(measured):
    parts = (measured.model_dump_json().encode(), None)

    assert json.loads(cell_text(*parts, with_rounds=True)) == measured.model_dump(mode="json")
    assert json.loads(cell_text(*parts, with_rounds=False)) == measured.model_dump(mode="json", exclude={"rounds"})


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_job_with_cells_is_the_json_of_both(count):
    cells = list(CELLS.values())[:count]
    found = JobText(running_job(), [measured.model_dump_json().encode() for measured in cells])
    assert Job.model_validate_json(b"".join(found.pieces())) == running_job().model_copy(update={"cells": cells})
