"""All findings from one result: verdicts, and each network and each cell relative to the baseline.

It is computed when it is asked for, never stored, so that old results are judged by the rules of today.
"""

from __future__ import annotations

from typing import Optional, Tuple

from pydantic import Field

from gdws_contract.base import Name, Reading
from gdws_contract.manifest import Manifest
from gdws_contract.rest import Cell, Job

from .attacks import AttackFindings, attack_headline, attacks_of
from .cells import CellFindings, fps_range, speed_of, why_missing, why_untimed
from .networks import NetworkFindings, networks_of
from .price import TOLERANCE_POINTS, Judged
from .setting import Setting, settings_of, variants_of
from .verdict import Verdict, judge


class Findings(Reading):
    """What one result shows. Settings run by power mode, backend and precision, batches rising."""

    headline: str = Field(description="The verdict of the first setting, in a sentence.")
    verdicts: Tuple[Verdict, ...] = Field(description="One for each setting; empty where no network was to be timed.")
    baseline: Optional[Name] = Field(description="What the others are compared with; null: not known.")
    networks: Tuple[NetworkFindings, ...] = Field(description="In the bundle's order; empty where it is gone.")
    cells: Tuple[CellFindings, ...] = Field(description="Setting by setting, those not measured included.")
    tolerance_points: float = Field(description="The fall in accuracy up to which a network counts as keeping it.")
    is_simulated: bool = Field(description="Figures are of a simulated device, and describe no hardware.")
    is_profile: bool = Field(description="Layers were timed instead of whole networks.")
    is_attack: bool = Field(False, description="Engines were attacked instead of being timed.")
    attacks: Tuple[AttackFindings, ...] = Field((), description="One for each cell that was attacked.")

    @property
    def is_timed(self) -> bool:
        """Whether the result is of whole networks that were to be timed."""
        return not (self.is_profile or self.is_attack)


class JobResult(Job):
    """A job with its cells and, where that was asked for, what they show."""

    verdicts: Optional[Tuple[Verdict, ...]] = Field(None, description="One for each setting; null: not asked for.")


def findings_of(job: Job, manifest: Optional[Manifest], *, is_simulated: bool, partial: bool = False) -> Findings:
    """What ``job`` shows.

    ``manifest`` is that of its bundle, None if that is gone. ``is_simulated`` says so of the device; ``partial`` says
    that the client stopped before the job ended.
    """
    read = _Reader(job, manifest, partial)
    simulated = is_simulated or any(cell.simulated for cell in job.cells)
    is_profile = any(cell.profile for cell in job.cells) and all(cell.latency is None for cell in job.cells)
    is_attack = job.request.attack is not None or any(cell.attack for cell in job.cells)
    verdicts = () if is_profile or is_attack else tuple(map(read.verdict, read.settings))
    attacks = attacks_of(job.cells, manifest, read.settings)
    attacked = attack_headline(job.cells, attacks, read.settings) if is_attack else None
    return Findings(
        headline=_headline(verdicts, is_simulated=simulated, is_profile=is_profile, attacked=attacked),
        verdicts=verdicts,
        baseline=read.baseline,
        networks=tuple(read.networks.values()),
        cells=tuple(read.cell(setting, name) for setting in read.settings for name in read.names),
        tolerance_points=TOLERANCE_POINTS,
        is_simulated=simulated,
        is_profile=is_profile,
        is_attack=is_attack,
        attacks=attacks,
    )


class _Reader:
    """One result, looked up by setting and by name."""

    def __init__(self, job: Job, manifest: Optional[Manifest], partial: bool) -> None:
        self._job = job
        self._manifest = manifest
        self._partial = partial
        self._cells = {cell.key: cell for cell in job.cells}
        self.settings = settings_of(job)
        self.names = variants_of(job, manifest)
        self.networks = {} if manifest is None else {each.name: each for each in networks_of(manifest)}
        self.baseline = manifest.baseline if manifest is not None else _baseline_of(job)

    def cell(self, setting: Setting, name: str) -> CellFindings:
        """The findings on one cell."""
        cell, baseline = self._at(setting, name), self._at(setting, self.baseline)
        low, high = (None, None) if cell is None else fps_range(cell)
        flags = [flag for each in (cell, baseline) if each is not None for flag in each.flags]
        return CellFindings(
            key=setting.cell(name),
            speed=None if name == self.baseline else speed_of(cell.speedup if cell else None, flags),
            reason=self._reason(cell),
            fps_low=low,
            fps_high=high,
        )

    def verdict(self, setting: Setting) -> Verdict:
        """The verdict on one setting."""
        judged = [self._judged(setting, name) for name in self.names]
        own = next((each for each in judged if each.variant == self.baseline), None)
        return judge(setting, self.settings, own, [each for each in judged if each is not own])

    def _at(self, setting: Setting, name: Optional[str]) -> Optional[Cell]:
        return None if name is None else self._cells.get(setting.cell(name))

    def _judged(self, setting: Setting, name: str) -> Judged:
        cell = self._at(setting, name)
        evaluation = None if self._manifest is None else self._manifest.variant(name).evaluation
        return Judged(name, cell, self._reason(cell), evaluation, self.networks.get(name))

    def _reason(self, cell: Optional[Cell]) -> Optional[str]:
        return why_missing(self._job, partial=self._partial) if cell is None else why_untimed(cell)


def _baseline_of(job: Job) -> Optional[str]:
    """The network that speed-ups are against, as the cells name it; None if there are none."""
    return next((cell.speedup.baseline for cell in job.cells if cell.speedup is not None), None)


def _headline(verdicts: Tuple[Verdict, ...], *, is_simulated: bool, is_profile: bool, attacked: Optional[str]) -> str:
    """The verdict of the first setting, or the attack's result, preceded by a note if the device is simulated."""
    if not verdicts and not is_profile and attacked is None:
        return "Nothing was measured, so there is no verdict."
    prefix = "On a simulated device, whose times and power describe no hardware: " if is_simulated else ""
    if is_profile:
        return f"{prefix}Only single layers were timed, not whole networks, so there is no verdict on speed."
    return prefix + (verdicts[0].sentence if attacked is None else attacked)
