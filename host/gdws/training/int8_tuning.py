"""Fine-tunes a network in INT8 by a few epochs of adversarial training, its rounding included."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from gdws._util.distributed import Workers
from gdws._util.progress import SILENT, Progress
from gdws.bundles.variant import Variant
from gdws.datasets import Dataset
from gdws.errors import ModelError
from gdws.networks import quantised
from gdws.onnx_io.int8 import QuantizedNetwork
from gdws.onnx_io.int8.in_training import NetworkInTraining
from gdws.training.descent import Descent
from gdws.training.run import EpochRecord, follow
from gdws.training.settings import FinetuneSettings
from gdws.training.tuning import FinetuneResult, require_suited, run_metadata, tuning_run
from gdws_contract.steps import FineTuneStep


def finetune_int8(
    start: Variant,
    input_shape: tuple[int, ...],
    data: Dataset,
    settings: FinetuneSettings | None = None,
    *,
    provenance: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    device: str | torch.device = "cpu",
    workers: Workers | None = None,
    command: str | None = None,
    progress: Progress = SILENT,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> FinetuneResult:
    """Return the fine-tuned twin of ``start``, a network in INT8 as :func:`gdws.pipeline.with_int8` gives it.

    Weights and biases descend on adversarial images; what they are rounded to is what the loss and the white-box attack
    see, and gradients pass straight through it. Scales of weights follow the weights; the ranges of activations stay,
    as does normalisation that is not in the weights. The epoch is chosen as by :func:`gdws.training.finetune`.

    Args:
        start: it is not changed.
        input_shape: of one image, (C, H, W).
        data, settings: as for :func:`gdws.training.finetune`; ``batch_norm`` is ``fixed`` in any case.
        provenance: that of the network before it was quantised or converted. Needed with ``out`` alone.
        out: the ONNX file that the network goes to, see :mod:`gdws.networks.quantised`.
        resume, device, workers, command, progress, on_epoch: as for :func:`gdws.training.finetune`.

    Raises :class:`~gdws.errors.ModelError` if ``start`` is not in INT8, has no layer to train, or the loss diverges,
    and else what :func:`gdws.training.finetune` raises.
    """
    if not isinstance(start.module, QuantizedNetwork):
        raise ModelError(f"{start.name} is not in INT8", hint="quantise it first, or use gdws finetune without --int8")
    settings = settings or FinetuneSettings()
    workers = workers or Workers(device=torch.device(device))
    out = None if out is None else Path(out)
    require_suited(data, out)
    if out is not None and provenance is None:
        raise ValueError("a file of a network needs its provenance")
    content = start.module.content
    network = NetworkInTraining(content, input_shape)
    descent = Descent(network, settings, data.train, workers, fixed_statistics=True)
    run = tuning_run(descent, settings, data, hashlib.sha256(content).hexdigest())

    def best() -> Variant:
        """The best network so far."""
        assert run.best is not None
        if run.best.epoch == 0:
            return start
        found = NetworkInTraining(content, input_shape)
        found.load_state_dict(run.best_weights)
        step = FineTuneStep(epochs=run.best.epoch, data=data.name)
        return Variant(start.name, QuantizedNetwork(found.content(), input_shape), (*start.steps, step))

    def save() -> None:
        assert out is not None
        assert provenance is not None
        fields = {**provenance, **run_metadata(run, settings, data, command)}
        quantised.save(out, best(), input_shape, fields)

    follow(run, out, save, resume=resume, progress=progress, on_epoch=on_epoch)
    assert run.start is not None
    assert run.best is not None
    return FinetuneResult(best().module, run.start, run.best, tuple(run.history), out)
