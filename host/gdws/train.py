"""Adversarial training (Madry et al., 2018), with a validation split to choose by.

Two habits make a run repeatable and resumable. Every random draw has a seed of its own, derived from
the run's seed and the epoch; and the learning rate is a function of the step. So a run that was killed
and resumed ends with the weights of an unbroken one.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the customary name)

from gdws import checkpoints, nets
from gdws.attacks import AttackSpec
from gdws.attacks.pgd import pgd
from gdws.datasets import Dataset, Split, check_images
from gdws.errors import CheckpointUnreadable, DataError, GdwsError, ModelError
from gdws.evaluate import evaluate, predict
from gdws.files import write_atomic
from gdws.modes import evaluation_mode
from gdws.progress import SILENT, Progress
from gdws.seeds import derive_seed

SCHEDULES = ("one-cycle", "piecewise")
OPTIMIZERS = ("sgd", "adam")
STATE_VERSION = 1


@dataclass(frozen=True)
class TrainSettings:
    """What determines the trained weights, apart from the data.

    ``eps`` is the attack's l_inf radius in pixel units, 0 for natural training. Its step is
    2.5 * eps / iterations (Madry et al., section 5), for training and validation alike.
    ``learning_rate`` is the highest of the schedule; ``shift`` the largest random shift in pixels.
    """

    net: str
    net_options: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 16
    batch_size: int = 64
    eps: float = 0.2
    iterations: int = 5
    validation_iterations: int = 10
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "one-cycle"
    shift: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "iterations", "validation_iterations"):
            _require(getattr(self, name) >= 1, self, name, "at least 1")
        for name in ("shift", "weight_decay"):
            _require(getattr(self, name) >= 0, self, name, "at least 0")
        _require(0 < self.learning_rate < math.inf, self, "learning_rate", "greater than 0")
        _require(0 <= self.momentum < 1, self, "momentum", "in [0, 1)")
        _require(self.optimizer in OPTIMIZERS, self, "optimizer", f"one of {', '.join(OPTIMIZERS)}")
        _require(self.schedule in SCHEDULES, self, "schedule", f"one of {', '.join(SCHEDULES)}")
        self.attack(seed=self.seed)  # checks eps

    def attack(self, *, seed: int) -> AttackSpec:
        """The attack that makes the training images."""
        return self._pgd(self.iterations, seed)

    @property
    def validation_attack(self) -> AttackSpec:
        """The attack that chooses the best epoch."""
        return self._pgd(self.validation_iterations, self.seed)

    def _pgd(self, iterations: int, seed: int) -> AttackSpec:
        step = 2.5 * self.eps / iterations if self.eps > 0 else 1.0  # at eps 0 there is no step
        return AttackSpec(eps=self.eps, step=step, iterations=iterations, seed=seed)

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, ready for JSON."""
        return {**dataclasses.asdict(self), "net_options": dict(self.net_options)}


@dataclass(frozen=True)
class EpochRecord:
    """One epoch, counted from 1: mean adversarial ``loss``, then accuracies on the validation split."""

    epoch: int
    loss: float
    natural: float
    robust: float


@dataclass(frozen=True)
class TrainResult:
    """``best`` is the epoch whose weights are in ``path``; ``history`` has every epoch."""

    path: Path
    best: EpochRecord
    history: tuple[EpochRecord, ...]


