"""Running checks one after the other: none stops those after it, and the results so far can be read at any time."""

from __future__ import annotations

import time
import traceback
from typing import Callable, List, Sequence

from gdws_agent.errors import AgentError
from gdws_agent.timestamps import utc_now
from gdws_contract import __version__

from .bench import Bench
from .catalogue import Check
from .deadline import Deadline
from .report import CheckFailed, CheckResult, Outcome, Report

_REPORT_IT = "attach this report to an issue: nobody foresaw this"


class Run:
    """One first run. ``on_begin`` is called with each check as it begins, ``on_end`` with its result."""

    def __init__(
        self,
        bench: Bench,
        checks: Sequence[Check],
        on_begin: Callable[[Check], None] = lambda check: None,
        on_end: Callable[[CheckResult], None] = lambda result: None,
    ) -> None:
        self._bench = bench
        self._checks = checks
        self._on_begin = on_begin
        self._on_end = on_end
        self._started_at = utc_now()
        self._began_s = time.monotonic()
        self._results: List[CheckResult] = []
        self._interrupted = False

    def run(self) -> None:
        """Run every check.

        Raises:
            KeyboardInterrupt: it was interrupted; the check that ran then is skipped, and those after it.
        """
        for check in self._checks:
            began_s, started_at = time.monotonic(), utc_now()
            self._on_begin(check)
            self._bench.deadline = Deadline(check.limit_s)
            try:
                outcome = self._outcome(check)
            except KeyboardInterrupt:
                self._interrupted = True
                self._keep(check, _skipped("interrupted"), started_at, time.monotonic() - began_s)
                for left in self._checks[len(self._results) :]:
                    self._keep(left, _skipped("the run was interrupted before it"), utc_now(), 0.0)
                raise
            self._keep(check, outcome, started_at, time.monotonic() - began_s)

    def report(self) -> Report:
        """Return what was found so far."""
        return Report(
            version=__version__,
            started_at=self._started_at,
            duration_s=time.monotonic() - self._began_s,
            complete=len(self._results) == len(self._checks) and not self._interrupted,
            quick=self._bench.quick,
            simulated=self._bench.simulated(),
            device={"board": self._bench.board, "l4t": self._bench.l4t},
            checks=self._results,
        )

    def _outcome(self, check: Check) -> Outcome:
        failed = [each.name for each in self._results if each.name in check.needs and each.status == "failed"]
        if failed:
            return _skipped(f"it needs the check {failed[0]}, which failed")
        try:
            return check.run(self._bench)
        except CheckFailed as error:
            return error.outcome
        except AgentError as error:
            return Outcome(status="failed", summary=error.message, advice=[error.hint or _REPORT_IT])
        except Exception as error:
            return Outcome(
                status="failed",
                summary=f"{type(error).__name__}: {error}",
                advice=[_REPORT_IT],
                log=traceback.format_exc().splitlines(),
            )

    def _keep(self, check: Check, outcome: Outcome, started_at: str, duration_s: float) -> None:
        result = CheckResult(
            name=check.name,
            title=check.title,
            started_at=started_at,
            duration_s=duration_s,
            limit_s=check.limit_s,
            **outcome.model_dump(),
        )
        self._results.append(result)
        self._on_end(result)


def _skipped(reason: str) -> Outcome:
    return Outcome(status="skipped", summary=reason)
