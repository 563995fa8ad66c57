"""How far networks agree with the one that they were made from, in the words of its task."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from gdws._util.modes import evaluation_mode
from gdws._util.outputs import run
from gdws._util.progress import SILENT, Progress
from gdws.datasets import check_pixels
from gdws.datasets.images import Images
from gdws.evaluation.judging import device_of
from gdws.evaluation.tasks import Task
from gdws_contract.measures import Metric


@torch.no_grad()
def agreement(
    reference: nn.Module,
    networks: Mapping[str, nn.Module],
    images: Images,
    task: Task,
    *,
    batch_size: int = 16,
    progress: Progress = SILENT,
) -> dict[str, dict[str, Metric]]:
    """The measures of ``task`` by the name of each of ``networks``, against ``reference``, on the same ``images``.

    ``images`` (N, C, H, W) are read batch by batch, and each network runs in evaluation mode where its weights are. A
    network that is the reference agrees with itself, and is not run again. Raises :class:`~gdws.errors.DataError` for
    images out of range, and :class:`~gdws.errors.ModelError` if a network gives something else than the task says.
    """
    check_pixels(images)
    meters = {name: task.meter() for name in networks}
    progress.start(len(images), f"compare {len(networks)} networks")
    for rows in torch.split(torch.arange(len(images)), batch_size):
        x = images[rows]
        expected = _outputs(reference, x, task)
        for name, network in networks.items():
            meters[name].update(expected if network is reference else _outputs(network, x, task), expected)
        progress.advance(len(rows))
    return {name: meter.metrics() for name, meter in meters.items()}


def _outputs(network: nn.Module, images: torch.Tensor, task: Task) -> object:
    with evaluation_mode(network):
        output = run(network, images.to(device_of(network)))
    task.check(output, len(images))
    return output
