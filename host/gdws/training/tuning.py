"""Fine-tunes a converted network by a few epochs of adversarial training, to recover accuracy."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gdws._util.distributed import Workers
from gdws._util.progress import SILENT, Progress
from gdws.compression.layers import GDWSConv2d, to_dense
from gdws.datasets import Dataset, check_images, require_images
from gdws.errors import ModelError
from gdws.evaluation.tally import digest_of_network
from gdws.networks import converted
from gdws.training.balancing import balance
from gdws.training.descent import Descent
from gdws.training.run import EpochRecord, Run, follow, require_writable
from gdws.training.settings import FinetuneSettings
from gdws_contract.plan import Plan


@dataclass(frozen=True, eq=False)
class FinetuneResult:
    """``network`` has the weights of epoch ``best``, which is ``start``, epoch 0, if no epoch was better.

    ``path`` is the file they are in, if one was asked for.
    """

    network: nn.Module
    start: EpochRecord
    best: EpochRecord
    history: tuple[EpochRecord, ...]
    path: Path | None

    @property
    def improved(self) -> bool:
        """Whether an epoch was better than the start."""
        return self.best.epoch > 0


def finetune(
    network: nn.Module,
    data: Dataset,
    settings: FinetuneSettings | None = None,
    *,
    plan: Plan | None = None,
    provenance: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    device: str | torch.device = "cpu",
    workers: Workers | None = None,
    command: str | None = None,
    progress: Progress = SILENT,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> FinetuneResult:
    """Return a fine-tuned copy of a GDWS ``network``, as :func:`gdws.convert` gives it, in evaluation mode.

    All weights descend on adversarial images, filters and pointwise weights balanced (:func:`gdws.training.balance`)
    at the start and after each step. The attack is white-box; it runs on the dense network of the same function, whose
    gradients take a fraction of the time. The epoch is chosen on the validation split by robust, then natural accuracy,
    and the network at the start is kept unless an epoch is better; the test split is not looked at.

    Args:
        network: it is not changed. Its ranks and layouts stay.
        data: images to descend on and to choose by.
        settings: see :class:`FinetuneSettings`.
        plan, provenance: what the network was converted by, and ``net``, ``net_options`` and more of the network it
            was made from, for :func:`gdws.networks.converted.load`. Needed with ``out`` alone.
        out: where the weights go, with the plan, as safetensors. The state of the run is beside it until the end.
        resume: whether to go on with the unfinished run beside ``out``.
        device, workers, command, progress, on_epoch: as for :func:`gdws.training.train`.

    Raises :class:`~gdws.errors.ModelError` if ``network`` has no GDWS layer or the loss diverges,
    :class:`~gdws.errors.DataError` if the data do not suit it, and what :func:`gdws.training.train` raises.
    """
    settings = settings or FinetuneSettings()
    workers = workers or Workers(device=torch.device(device))
    out = None if out is None else Path(out)
    require_suited(data, out)
    if not any(isinstance(module, GDWSConv2d) for module in network.modules()):
        raise ModelError("the network has no GDWS layer", hint="convert it first, or train it with gdws train")
    if out is not None and (plan is None or provenance is None):
        raise ValueError("a file of weights needs the plan and the provenance of the network")
    tuned = copy.deepcopy(network).requires_grad_(True)
    balance(tuned)
    descent = Descent(
        tuned,
        settings,
        data.train,
        workers,
        target=to_dense,
        after_step=balance,
        fixed_statistics=settings.batch_norm == "fixed",
    )
    run = tuning_run(descent, settings, data, digest_of_network(network))

    def save() -> None:
        assert out is not None
        assert plan is not None
        assert provenance is not None
        converted.save(out, run.best_weights, plan, {**provenance, **run_metadata(run, settings, data, command)})

    follow(run, out, save, resume=resume, progress=progress, on_epoch=on_epoch)
    assert run.start is not None
    assert run.best is not None
    result = copy.deepcopy(network)
    result.load_state_dict(run.best_weights)
    return FinetuneResult(result.eval(), run.start, run.best, tuple(run.history), out)


def require_suited(data: Dataset, out: Path | None) -> None:
    """Raise now for images that training does not suit, and for a file that cannot be written.

    That is :class:`~gdws.errors.DataError`, and :class:`~gdws.errors.GdwsError`.
    """
    for split in (data.train, data.validation):
        split.require_any()
        require_images(split.by_row, "training")
        check_images(split.by_row, split.labels)
    if out is not None:
        require_writable(out)


def tuning_run(descent: Descent, settings: FinetuneSettings, data: Dataset, digest: str) -> Run:
    """The run of a fine-tuning before its first epoch, the network at the start judged.

    ``digest`` identifies that network, so that an interrupted run goes on from no other's state.
    """
    identity = {
        **settings.to_dict(),
        "precision": descent.precision,
        "data": data.name,
        "network": descent.workers.agree(digest),
        "what": "fine-tuning",
    }
    run = Run(descent, data.validation, identity)
    run.judge_start()
    return run


def run_metadata(run: Run, settings: FinetuneSettings, data: Dataset, command: str | None) -> dict[str, str]:
    """How a network was fine-tuned, as its file tells it."""
    assert run.start is not None
    fields = {
        "data": data.name,
        "finetuning": json.dumps(settings.to_dict()),
        "precision": run.descent.precision,
        "processes": str(run.descent.workers.size),
        "start": json.dumps(dataclasses.asdict(run.start)),
        "validation": run.best_as_json(),
        "torch_version": torch.__version__,
    }
    return fields if command is None else {**fields, "command": command}