def train(
    settings: TrainSettings,
    data: Dataset,
    out: str | Path,
    *,
    resume: bool = False,
    device: str | torch.device = "cpu",
    command: str | None = None,
    progress: Progress = SILENT,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> TrainResult:
    """Train a network and write the weights of its best epoch to ``out`` as safetensors.

    The best epoch has the highest robust, then natural accuracy on the validation split; of equals the
    latest. The test split is not looked at. ``out`` is written whenever an epoch is the best so far, and
    the state of the run (:func:`state_path`) after every epoch; the state is removed at the end. After an
    interruption ``resume=True`` goes on from there. ``command`` goes into the metadata of ``out``, and
    ``on_epoch`` is called after each epoch, when its state is stored.

    Raises :class:`GdwsError` if ``out`` cannot be written, or an unfinished run is in the way, or differs in
    its settings from the one to resume; :class:`DataError` if the data do not suit the network;
    :class:`ModelError` if the loss diverges; :class:`OSError` if the disk is full.
    """
    out = Path(out)
    _require_writable(out)
    run = _Run.start(settings, data, torch.device(device))
    state = state_path(out)
    if state.exists():
        if not resume:
            raise GdwsError(
                f"{state} is an unfinished run",
                hint="resume it, or remove the file to start from the beginning",
            )
        run.restore(state)
    steps = _steps_per_epoch(settings, data.train)
    progress.start(settings.epochs * steps, f"training {settings.net}")
    progress.advance(run.epoch * steps)
    while run.epoch < settings.epochs:
        record = run.train_epoch(progress)
        if record is run.best:
            checkpoints.save(out, run.best_weights, _metadata(run, command))
        write_atomic(state, run.state())
        if on_epoch is not None:
            on_epoch(record)
    assert run.best is not None
    checkpoints.save(out, run.best_weights, _metadata(run, command))
    state.unlink(missing_ok=True)
    return TrainResult(out, run.best, tuple(run.history))


def state_path(out: str | Path) -> Path:
    """Where a run that writes to ``out`` keeps its state: beside it, with ``.state.pt`` added."""
    out = Path(out)
    return out.with_name(f"{out.name}.state.pt")


def learning_rate(settings: TrainSettings, step: int, total: int) -> float:
    """The rate at ``step`` of ``total``, counted from 0.

    ``one-cycle`` rises linearly over the first fifth and falls to 0 as a cosine (after Smith, 2018,
    arXiv:1803.09820). ``piecewise`` divides by 10 at one half and at three quarters (Rice et al., 2020).
    """
    done = (step + 1) / (total + 1)
    if settings.schedule == "piecewise":
        return settings.learning_rate * (1.0 if done < 0.5 else 0.1 if done < 0.75 else 0.01)
    if done < 0.2:
        return settings.learning_rate * done / 0.2
    return settings.learning_rate * (1 + math.cos(math.pi * (done - 0.2) / 0.8)) / 2


def shift_images(images: torch.Tensor, most: int, generator: torch.Generator) -> torch.Tensor:
    """Shift each image (N, C, H, W) by up to ``most`` pixels each way, drawn uniformly; the border is 0."""
    if most == 0:
        return images
    count, channels, height, width = images.shape
    padded = F.pad(images, (most, most, most, most))
    down, right = torch.randint(0, 2 * most + 1, (2, count, 1), generator=generator)
    rows = (down + torch.arange(height)).to(images.device)
    columns = (right + torch.arange(width)).to(images.device)
    image = torch.arange(count, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[None, :, None, None]
    return padded[image, channel, rows[:, None, :, None], columns[:, None, None, :]]


@dataclass
class _Run:
    """A training run between two epochs; ``epoch`` counts the finished ones."""

    settings: TrainSettings
    data: Dataset
    device: torch.device
    model: nn.Module
    optimizer: torch.optim.Optimizer
    history: list[EpochRecord] = field(default_factory=list)
    best: EpochRecord | None = None
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)

    @classmethod
    def start(cls, settings: TrainSettings, data: Dataset, device: torch.device) -> _Run:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(settings.seed, "weights"))
            model = nets.build(settings.net, **settings.net_options)
        model = model.to(device).to(memory_format=torch.channels_last)  # convolves faster on every device
        _require_suitable(settings, model, data, device)
        return cls(settings, data, device, model, _optimizer(settings, model))

    @property
    def epoch(self) -> int:
        return len(self.history)

    def train_epoch(self, progress: Progress) -> EpochRecord:
        """Train for one epoch, judge the result on the validation split, and note it."""
        loss = self._descend(progress)
        validation = evaluate(
            self.model,
            self.data.validation.images,
            self.data.validation.labels,
            self.settings.validation_attack,
        )
        assert validation.robust is not None
        record = EpochRecord(self.epoch + 1, loss, validation.natural.value, validation.robust.value)
        if self.best is None or (record.robust, record.natural) >= (self.best.robust, self.best.natural):
            self.best = record
            self.best_weights = {key: tensor.clone() for key, tensor in self.model.state_dict().items()}
        self.history.append(record)
        progress.advance(0, epoch=record.epoch, loss=loss, natural=record.natural, robust=record.robust)
        return record

    def _descend(self, progress: Progress) -> float:
        """One pass over the training split; returns the mean loss."""
        settings, split = self.settings, self.data.train
        steps = _steps_per_epoch(settings, split)
        generator = torch.Generator().manual_seed(derive_seed(settings.seed, "epoch", self.epoch))
        order = torch.randperm(len(split), generator=generator)
        losses = 0.0
        with torch.random.fork_rng():
            torch.manual_seed(derive_seed(settings.seed, "dropout", self.epoch))
            for step in range(steps):
                rows = order[step * settings.batch_size : (step + 1) * settings.batch_size]
                images = shift_images(split.images[rows], settings.shift, generator).to(self.device)
                labels = split.labels[rows].to(self.device)
                attack = settings.attack(seed=derive_seed(settings.seed, "attack", self.epoch, step))
                with evaluation_mode(self.model):  # BN statistics follow one pass a batch, not six
                    images = pgd(self.model, images, labels, attack)
                done = self.epoch * steps + step
                for group in self.optimizer.param_groups:
                    group["lr"] = learning_rate(settings, done, settings.epochs * steps)
                losses += self._step(images, labels)
                if not math.isfinite(losses):
                    raise ModelError(
                        f"training diverged in epoch {self.epoch + 1}: the loss is not finite",
                        hint="lower the learning rate",
                    )
                progress.advance(1, epoch=self.epoch + 1, loss=losses / (step + 1))
        return losses / steps

    def _step(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        self.model.train()
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(images), labels)
        torch.autograd.backward(loss)
        self.optimizer.step()
        return loss.item()

    def state(self) -> bytes:
        """Everything the next epoch depends on, as tensors and plain containers."""
        buffer = io.BytesIO()
        state = {
            "version": STATE_VERSION,
            "settings": json.dumps(self.settings.to_dict(), sort_keys=True),
            "data": self.data.name,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": [dataclasses.asdict(record) for record in self.history],
            "best_epoch": self.best.epoch if self.best else None,
            "best_weights": self.best_weights,
        }
        torch.save(state, buffer)
        return buffer.getvalue()

    def restore(self, path: Path) -> None:
        """The inverse of :meth:`state`, for a run of the same settings."""
        state = checkpoints.read_torch(path)
        try:
            known = state["version"] == STATE_VERSION
            stored = {**json.loads(state["settings"]), "data": state["data"]}
        except (TypeError, KeyError, IndexError, ValueError):
            known = False
        if not known:
            raise CheckpointUnreadable(f"{path} is not the state of a training run", path=str(path))
        _require_same(stored, self, path)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.history = [EpochRecord(**record) for record in state["history"]]
        self.best = self.history[state["best_epoch"] - 1]
        self.best_weights = state["best_weights"]


