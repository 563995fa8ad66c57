"""Adversarial training from fresh weights or a trained network's (Madry et al., 2018; Rice et al., 2020)."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gdws._util.distributed import Workers
from gdws._util.modes import evaluation_mode
from gdws._util.progress import SILENT, Progress
from gdws._util.seeds import derive_seed
from gdws.datasets import Dataset, check_images, require_images
from gdws.errors import DataError, GdwsError
from gdws.evaluation import tally
from gdws.evaluation.evaluate import predict
from gdws.networks import checkpoints, converted
from gdws.networks import zoo as nets
from gdws.networks.sources import Source
from gdws.training.descent import Descent
from gdws.training.pruning import prune
from gdws.training.run import EpochRecord, Run, follow, require_writable
from gdws.training.settings import TrainSettings


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
    source: Source | None = None,
    resume: bool = False,
    device: str | torch.device = "cpu",
    workers: Workers | None = None,
    command: str | None = None,
    progress: Progress = SILENT,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> TrainResult:
    """Train a network and write the weights of its best epoch to ``out`` as safetensors.

    The network is ``settings.net`` of the zoo with fresh weights, or a copy of ``source``, from its weights on, pruned
    first if ``settings.pruning`` says so.
    The best epoch has the highest robust, then natural accuracy on the validation split; of equals the
    latest. The test split is not looked at. ``out`` is written whenever an epoch is the best so far, and
    the state of the run (:func:`gdws.training.state_path`) after every epoch; the state is removed at the end. After
    an interruption ``resume=True`` resumes from there. ``command`` goes into the metadata of ``out``, and
    ``on_epoch`` is called after each epoch, when its state is stored.

    ``workers`` are processes that share each batch (:func:`gdws._util.distributed.launched`); with them ``device`` is
    theirs. They give what one process gives, up to rounding, but for batch normalisation on CPUs
    (:meth:`gdws._util.distributed.Workers.shared_statistics`) and dropout.

    Raises :class:`GdwsError` if ``out`` cannot be written, or an unfinished run is in the way, or differs in
    its settings from the one to resume; :class:`DataError` if the data do not suit the network;
    :class:`ModelError` if the loss diverges; :class:`OSError` if the disk is full.
    """
    out = Path(out)
    require_writable(out)
    if settings.pruning is not None and source is None:
        raise GdwsError("fresh weights cannot be pruned", hint="name the file of a trained network")
    workers = workers or Workers(device=torch.device(device))
    identity: dict[str, Any] = {} if source is None else {"start": tally.digest_of_network(source.module)}
    source = source or fresh(settings)
    model = copy.deepcopy(source.module).requires_grad_(True).to(workers.device)
    model = model.to(memory_format=torch.channels_last)  # convolves faster on every device
    _require_suitable(source, model, data)
    after_step = _nothing if settings.pruning is None else prune(model, settings.pruning)
    descent = Descent(model, settings, data.train, workers, after_step=after_step)
    identity |= {**settings.to_dict(), "precision": descent.precision, "data": data.name}
    run = Run(descent, data.validation, {**identity, "what": f"training {settings.net}"})

    def save() -> None:
        checkpoints.save(out, run.best_weights, _metadata(run, settings, source, data, command))

    follow(run, out, save, resume=resume, progress=progress, on_epoch=on_epoch)
    assert run.best is not None
    return TrainResult(out, run.best, tuple(run.history))


def fresh(settings: TrainSettings) -> Source:
    """The network of the zoo named in ``settings``, initialised with their seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(settings.seed, "weights"))
        model = nets.build(settings.net, **settings.net_options)
    shape = nets.input_shape(settings.net, **settings.net_options)
    provenance = {"net": settings.net, "net_options": dict(settings.net_options)}
    return Source(settings.net, model, shape, provenance)


def _nothing(model: nn.Module) -> None:
    """What is done after a step of a network without constraints."""


def _require_suitable(source: Source, model: nn.Module, data: Dataset) -> None:
    for split in (data.train, data.validation):
        split.require_any()
        require_images(split.by_row, "training")
        check_images(split.by_row, split.labels)
    channels = source.input_shape[0]
    if data.train.by_row.shape[1] != channels:
        raise DataError(f"{source.name} takes {channels} channels, {data.name} has {data.train.by_row.shape[1]}")
    device = next(model.parameters()).device
    probe = data.validation.first(1).images.to(device)
    with evaluation_mode(model):
        predict(model, probe, torch.tensor([data.classes - 1], device=device))


def _metadata(run: Run, settings: TrainSettings, source: Source, data: Dataset, command: str | None) -> dict[str, str]:
    fields = {
        **converted.as_text(source.provenance),
        "data": data.name,
        "training": json.dumps(settings.to_dict()),
        "precision": run.descent.precision,
        "processes": str(run.descent.workers.size),
        "validation": run.best_as_json(),
        "torch_version": torch.__version__,
    }
    return fields if command is None else {**fields, "command": command}
