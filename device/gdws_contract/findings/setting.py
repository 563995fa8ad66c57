"""Settings: what compared cells have in common, and the order of presentation."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Hashable, Iterable, List, Optional, Tuple, TypeVar

from gdws_contract.manifest import Manifest
from gdws_contract.rest import CellKey, Job, PowerMode

_T = TypeVar("_T", bound=Hashable)


@dataclass(frozen=True)
class Setting:
    """What is equal among the cells that are compared."""

    backend: str
    precision: str
    batch_size: int
    power_mode: Optional[PowerMode] = None

    def cell(self, variant: str) -> CellKey:
        """The key of ``variant``'s cell."""
        return CellKey(
            variant=variant,
            backend=self.backend,
            precision=self.precision,
            batch_size=self.batch_size,
            power_mode=self.power_mode,
        )

    @property
    def mode(self) -> Optional[str]:
        """The power mode that was asked for: its name, or its number in words."""
        return f"power mode {self.power_mode}" if isinstance(self.power_mode, int) else self.power_mode

    @property
    def words(self) -> Tuple[str, ...]:
        """Batch size, backend and precision, and the power mode where one was asked for."""
        words = (f"batch {self.batch_size}", self.backend, self.precision)
        return words if self.mode is None else (*words, self.mode)

    def among(self, settings: Iterable[Setting]) -> str:
        """``at batch 1``, with power mode, backend and precision where ``settings`` have several."""
        others = list(settings)
        words = [f"at batch {self.batch_size}"]
        if len({each.power_mode for each in others}) > 1:
            words.append(f"in {self.mode or 'the power mode as found'}")
        if len({each.backend for each in others}) > 1:
            words.append(f"on {self.backend}")
        if len({each.precision for each in others}) > 1:
            words.append(f"in {self.precision}")
        return " ".join(words)


def settings_of(job: Job) -> Tuple[Setting, ...]:
    """The settings of the cells and those asked for: modes, backends and precisions as asked, batches rising."""
    cells = [cell.key for cell in job.cells]
    asked_modes: List[Optional[PowerMode]] = [None] if job.request.power_modes is None else [*job.request.power_modes]
    modes = distinct([*asked_modes, *(key.power_mode for key in cells)])
    backends = distinct([*(job.request.backends or []), *(key.backend for key in cells)])
    precisions = distinct([*job.request.precisions, *(key.precision for key in cells)])
    batches = sorted({*job.request.batch_sizes, *(key.batch_size for key in cells)})
    return tuple(Setting(b, p, n, mode) for mode, b, p, n in product(modes, backends, precisions, batches))


def variants_of(job: Job, manifest: Optional[Manifest]) -> Tuple[str, ...]:
    """The variants asked for or measured, in the bundle's order; without its manifest, as asked and measured."""
    measured = [cell.key.variant for cell in job.cells]
    if manifest is None:
        return distinct([*(job.request.variants or []), *measured])
    names = [variant.name for variant in manifest.variants]
    if job.request.variants is None:
        return tuple(names)
    wanted = {*job.request.variants, *measured}
    return tuple(name for name in names if name in wanted)


def distinct(values: Iterable[_T]) -> Tuple[_T, ...]:
    """Each value once, in order of first appearance."""
    return tuple(dict.fromkeys(values))
