"""One job, from its first unfinished group to its end."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Set

from gdws_contract.problems import Problem
from gdws_contract.rest import Cell, CellKey, Job

from .errors import make_problem
from .groups import Group, plan_groups, to_blame, variants_to_run
from .messages import CellEvent, Event, StageEvent, WorkOrder
from .runner import Interrupt, run_group
from .settings import Settings
from .timestamps import utc_now

_LOG = logging.getLogger(__name__)


class Workshop(NamedTuple):
    """What every job is run with."""

    command: Sequence[str]
    settings: Settings
    cache_dir: Path
    power_sensor: Callable[[], str]


class JobRun:
    """Runs what is left of ``job``; ``save`` stores a cell, ``report`` hears each stage and whose it is."""

    def __init__(
        self,
        job: Job,
        bundle_path: Path,
        workshop: Workshop,
        interrupt: Interrupt,
        save: Callable[[Cell], None],
        report: Callable[[StageEvent, Optional[CellKey]], None],
    ) -> None:
        self._job = job
        self._bundle_path = bundle_path
        self._workshop = workshop
        self._interrupt = interrupt
        self._save = save
        self._report = report
        self._cells: Dict[CellKey, Cell] = {cell.key: cell for cell in job.cells}
        self._last_named: Optional[str] = None

    def run(self, interruptions: int) -> Optional[Problem]:
        """Measure until every cell was tried or the interrupt is heard; return why the job as a whole failed, if so.

        ``interruptions`` is how often in a row the agent died during this job's next group: past the limit
        that group is failed, so that a job which brings the machine down does not do so for ever.
        """
        groups = list(plan_groups(self._job.request))
        if interruptions >= self._workshop.settings.max_interruptions:
            self._give_up_next(groups, interruptions)
        for group in groups:
            given_up: Set[str] = set()
            while self._interrupt.reason is None:
                variants = variants_to_run(group.states(list(self._cells.values())), group, given_up)
                if not variants:
                    break
                if not self._bundle_path.exists():
                    return make_problem(404, "model-not-found", "the bundle's file is gone", hint="upload it again")
                given_up.update(self._run_once(group, variants))
        return None

    def _run_once(self, group: Group, variants: List[str]) -> List[str]:
        """Run a worker on ``variants``; return those that must not be tried again, each with a cell that says why."""
        self._last_named = None
        ended: Set[str] = set()

        def on_event(event: Event) -> None:
            if isinstance(event, CellEvent):
                self._keep(event.cell)
                ended.add(event.cell.key.variant)
            else:
                self._last_named = event.variant
                self._report(event, None if event.variant is None else group.cell(event.variant))

        order = WorkOrder(
            job_id=self._job.id,
            bundle_path=str(self._bundle_path),
            cache_dir=str(self._workshop.cache_dir),
            backend=group.backend,
            precision=group.precision,
            batch_size=group.batch_size,
            variants=variants,
            protocol=self._job.request.protocol,
            batch_sizes=self._job.request.batch_sizes,
            engine=self._job.request.engine,
            profile=self._job.request.profile,
            power_sensor=self._workshop.power_sensor(),
            power_mode=group.power_mode,
        )
        ending = run_group(self._workshop.command, order, self._workshop.settings, self._interrupt, on_event)
        if ending.kind in ("completed", "interrupted"):
            return []
        blamed = to_blame(variants, ended, self._last_named)
        for variant in blamed:
            self._fail(group.cell(variant), f"worker-{ending.kind}", ending.detail, ending.hint)
        return blamed

    def _give_up_next(self, groups: Sequence[Group], interruptions: int) -> None:
        for group in groups:
            states = group.states(list(self._cells.values()))
            variants = variants_to_run(states, group)
            if variants:
                detail = f"the agent itself died {interruptions} times in a row while it measured this group"
                for variant in to_blame(variants, set(states), None):
                    self._fail(group.cell(variant), "agent-died", detail, "memory or power may not suffice for it")
                return

    def _fail(self, key: CellKey, code: str, detail: str, hint: Optional[str]) -> None:
        """Record a failure, unless the cell has a result from before that is still good."""
        if key not in self._cells:
            problem = make_problem(500, code, detail, hint=hint)
            self._keep(Cell(key=key, state="failed", finished_at=utc_now(), error=problem))

    def _keep(self, cell: Cell) -> None:
        self._save(cell)
        self._cells[cell.key] = cell
        key = cell.key
        name = f"{key.variant}/{key.backend}/{key.precision}/batch {key.batch_size}"
        if cell.latency is not None:
            _LOG.info("job %s: %s %s, median %.3f ms", self._job.id, name, cell.state, cell.latency.median_ms)
        else:
            reason = cell.error.detail if cell.error is not None else "no times"
            _LOG.info("job %s: %s %s, %s", self._job.id, name, cell.state, reason)
