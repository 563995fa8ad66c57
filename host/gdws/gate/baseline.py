"""The figures of a baseline in a file, as written by ``gdws baseline``.

Small enough to be committed. Valid only under the conditions in which it was measured.

History of the schema:
    1   first version.
    2   ``evidence``: on which images and under which attack the accuracies were seen. Without it, they say nothing.
    3   ``evidence.outputs`` in place of ``evidence.output``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from gdws.gate.documents import load
from gdws.gate.evidence import Evidence
from gdws.gate.facts import Kind, NetworkFacts, accuracy_of
from gdws.gate.figures import Run, Subject, log_figure
from gdws.gate.gatekeeper import Reference
from gdws.gate.limits import MEASURES, Measure
from gdws.gate.noise import changes, circumstances
from gdws_contract.base import Finite, Record
from gdws_contract.findings.environment import Difference
from gdws_contract.findings.setting import Setting
from gdws_contract.manifest import HostEvaluation
from gdws_contract.measures import Proportion
from gdws_contract.rest import BenchmarkResult, PowerMode


class Entry(Record):
    """One network in one setting. ``log_figures`` have an observation for each run, by measure."""

    network: str
    backend: str
    precision: str
    batch_size: int
    power_mode: PowerMode | None = None
    log_figures: dict[str, list[Finite]]
    natural: Proportion | None = None
    robust: Proportion | None = None

    @property
    def subject(self) -> Subject:
        """The network and setting."""
        return Subject(self.network, Setting(self.backend, self.precision, self.batch_size, self.power_mode))


class Baseline(Record):
    """The figures of a bundle, and the conditions of the measurement by backend."""

    kind: Literal["gdws-baseline"] = "gdws-baseline"
    schema_version: Literal[1, 2, 3] = 3
    bundle: str
    measured_at: str
    circumstances: dict[str, dict[str, str | None]]
    entries: list[Entry]
    sizes: dict[str, int]
    evaluations: dict[str, HostEvaluation] = Field(default_factory=dict, description="The host's, by network.")
    evidence: Evidence | None = None

    def reference(self) -> Reference:
        """The baseline in the form that a gate compares with."""
        figures: dict[tuple[Subject, Measure], tuple[float, ...]] = {}
        accuracies: dict[tuple[Subject, Kind], Proportion] = {}
        for entry in self.entries:
            for measure in MEASURES:
                figures[entry.subject, measure] = tuple(entry.log_figures.get(measure, ()))
            kinds: dict[Kind, Proportion | None] = {"natural": entry.natural, "robust": entry.robust}
            accuracies |= {(entry.subject, kind): known for kind, known in kinds.items() if known is not None}
        return Reference(figures, accuracies)

    def mismatches(self, result: BenchmarkResult) -> tuple[Difference, ...]:
        """Differences between its conditions and those of ``result``."""
        found: dict[Difference, None] = {}
        for backend in dict.fromkeys(cell.key.backend for cell in result.job.cells):
            found |= dict.fromkeys(changes(self.circumstances.get(backend, {}), result, backend))
        return tuple(found)


def make_baseline(
    bundle: str,
    measured_at: str,
    runs: Sequence[Run],
    results: Sequence[BenchmarkResult],
    networks: Mapping[str, NetworkFacts],
    evidence: Evidence,
) -> Baseline:
    """The baseline from one or more runs of a bundle alone, all under the same conditions."""
    evaluations = {name: facts.evaluations.own for name, facts in networks.items()}
    backends = dict.fromkeys(cell.key.backend for cell in results[0].job.cells)
    return Baseline(
        bundle=bundle,
        measured_at=measured_at,
        circumstances={backend: circumstances(results[0], backend) for backend in backends},
        entries=[_entry(subject, runs) for subject in runs[0].candidate],
        sizes={name: facts.size_bytes for name, facts in networks.items()},
        evaluations={name: each for name, each in evaluations.items() if each is not None},
        evidence=evidence,
    )


def _entry(subject: Subject, runs: Sequence[Run]) -> Entry:
    observed = {measure: [log_figure(run.candidate.get(subject), measure) for run in runs] for measure in MEASURES}
    figures = {measure: [v for v in values if v is not None] for measure, values in observed.items()}
    cells = [run.candidate[subject] for run in runs if subject in run.candidate]
    return Entry(
        network=subject.network,
        backend=subject.setting.backend,
        precision=subject.setting.precision,
        batch_size=subject.setting.batch_size,
        power_mode=subject.setting.power_mode,
        log_figures={measure: values for measure, values in figures.items() if values},
        natural=accuracy_of(cells, "natural", max),
        robust=accuracy_of(cells, "robust", max),
    )


def load_baseline(path: Path) -> Baseline:
    """The baseline stored at ``path``; raises as :func:`gdws.gate.documents.load`."""
    return load(Baseline, path, hint="measure it again: gdws baseline")
