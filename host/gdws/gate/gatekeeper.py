"""The decisions of a gate, without a device: takes runs, says whether another is needed, gives verdicts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gdws.gate.coverage import Expected, coverage_verdicts
from gdws.gate.facts import Accuracies, Doubts, NetworkFacts, fact_verdicts, is_settled_failure
from gdws.gate.figures import Run
from gdws.gate.limits import Limits, Sequencing
from gdws.gate.sequential import Trial
from gdws.gate.timed import References, SpreadOf, TimedQuestion, timed_questions, timed_verdict, without_baseline
from gdws.gate.verdicts import Verdict


@dataclass(frozen=True)
class Reference:
    """A baseline that is not measured in this gate: its figures from earlier runs, and its accuracies."""

    figures: References
    accuracies: Accuracies


@dataclass
class Gatekeeper:
    """Limits, and the state of the findings on them.

    The questions on times are known after the first run, whose cells are the subjects. Anything ``expected`` that was
    not measured is INCONCLUSIVE. The candidate is compared with ``reference`` if given, otherwise with the baseline
    measured in turns with it; ``doubts`` are about their accuracies.
    """

    limits: Limits
    sequencing: Sequencing
    networks: Mapping[str, NetworkFacts]
    reference: Reference | None = None
    doubts: Doubts = field(default_factory=Doubts)
    expected: Expected = field(default_factory=Expected)
    runs: list[Run] = field(default_factory=list)
    _questions: list[TimedQuestion] = field(default_factory=list)
    _trial: Trial | None = None

    @property
    def wants_run(self) -> bool:
        """Whether another run could change the verdict."""
        if self._trial is None:
            return True
        return self._trial.wants_run and not is_settled_failure(self._facts(), len(self.runs))

    @property
    def runs_to_next_look(self) -> int | None:
        """The number of runs until the next evaluation; None before the first run."""
        return None if self._trial is None else self._trial.runs_to_next_look

    @property
    def is_confirming(self) -> bool:
        """Whether further runs are to confirm a FAIL."""
        return self._trial is not None and any(f.answer == "above" for f in self._trial.findings.values())

    def add(self, run: Run, spread_of: SpreadOf) -> None:
        """Take one run; ``spread_of``, called at the first run, gives the device's noise."""
        if self._trial is None:
            references = None if self.reference is None else self.reference.figures
            self._questions = timed_questions(self.limits, run, spread_of, references)
            asked = {question.key: question.question for question in self._questions}
            self._trial = Trial(asked, self.sequencing.max_runs, self.sequencing.error)
        self.runs.append(run)
        self._trial.add({question.key: question.observe(run) for question in self._questions})

    def verdicts(self) -> list[Verdict]:
        """The current verdict for each limit of each subject; none before the first run."""
        if self._trial is None:
            return []
        findings = self._trial.findings
        pending = self._trial.wants_run  # an unconfirmed FAIL does not count yet
        timed = [timed_verdict(each, findings[each.key], pending=pending) for each in self._questions]
        unasked = without_baseline(self.limits, self.runs[0], self._questions)
        return [*timed, *unasked, *self._facts(), *coverage_verdicts(self.expected, self.runs)]

    def _facts(self) -> list[Verdict]:
        accuracies = None if self.reference is None else self.reference.accuracies
        return fact_verdicts(self.limits, self.runs, self.networks, accuracies, self.doubts)
