"""What a gate should have measured but did not: missing networks, and missing cells of a run. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from gdws.gate.figures import Run, Subject
from gdws.gate.settings import Measurement
from gdws.gate.verdicts import Verdict
from gdws_contract.findings import text
from gdws_contract.findings.setting import Setting
from gdws_contract.rest import PowerMode


@dataclass(frozen=True)
class Expected:
    """What every run must contain.

    ``networks`` are the measured networks of the candidate, ``paired`` those of them that the baseline has too.
    ``gone`` are in the baseline but not in the candidate, without being allowed to be missing. ``kept`` are the
    settings of ``networks`` in a baseline file, ``asked`` those that each run requests. Each engine replays ``images``
    images, and as many adversarial inputs, if any.
    """

    networks: Sequence[str] = ()
    paired: Collection[str] = ()
    gone: Sequence[str] = ()
    kept: Sequence[Subject] = ()
    asked: Measurement | None = None
    images: int | None = None


def coverage_verdicts(expected: Expected, runs: Sequence[Run]) -> list[Verdict]:
    """INCONCLUSIVE for each network, and for each network in a setting, that was not measured in every run."""
    found = [_inconclusive(name, "the baseline has this network and the candidate does not") for name in expected.gone]
    seen = _settings(runs)
    settings = dict.fromkeys([*_asked(expected.asked, seen), *seen, *(subject.setting for subject in expected.kept)])
    if not settings:
        return found + [_inconclusive(name, "no run measured it") for name in expected.networks]
    for subject in (Subject(name, setting) for name in expected.networks for setting in settings):
        absent = [number for number, run in enumerate(runs, start=1) if subject not in run.candidate]
        beside = [number for number, run in enumerate(runs, start=1) if subject not in run.baseline]
        if absent:
            found.append(_inconclusive(str(subject), f"it was not measured{_in_runs(absent, len(runs))}"))
        if beside and subject.network in expected.paired:
            found.append(_inconclusive(str(subject), f"the baseline was not measured{_in_runs(beside, len(runs))}"))
        replayed = [count for run in runs for count in _replayed(run, subject)]
        if expected.images is not None and any(count != expected.images for count in replayed):
            reason = f"{min(replayed)} to {max(replayed)} of {text.plural(expected.images, 'image')} were replayed"
            found.append(_inconclusive(str(subject), reason))
    return found


def _replayed(run: Run, subject: Subject) -> Iterator[int]:
    """The numbers of images that the engines of a subject replayed, natural and adversarial, on both sides."""
    for side in (run.candidate, run.baseline):
        parity = side[subject].parity if subject in side else None
        if parity is not None:
            accuracies = (parity.natural, parity.robust)
            yield from (each.count for each in accuracies if each is not None)


def _settings(runs: Iterable[Run]) -> dict[Setting, None]:
    """The settings of any network in any run: a job measures each of its networks in each of its settings."""
    return dict.fromkeys(subject.setting for run in runs for side in (run.candidate, run.baseline) for subject in side)


def _asked(measurement: Measurement | None, seen: Iterable[Setting]) -> list[Setting]:
    """The settings that a request asks for; if the device chooses the backend, those with the backends seen."""
    if measurement is None:
        return []
    backends = measurement.backends or dict.fromkeys(setting.backend for setting in seen)
    modes: Sequence[PowerMode | None] = measurement.power_modes or [None]
    combinations = product(backends, measurement.precisions, measurement.batch_sizes, modes)
    return [Setting(*each) for each in combinations]


def _in_runs(numbers: Sequence[int], count: int) -> str:
    if len(numbers) == count:
        return " in any run"
    return f" in {'run' if len(numbers) == 1 else 'runs'} {text.listed([str(number) for number in numbers])}"


def _inconclusive(subject: str, reason: str) -> Verdict:
    return Verdict("coverage", subject, "INCONCLUSIVE", f"{subject}: {reason}: INCONCLUSIVE.")
