"""One epoch of adversarial training (Madry et al., 2018), on one process or shared by several."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the customary name)
from torch.nn.modules.batchnorm import _BatchNorm

from gdws._util.distributed import Workers
from gdws._util.modes import evaluation_mode
from gdws._util.progress import Progress
from gdws._util.seeds import derive_seed
from gdws.datasets import Split
from gdws.errors import DataError, ModelError
from gdws.evaluation.attacks.pgd import pgd
from gdws.training.augmentation import flip_images, shift_images
from gdws.training.schedule import learning_rate
from gdws.training.settings import DescentSettings


@dataclass(eq=False)
class Descent:
    """A network in training, with its optimiser.

    ``target`` gives, for the network as it is, one of the same function, which is attacked in its place.
    ``after_step`` is called with the network after each step, to hold it to a constraint. ``fixed_statistics`` leaves
    the statistics of batch normalisation alone.
    """

    model: nn.Module
    settings: DescentSettings
    images: Split
    workers: Workers = field(default_factory=Workers)
    target: Callable[[nn.Module], nn.Module] = lambda model: model
    after_step: Callable[[nn.Module], None] = lambda model: None
    fixed_statistics: bool = False

    def __post_init__(self) -> None:
        self.model = self.workers.shared_statistics(self.model.to(self.workers.device))
        self.optimizer = _optimizer(self.settings, self.model)
        batch = min(self.settings.batch_size, len(self.images))
        if batch % self.workers.size:
            raise DataError(
                f"batches of {batch} images cannot be shared equally by {self.workers.size} processes",
                hint="choose a batch size that the number of processes divides, and no larger than the training split",
            )

    @property
    def precision(self) -> str:
        """The precision of forward and backward passes: ``fp32`` or ``bf16``."""
        if self.settings.precision != "auto":
            return self.settings.precision
        return "bf16" if self.workers.device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"

    @property
    def steps(self) -> int:
        """The steps of an epoch. Whole batches only, since a short one is a poor sample for BN; at least one."""
        return max(1, len(self.images) // self.settings.batch_size)

    @cached_property
    def _parallel(self) -> nn.Module:
        return self.workers.parallel(self.model)

    def epoch(self, index: int, progress: Progress) -> float:
        """One pass over the images, the ``index``-th from 0; returns the mean adversarial loss.

        Every random draw has a seed of its own, derived from the run's seed and ``index``, and does not depend on the
        number of processes. Raises :class:`ModelError` if the loss diverges.
        """
        settings, device = self.settings, self.workers.device
        generator = torch.Generator().manual_seed(derive_seed(settings.seed, "epoch", index))
        order = torch.randperm(len(self.images), generator=generator)
        losses = 0.0
        with torch.random.fork_rng():
            torch.manual_seed(derive_seed(settings.seed, "dropout", index) + self.workers.rank)
            for step in range(self.steps):
                rows = order[step * settings.batch_size : (step + 1) * settings.batch_size]
                images = shift_images(self.images.by_row[rows], settings.shift, generator)
                if settings.flip:
                    images = flip_images(images, generator)
                share = self.workers.share(torch.arange(len(rows)))
                x, y = images[share].to(device), self.images.labels[rows[share]].to(device)
                done = index * self.steps + step
                for group in self.optimizer.param_groups:
                    group["lr"] = learning_rate(settings, done, settings.epochs * self.steps)
                with torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                    x = self._attack(x, y, share, derive_seed(settings.seed, "attack", index, step))
                    loss = self._loss(x, y)
                losses += self._step(loss)
                if not math.isfinite(losses):
                    raise ModelError(
                        f"training diverged in epoch {index + 1}: the loss is not finite",
                        hint="lower the learning rate",
                    )
                progress.advance(1, epoch=index + 1, loss=losses / (step + 1))
        self.workers.synchronise(self.model)
        return losses / self.steps

    def _attack(self, x: torch.Tensor, y: torch.Tensor, positions: torch.Tensor, seed: int) -> torch.Tensor:
        target = self.target(self.model)
        with evaluation_mode(target):  # BN statistics follow one pass a batch, not six
            return pgd(target, x, y, self.settings.attack(seed=seed), indices=positions)

    def _loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        self._parallel.train()
        if self.fixed_statistics:
            for module in self.model.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return F.cross_entropy(self._parallel(x), y)

    def _step(self, loss: torch.Tensor) -> float:
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.after_step(self.model)
        return self.workers.mean(loss.item())


def _optimizer(settings: DescentSettings, model: nn.Module) -> torch.optim.Optimizer:
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=rate, weight_decay=decay)
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=settings.momentum, weight_decay=decay)