def _require_writable(out: Path) -> None:
    """To be told after the first epoch would be late."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.is_dir() or not os.access(out.parent, os.W_OK):
        raise GdwsError(f"{out} cannot be written", hint="name a file in a folder that you may write to")


def _require(holds: bool, settings: TrainSettings, name: str, rule: str) -> None:
    if not holds:
        raise GdwsError(f"{name} is {getattr(settings, name)!r}", hint=f"it must be {rule}")


def _steps_per_epoch(settings: TrainSettings, split: Split) -> int:
    """Whole batches only, for a short one would give BN a poor sample; one if there is no whole batch."""
    return max(1, len(split) // settings.batch_size)


def _optimizer(settings: TrainSettings, model: nn.Module) -> torch.optim.Optimizer:
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=rate, weight_decay=decay)
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=settings.momentum, weight_decay=decay)


def _require_suitable(settings: TrainSettings, model: nn.Module, data: Dataset, device: torch.device) -> None:
    for split in (data.train, data.validation):
        check_images(split.images, split.labels)
    channels, *_ = nets.info(settings.net).input_shape
    if data.train.images.shape[1] != channels:
        raise DataError(f"{settings.net} takes {channels} channels, {data.name} has {data.train.images.shape[1]}")
    probe = data.validation.first(1).images.to(device)
    with evaluation_mode(model):
        predict(model, probe, torch.tensor([data.classes - 1], device=device))


def _require_same(stored: Mapping[str, Any], run: _Run, path: Path) -> None:
    asked = {**run.settings.to_dict(), "data": run.data.name}
    different = [
        f"{name} was {stored.get(name)!r}, is {asked.get(name)!r}"
        for name in sorted({*stored, *asked})
        if stored.get(name) != asked.get(name)
    ]
    if different:
        raise GdwsError(
            f"{path} is the state of another run: {'; '.join(different)}",
            hint="resume with the same settings, or remove the file to start from the beginning",
        )


def _metadata(run: _Run, command: str | None) -> dict[str, str]:
    assert run.best is not None
    fields = {
        "net": run.settings.net,
        "net_options": json.dumps(dict(run.settings.net_options)),
        "data": run.data.name,
        "training": json.dumps(run.settings.to_dict()),
        "validation": json.dumps({**dataclasses.asdict(run.best), "attack": run.settings.validation_attack.to_dict()}),
        "torch_version": torch.__version__,
    }
    return fields if command is None else {**fields, "command": command}
