"""Conversion of database rows, and pagination. Pure functions."""

from __future__ import annotations

import functools
import sqlite3
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

from gdws_contract.problems import Problem
from gdws_contract.rest import BenchmarkRequest, Cell, Job, Progress

#: Size of the cache of parsed requests: parsing takes most of the time of listing jobs.
_REQUESTS_KEPT = 512


class JobText(NamedTuple):
    """A job without its cells, and the JSON of cells of it."""

    job: Job
    cells: Sequence[bytes]

    def pieces(self, verdicts: Optional[bytes] = None) -> List[bytes]:
        """Return the JSON of the job with these cells, a piece for each: to join them would copy megabytes.

        ``verdicts`` is JSON that is told with it.
        """
        head = self.job.model_dump_json(exclude={"cells"}).encode()
        separated = [cell if index == 0 else b"," + cell for index, cell in enumerate(self.cells)]
        tail = b"]}" if verdicts is None else b'],"verdicts":%b}' % verdicts
        return [head[:-1] + b',"cells":[', *separated, tail]


def split_cell(cell: Cell) -> Tuple[str, str]:
    """Return the JSON of ``cell`` without its rounds, and that of its rounds."""
    rounds = cell.model_dump_json(include={"rounds"})
    return cell.model_dump_json(exclude={"rounds"}), rounds[len('{"rounds":') : -1]


def cell_text(cell: bytes, rounds: Optional[bytes], *, with_rounds: bool) -> bytes:
    """Return the JSON of a cell with its rounds or without, from the two parts that are stored of it."""
    if rounds is None:  # stored by an older release
        return cell if with_rounds else Cell.model_validate_json(cell).model_dump_json(exclude={"rounds"}).encode()
    return b'%b,"rounds":%b}' % (cell[:-1], rounds) if with_rounds else cell


def job_from(row: sqlite3.Row, cells: Sequence[Cell]) -> Job:
    """Return the job of a row of ``jobs``."""
    same = ("id", "state", "created_at", "started_at", "finished_at", "lease_holder", "run_s")
    fields: Any = {name: row[name] for name in same}
    return Job(
        **fields,
        request=_request_from(row["request"]),
        progress=Progress(cells_total=row["cells_total"], cells_finished=row["cells_finished"]),
        cells=list(cells),
        error=None if row["error"] is None else Problem.model_validate_json(row["error"]),
    )


def one_more(limit: int) -> int:
    """Return the SQL limit that shows whether there is another page."""
    return limit + 1 if limit >= 0 else limit


def cut(rows: List[sqlite3.Row], limit: int) -> Tuple[List[sqlite3.Row], Optional[int]]:
    """Return the rows of one page, and the cursor of the next."""
    if limit < 0 or len(rows) <= limit:
        return rows, None
    return rows[:limit], int(rows[limit - 1]["sequence"])


@functools.lru_cache(maxsize=_REQUESTS_KEPT)
def _request_from(text: str) -> BenchmarkRequest:
    return BenchmarkRequest.model_validate_json(text)
