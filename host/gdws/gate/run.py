"""A gate on one device, from its first run to its report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gdws.errors import DeviceError, ResultError
from gdws.fleet.trouble import judge
from gdws.gate.baseline import Baseline
from gdws.gate.consistency import Consistency
from gdws.gate.coverage import Expected
from gdws.gate.facts import Doubts, NetworkFacts
from gdws.gate.figures import Run
from gdws.gate.gatekeeper import Gatekeeper, Reference
from gdws.gate.limits import Limits, Measure, Sequencing
from gdws.gate.noise import Noise, changes, default_path, load_noise
from gdws.gate.reports import DeviceReport, observe
from gdws.gate.sequential import Spread
from gdws.gate.session import Session, Stopped
from gdws.gate.verdicts import Verdict, overall
from gdws_contract.findings import text
from gdws_contract.findings.environment import surroundings
from gdws_contract.findings.setting import Setting
from gdws_contract.rest import BenchmarkResult


@dataclass
class DeviceGate:
    """A gate on one device; ``noise_path`` finds the file of a device's noise by host name and backend.

    With ``baseline`` the candidate is compared with these figures. They and all runs must have been measured under the
    same conditions. ``expected`` is what runs must contain, ``doubts`` are about accuracies, ``remarks`` become notes.
    """

    name: str
    session: Session
    limits: Limits
    sequencing: Sequencing
    networks: Mapping[str, NetworkFacts]
    expected: Expected
    doubts: Doubts = field(default_factory=Doubts)
    baseline: Baseline | None = None
    remarks: Sequence[str] = ()
    noise_path: Callable[[str, str], Path | None] = default_path
    clock: Callable[[], float] = time.monotonic
    _notes: list[str] = field(default_factory=list)
    _noises: dict[str, Noise] = field(default_factory=dict)
    _environment: dict[str, str | None] = field(default_factory=dict)
    _consistency: Consistency = field(default_factory=Consistency)
    _mismatch: str | None = None

    def run(self) -> DeviceReport:
        """Measure until the verdict is clear or the budget is used up.

        A device that could not serve is reported in the result, not raised.
        """
        began_s = self.clock()
        keeper = Gatekeeper(self.limits, self.sequencing, self.networks, self._reference(), self.doubts, self.expected)
        error = None
        try:
            with self.session.held() as measure:
                while keeper.wants_run and not self._is_late(keeper, began_s):
                    number = len(keeper.runs) + 1
                    self._say_what_comes(keeper, number)
                    result, run = measure(number)
                    if number == 1:
                        self._learn(result, run)
                    self._mismatch = self._mismatch_of(result, number)
                    if self._mismatch is not None:
                        break
                    keeper.add(run, self._spread)
        except DeviceError as failed:
            error = judge(failed).reason
        except Stopped as stopped:
            error = stopped.message
        verdicts = tuple(self._verdicts(keeper))
        return DeviceReport(
            device=self.name,
            url=self.session.url,
            outcome=None if error is not None else overall(verdict.outcome for verdict in verdicts),
            error=error,
            verdicts=verdicts,
            notes=(*self.remarks, *self._notes, *self.session.warnings),
            environment=self._environment,
            finished_runs=len(keeper.runs),
            duration_s=self.clock() - began_s,
            observed=observe(keeper.runs),
        )

    def _reference(self) -> Reference | None:
        return None if self.baseline is None else self.baseline.reference()

    def _is_late(self, keeper: Gatekeeper, began_s: float) -> bool:
        """Whether the time budget is used up; a confirmation in progress is completed."""
        if keeper.is_confirming or self.clock() - began_s < self.sequencing.budget_s:
            return False
        self._notes.append(
            f"the time budget of {self.sequencing.budget_s:g} s was used up before the verdict was clear"
        )
        return True

    def _say_what_comes(self, keeper: Gatekeeper, number: int) -> None:
        left = keeper.runs_to_next_look
        if left is None:
            self.session.say(f"run {number}")
        elif keeper.is_confirming:
            self.session.say(f"run {number}, to confirm a FAIL; {text.plural(left, 'run')} to go")
        else:
            self.session.say(f"run {number}; {text.plural(left, 'run')} until the next evaluation")

    def _learn(self, result: BenchmarkResult, run: Run) -> None:
        """Identify the device by the first run, and load its noise."""
        self._environment = surroundings(result)
        for backend in dict.fromkeys(subject.setting.backend for subject in run.candidate):
            self._learn_noise(result, backend)

    def _mismatch_of(self, result: BenchmarkResult, number: int) -> str | None:
        """How the conditions of a run differ from those of the baseline or earlier runs; None if they do not."""
        found = self.baseline.mismatches(result) if self.baseline is not None and number == 1 else ()
        if found:
            return f"the baseline was measured under other conditions ({'; '.join(map(str, found))})"
        found = self._consistency.changes(result)
        if found:
            return f"the conditions changed before or during run {number} ({'; '.join(map(str, found))})"
        return None

    def _learn_noise(self, result: BenchmarkResult, backend: str) -> None:
        device = result.device.hostname
        try:
            noise = load_noise(self.noise_path(device, backend))
        except (OSError, ResultError) as error:  # the noise is optional
            self._notes.append(f"the noise of {device} with {backend} cannot be read: {error}")
            return
        if noise is None:
            self._notes.append(
                f"the noise of {device} with {backend} is not known: measure it with gdws noise for shorter gates"
            )
            return
        changed = changes(noise.environment, result, backend)
        if changed:
            named = "; ".join(map(str, changed))
            self._notes.append(f"the noise of {device} with {backend} was measured under other conditions: {named}")
        else:
            self._noises[backend] = noise

    def _spread(self, setting: Setting, measure: Measure, paired: bool) -> Spread | None:
        noise = self._noises.get(setting.backend)
        return None if noise is None else noise.spread(setting, measure, paired)

    def _verdicts(self, keeper: Gatekeeper) -> list[Verdict]:
        if self._mismatch is None:
            return keeper.verdicts()
        sentence = f"{self._mismatch}: INCONCLUSIVE."
        return [Verdict("environment", self.name, "INCONCLUSIVE", sentence), *keeper.verdicts()]
