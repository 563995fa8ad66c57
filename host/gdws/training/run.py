"""A run of epochs, of which the best is kept; a resumed run gives the same result as an uninterrupted one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from gdws._util import files
from gdws._util.progress import SILENT, Progress
from gdws.datasets import Split
from gdws.errors import GdwsError
from gdws.evaluation.evaluate import evaluate
from gdws.training import states
from gdws.training.descent import Descent

#: Noise of validation and of large rates takes less of the robust accuracy than this leaves.
_COLLAPSED = 0.75


@dataclass(frozen=True)
class EpochRecord:
    """One epoch, counted from 1: mean adversarial ``loss``, then accuracies on the validation split.

    Epoch 0 is the network that a fine-tuning starts from; it has no loss. ``robust`` is None in natural training.
    """

    epoch: int
    loss: float | None
    natural: float
    robust: float | None

    @property
    def rank(self) -> tuple[float, float]:
        """What epochs are compared by: robust, then natural accuracy; in natural training natural accuracy alone."""
        return (self.natural if self.robust is None else self.robust, self.natural)

    def has_overfitted_since(self, earlier: EpochRecord) -> bool:
        """Whether robust accuracy collapsed since ``earlier`` and natural accuracy did not.

        That is catastrophic overfitting (Wong et al., 2020, arXiv:2001.03994): the network resists the few steps of the
        attack in training, and not the more of validation.
        """
        if self.robust is None or earlier.robust is None:
            return False
        return self.robust < _COLLAPSED * earlier.robust and self.natural >= earlier.natural


@dataclass(eq=False)
class Run:
    """The state of a training run between two epochs.

    ``identity`` has what an interrupted run and the one that resumes it must have in common, as JSON values by name.
    ``start`` is the record of the network before the first epoch, if it may be kept as the best.
    """

    descent: Descent
    validation: Split
    identity: Mapping[str, Any]
    start: EpochRecord | None = None
    history: list[EpochRecord] = field(default_factory=list)
    best: EpochRecord | None = None
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        """The number of finished epochs."""
        return len(self.history)

    def judge_start(self) -> EpochRecord:
        """Evaluate the initial network, which an epoch must improve on to be kept."""
        self.start = self._judge(epoch=0, loss=None)
        self._keep(self.start)
        return self.start

    def train_epoch(self, progress: Progress) -> EpochRecord:
        """Train for one epoch, evaluate the result on the validation split, and record it."""
        record = self._judge(self.epoch + 1, self.descent.epoch(self.epoch, progress))
        if self._is_best(record):
            self._keep(record)
        self.history.append(record)
        figures = {"loss": record.loss, "natural": record.natural, "robust": record.robust}
        known = {name: value for name, value in figures.items() if value is not None}
        progress.advance(0, epoch=record.epoch, **known)
        return record

    def _judge(self, epoch: int, loss: float | None) -> EpochRecord:
        """The processes share the images, and each gets the whole result."""
        descent, settings = self.descent, self.descent.settings
        images, attack = self.validation, settings.validation_attack
        if settings.validation_images is not None:
            images = images.first(settings.validation_images)
        target = descent.target(descent.model)
        found = evaluate(target, images.by_row, images.labels, attack, check=False, workers=descent.workers)
        return EpochRecord(epoch, loss, found.natural.value, None if found.robust is None else found.robust.value)

    def _is_best(self, record: EpochRecord) -> bool:
        """Of equal epochs the latest is the best, but the start is replaced only by a better one."""
        if self.best is None:
            return True
        return record.rank > self.best.rank or (record.rank == self.best.rank and self.best.epoch > 0)

    def _keep(self, record: EpochRecord) -> None:
        self.best = record
        self.best_weights = {key: tensor.clone() for key, tensor in self.descent.model.state_dict().items()}

    def best_as_json(self) -> str:
        """The record of the best epoch with the attack that judged it, as files of weights tell it."""
        assert self.best is not None
        attack = self.descent.settings.validation_attack
        told = {"attack": None if attack is None else attack.to_dict()}
        return json.dumps({**dataclasses.asdict(self.best), **told})

    def store(self, path: Path) -> None:
        """Write everything that the next epoch depends on to ``path``."""
        content = {
            "model": self.descent.model.state_dict(),
            "optimizer": self.descent.optimizer.state_dict(),
            "start": None if self.start is None else dataclasses.asdict(self.start),
            "history": [dataclasses.asdict(record) for record in self.history],
            "best_epoch": self.best.epoch if self.best else None,
            "best_weights": self.best_weights,
        }
        states.write(path, self.identity, content)

    def restore(self, path: Path) -> None:
        """The inverse of :meth:`store`, for a run of the same identity. Raises what :func:`states.read` raises."""
        state = states.read(path, self.identity)
        self.descent.model.load_state_dict(state["model"])
        self.descent.optimizer.load_state_dict(state["optimizer"])
        self.start = None if state["start"] is None else EpochRecord(**state["start"])
        self.history = [EpochRecord(**record) for record in state["history"]]
        self.best = self.start if state["best_epoch"] == 0 else self.history[state["best_epoch"] - 1]
        self.best_weights = state["best_weights"]


def follow(
    run: Run,
    out: Path | None,
    save: Callable[[], None],
    *,
    resume: bool = False,
    progress: Progress = SILENT,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> None:
    """Complete ``run``, resuming from the state next to ``out`` if there is one and ``resume`` is set.

    ``save`` writes the best weights, and is called whenever an epoch is the best so far and at the end. The state is
    stored after every epoch and removed at the end; without ``out`` nothing is stored. Only the leading process writes.
    Raises :class:`GdwsError` if an unfinished run is in the way or is another.
    """
    workers, settings = run.descent.workers, run.descent.settings
    state = None if out is None else state_path(out)
    # All look before any writes; the state is on a disk that they share.
    if state is not None and workers.agree(state.exists()):
        if not resume:
            raise GdwsError(
                f"{state} is an unfinished run", hint="resume it, or remove the file to start from the beginning"
            )
        run.restore(state)
    progress.start(settings.epochs * run.descent.steps, str(run.identity["what"]))
    progress.advance(run.epoch * run.descent.steps)
    while run.epoch < settings.epochs:
        record = run.train_epoch(progress)
        if state is not None and workers.leads:
            if record is run.best:
                save()
            run.store(state)
        if on_epoch is not None:
            on_epoch(record)
    if state is not None and workers.leads:
        save()
        state.unlink(missing_ok=True)


def state_path(out: str | Path) -> Path:
    """The file for the state of a run that writes to ``out``: the same path with ``.state.pt`` appended."""
    out = Path(out)
    return out.with_name(f"{out.name}.state.pt")


def require_writable(out: Path) -> None:
    """Raise :class:`GdwsError` now rather than after the first epoch."""
    try:
        files.require_writable(out)
    except OSError as error:
        hint = "name a file in a folder that you may write to"
        raise GdwsError(f"{out} cannot be written: {error.strerror}", hint=hint) from error
