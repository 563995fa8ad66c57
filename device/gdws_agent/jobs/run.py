"""One job, from its first unfinished group to its end."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple, Union

from gdws_agent.board.clocks import Clocks, ClockState
from gdws_agent.errors import ClocksError, ClocksInterrupted, make_problem, problem_of
from gdws_agent.machine import MACHINE_SHORT, is_machine_fault
from gdws_agent.measuring.messages import AttackedEvent, CellEvent, Event, StageEvent, WorkOrder
from gdws_agent.requests.groups import Group, plan_groups, to_blame, variants_to_run
from gdws_agent.requests.limits import memory_limit_mib, out_of_time, time_limit_s
from gdws_agent.settings import Settings
from gdws_agent.timestamps import utc_now
from gdws_contract.attacks import AttackedImage
from gdws_contract.measures import Flag
from gdws_contract.problems import Problem
from gdws_contract.rest import Cell, CellKey, Job, JobState, PowerMode

from .interrupt import Interrupt
from .runner import run_group

_LOG = logging.getLogger(__name__)

#: The problem code of cells that were skipped because the agent died while it measured them.
AGENT_DIED = "agent-died"


#: Delays between retries while the machine is short of resources; the last applies to all further ones.
RETRY_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
#: How many workers in a row may fail for lack of resources without a result, not counting those that do not start.
MAX_SHORT_WORKERS = 10


class WorkerSetup(NamedTuple):
    """What all jobs need to run.

    ``power_sensor`` and ``simulated`` may connect to the board's service when first called, ``clocks`` does when
    used. None of them is called while a worker lives: two clients of that service disturb each other.
    """

    command: Sequence[str]
    settings: Settings
    cache_dir: Path
    power_sensor: Callable[[], str]
    clocks: Clocks
    simulated: Callable[[], bool]


class Failure(NamedTuple):
    """Why a job ended before every cell was tried."""

    state: JobState
    problem: Problem


class AttackRecord:
    """The images that the attacks of one job are done with; ``save`` stores more of them."""

    def __init__(
        self, known: Mapping[CellKey, Sequence[AttackedImage]], save: Callable[[CellKey, List[AttackedImage]], None]
    ) -> None:
        self._known = {key: list(images) for key, images in known.items()}
        self._save = save

    def of(self, key: CellKey) -> List[AttackedImage]:
        """Return those of one cell."""
        return self._known.get(key, [])

    def add(self, key: CellKey, images: List[AttackedImage]) -> None:
        """Keep and store some more of one cell."""
        self._save(key, images)
        self._known.setdefault(key, []).extend(images)


class JobRun:
    """Runs what is left of ``job``; ``save`` stores a cell, ``report`` hears each stage and whose it is.

    ``attacked`` keeps what single images brought.

    Power mode and clocks are taken when the first group of a mode begins, and given back when the run ends,
    however it ends. Here, not in the worker, so that they hold from one worker to the next.
    """

    def __init__(
        self,
        job: Job,
        bundle_path: Path,
        setup: WorkerSetup,
        interrupt: Interrupt,
        save: Callable[[Cell], None],
        report: Callable[[StageEvent, Optional[CellKey]], None],
        attacked: AttackRecord,
    ) -> None:
        self._job = job
        self._bundle_path = bundle_path
        self._setup = setup
        self._interrupt = interrupt
        self._save = save
        self._report = report
        self._attacked = attacked
        self._cells: Dict[CellKey, Cell] = {cell.key: cell for cell in job.cells}
        self._kept: List[CellKey] = []
        self._last_named: Optional[str] = None
        self._entered: Optional[Tuple[Optional[PowerMode], Union[ClockState, ClocksError]]] = None
        self._shortage: Optional[Problem] = None  # what the machine lacks, as long as it does
        self._waits = 0
        self._short_workers = 0

    def run(self, interruptions: int) -> Optional[Failure]:
        """Measure until every cell was tried or the interrupt is heard; return why the job as a whole failed, if so.

        ``interruptions`` is how often in a row the agent died during this job's next group: past the limit
        that group is failed, so that a job which brings the machine down does not do so for ever. When the group
        after that does the same, the job as a whole is to blame: it ends as ``interrupted``.

        While the machine lacks what it takes to measure, the job waits. That is never recorded as a result.
        """
        give_back(self._setup)  # what the job before this one could not
        try:
            return self._measure(interruptions)
        finally:
            for flag in give_back(self._setup):
                self._flag(flag)

    def _measure(self, interruptions: int) -> Optional[Failure]:
        groups = list(plan_groups(self._job.request))
        if interruptions >= self._setup.settings.max_interruptions:
            if self._gave_up_last():
                return Failure("interrupted", _died(interruptions, "in each of two groups that it began; it ends here"))
            self._give_up_next(groups, interruptions)
        for group in groups:
            given_up: Set[str] = set()
            while self._interrupt.reason is None:
                variants = variants_to_run(group.states(list(self._cells.values())), group, given_up)
                if not variants:
                    break
                if not self._bundle_path.exists():
                    problem = make_problem(
                        404, "model-not-found", "the bundle's file is missing", hint="upload it again"
                    )
                    return Failure("failed", problem)
                try:
                    in_force = self._enter(group.power_mode)
                except Exception as error:
                    if not is_machine_fault(error):
                        raise
                    self._wait_for_machine(f"the measurement could not be prepared: {error}")
                    continue
                if isinstance(in_force, ClockState):
                    given_up.update(self._run_once(group, variants, in_force))
                    if self._shortage is not None and self._short_workers >= MAX_SHORT_WORKERS:
                        return Failure("failed", self._shortage)
                elif is_machine_fault(in_force):
                    self._entered = None
                    self._wait_for_machine(in_force.message)
                elif not isinstance(in_force, ClocksInterrupted):
                    given_up.update(variants)
                    for variant in variants:
                        self._fail(group.cell(variant), problem_of(in_force))
        if self._interrupt.reason == "time-limit":
            return self._out_of_time(groups)
        return None

    def _out_of_time(self, groups: Sequence[Group]) -> Optional[Failure]:
        """Fail what is left; None when nothing is. What the machine did not let be measured has no result."""
        if self._shortage is not None:
            return Failure("failed", self._shortage)
        problem = out_of_time(time_limit_s(self._job.request, self._setup.settings))
        left = [key for group in groups for key in map(group.cell, group.variants) if key not in self._cells]
        for key in left:
            self._fail(key, problem)
        return Failure("failed", problem) if left else None

    def _gave_up_last(self) -> bool:
        """Whether the last result of this job is a skipped group."""
        last = self._job.cells[-1].error if self._job.cells else None
        return last is not None and last.code == AGENT_DIED

    def _enter(self, mode: Optional[PowerMode]) -> Union[ClockState, ClocksError]:
        """Put the board into ``mode``, unless it is there; return the state in force, or why that could not be.

        Where the request leaves mode and clocks as they are, not to know them is no fault.
        """
        if self._entered is not None and self._entered[0] == mode:
            return self._entered[1]
        self._setup.power_sensor()
        self._report(StageEvent(stage="power-mode"), None)
        fixed = self._job.request.jetson_clocks
        outcome: Union[ClockState, ClocksError]
        try:
            outcome = self._setup.clocks.take(mode, fixed, give_up=lambda: self._interrupt.reason is not None)
        except ClocksError as error:
            if mode is None and fixed is None:
                outcome = ClockState()
            else:
                outcome = error
                _LOG.warning("job %s: power mode %s: %s", self._job.id, mode, error.message)
        self._entered = (mode, outcome)
        return outcome

    def _run_once(self, group: Group, variants: List[str], in_force: ClockState) -> List[str]:
        """Run a worker on ``variants``; return those that must not be tried again, each with a cell that says why."""
        self._last_named = None
        ended: Set[str] = set()

        def on_event(event: Event) -> None:
            if isinstance(event, CellEvent):
                self._keep(event.cell)
                ended.add(event.cell.key.variant)
            elif isinstance(event, AttackedEvent):
                self._attacked.add(group.cell(event.variant), event.images)
            else:
                self._last_named = event.variant
                self._report(event, None if event.variant is None else group.cell(event.variant))

        order = WorkOrder(
            job_id=self._job.id,
            bundle_path=str(self._bundle_path),
            cache_dir=str(self._setup.cache_dir),
            backend=group.backend,
            precision=group.precision,
            batch_size=group.batch_size,
            variants=variants,
            protocol=self._job.request.protocol,
            batch_sizes=self._job.request.batch_sizes,
            engine=self._job.request.engine,
            profile=self._job.request.profile,
            attack=self._job.request.attack,
            attacked={variant: self._attacked.of(group.cell(variant)) for variant in variants},
            pacing=self._job.request.pacing,
            series=self._job.request.series,
            power_sensor=self._setup.power_sensor(),
            power_mode=group.power_mode,
            power_mode_name=in_force.power_mode,
            jetson_clocks=in_force.jetson_clocks,
            memory_limit_mib=memory_limit_mib(self._job.request, self._setup.settings),
            private=_private_paths(self._setup.settings),
            confined=self._setup.settings.confine_workers,
        )
        ending = run_group(self._setup.command, order, self._setup.settings, self._interrupt, on_event)
        if ending.kind in ("unstarted", "machine-short"):
            self._short_workers = 0 if ended or ending.kind == "unstarted" else self._short_workers + 1
            self._waits = 0 if ended else self._waits
            self._wait_for_machine(ending.detail)
            return []
        self._shortage, self._waits, self._short_workers = None, 0, 0
        if ending.kind in ("completed", "interrupted"):
            return []
        blamed = to_blame(variants, ended, self._last_named)
        problem = make_problem(500, ending.code, ending.detail, hint=ending.hint)
        for variant in blamed:
            self._fail(group.cell(variant), problem)
        return blamed

    def _wait_for_machine(self, detail: str) -> None:
        """Report the shortage of the machine and wait, longer after each failure in a row."""
        self._shortage = make_problem(503, MACHINE_SHORT, detail, hint="check what else uses the machine's resources")
        delay_s = RETRY_S[min(self._waits, len(RETRY_S) - 1)]
        self._waits += 1
        _LOG.warning("job %s: waiting %g s for the machine: %s", self._job.id, delay_s, detail)
        self._report(StageEvent(stage="waiting for the machine"), None)
        self._interrupt.wait(delay_s)

    def _give_up_next(self, groups: Sequence[Group], interruptions: int) -> None:
        for group in groups:
            states = group.states(list(self._cells.values()))
            variants = variants_to_run(states, group)
            if variants:
                problem = _died(interruptions, "while it measured this group")
                for variant in to_blame(variants, set(states), None):
                    self._fail(group.cell(variant), problem)
                return

    def _fail(self, key: CellKey, problem: Problem) -> None:
        """Record a failure, unless the cell has an earlier valid result."""
        if key not in self._cells:
            self._keep(Cell(key=key, state="failed", finished_at=utc_now(), error=problem))

    def _keep(self, cell: Cell) -> None:
        if self._setup.simulated():
            cell = cell.model_copy(update={"simulated": True})
        self._save(cell)
        self._cells[cell.key] = cell
        self._kept.append(cell.key)
        _LOG.info("job %s: %s", self._job.id, _in_words(cell))

    def _flag(self, flag: Flag) -> None:
        """Add a flag to every cell that this run measured."""
        for key in self._kept:
            cell = self._cells[key]
            if cell.state == "done":
                self._cells[key] = cell.model_copy(update={"flags": [*cell.flags, flag]})
                self._save(self._cells[key])


def _private_paths(settings: Settings) -> List[str]:
    paths = (settings.data_dir, settings.token_file, settings.read_token_file)
    return [str(path.absolute()) for path in paths if path is not None]


def _died(interruptions: int, when: str) -> Problem:
    detail = f"the agent itself died {interruptions} times in a row {when}"
    return make_problem(500, AGENT_DIED, detail, hint="memory or power supply may be insufficient")


def give_back(setup: WorkerSetup) -> List[Flag]:
    """Restore power mode and clocks, if they were changed; return a flag if that failed or others changed them.

    What cannot be given back now stays on record, and is tried again before the next job and at the next start.
    """
    try:
        if not setup.clocks.is_taken():
            return []
        setup.power_sensor()
        note = setup.clocks.restore()
    except Exception as error:
        if not (isinstance(error, ClocksError) or is_machine_fault(error)):
            raise
        hint = error.hint if isinstance(error, ClocksError) else "check what else uses the machine's resources"
        _LOG.error("power mode and clocks could not be restored: %s (%s)", error, hint)
        return [Flag(code="clocks-not-restored", detail=f"the board could not be restored after the job: {error}")]
    return [] if note is None else [Flag(code="power-mode-changed", detail=note)]


def _in_words(cell: Cell) -> str:
    key = cell.key
    mode = "" if key.power_mode is None else f"/power mode {key.power_mode}"
    name = f"{key.variant}/{key.backend}/{key.precision}/batch {key.batch_size}{mode}"
    if cell.latency is not None:
        return f"{name} {cell.state}, median {cell.latency.median_ms:.3f} ms"
    if cell.profile is not None:
        return f"{name} {cell.state}, {len(cell.profile.layers)} layers profiled"
    if cell.attack is not None:
        found = cell.attack.robust
        return f"{name} {cell.state}, {found.successes} of {found.count} images withstood the attack"
    return f"{name} {cell.state}, {cell.error.detail if cell.error is not None else 'no times'}"
