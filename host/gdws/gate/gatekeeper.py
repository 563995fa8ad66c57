"""One gate without a device: takes each run, says whether it wants another, and judges. Pure."""

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
    """A baseline that is not measured now: its figures from former runs, and its accuracies."""

    figures: References
    accuracies: Accuracies


@dataclass
class Gatekeeper:
    """Limits, and what the runs say of them so far.

    What is asked of times is known from the first run on: its cells are the subjects. What is ``expected`` and was not
    seen is INCONCLUSIVE. With ``reference`` the candidate is compared with that, else with the baseline beside it;
    ``doubts`` are about their accuracies.
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
        """How many runs are wanted before anything can be decided; None before the first."""
        return None if self._trial is None else self._trial.runs_to_next_look

    @property
    def is_confirming(self) -> bool:
        """Whether the further runs are to confirm what looks like a FAIL."""
        return self._trial is not None and any(f.answer == "above" for f in self._trial.findings.values())

    def add(self, run: Run, spread_of: SpreadOf) -> None:
        """Take one run; ``spread_of`` tells the device's noise, and is asked with the first run."""
        if self._trial is None:
            references = None if self.reference is None else self.reference.figures
            self._questions = timed_questions(self.limits, run, spread_of, references)
            asked = {question.key: question.question for question in self._questions}
            self._trial = Trial(asked, self.sequencing.max_runs, self.sequencing.error)
        self.runs.append(run)
        self._trial.add({question.key: question.observe(run) for question in self._questions})

    def verdicts(self) -> list[Verdict]:
        """One verdict for each limit of each subject, by what is known now; none before the first run."""
        if self._trial is None:
            return []
        findings = self._trial.findings
        pending = self._trial.wants_run  # what looks like a FAIL, and was not confirmed yet, is none
        timed = [timed_verdict(each, findings[each.key], pending=pending) for each in self._questions]
        unasked = without_baseline(self.limits, self.runs[0], self._questions)
        return [*timed, *unasked, *self._facts(), *coverage_verdicts(self.expected, self.runs)]

    def _facts(self) -> list[Verdict]:
        accuracies = None if self.reference is None else self.reference.accuracies
        return fact_verdicts(self.limits, self.runs, self.networks, accuracies, self.doubts)
