"""How far networks agree with the one that they were made from, and with annotations, in the words of its task."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from gdws._util.modes import evaluation_mode
from gdws._util.outputs import run
from gdws._util.progress import SILENT, Progress
from gdws.datasets import check_pixels
from gdws.datasets.annotations import Truth
from gdws.datasets.images import Images
from gdws.errors import DataError
from gdws.evaluation.judging import device_of
from gdws.evaluation.tasks import Grader, Task
from gdws_contract.measures import Metric


@torch.no_grad()
def agreement(
    reference: nn.Module,
    networks: Mapping[str, nn.Module],
    images: Images,
    task: Task,
    *,
    truth: Callable[[int], Truth] | None = None,
    batch_size: int = 16,
    progress: Progress = SILENT,
) -> dict[str, dict[str, Metric]]:
    """The measures of ``task`` by the name of each of ``networks``, against ``reference``, on the same ``images``.

    ``images`` (N, C, H, W) are read batch by batch, and each network runs in evaluation mode where its weights are. A
    network that is the reference agrees with itself, and is not run again. ``truth`` tells what people say is in the
    image of a row: then the measures against it are there, too. Raises :class:`~gdws.errors.DataError` for
    images out of range or a truth that is not of the task, and :class:`~gdws.errors.ModelError` if a network gives
    something else than the task says.
    """
    check_pixels(images)
    meters = {name: task.meter() for name in networks}
    graders = {} if truth is None else {name: _grader(task) for name in networks}
    progress.start(len(images), f"compare {len(networks)} networks")
    for rows in torch.split(torch.arange(len(images)), batch_size):
        x = images[rows]
        expected = _outputs(reference, x, task)
        truths = [] if truth is None else [truth(row) for row in rows.tolist()]
        for name, network in networks.items():
            found = expected if network is reference else _outputs(network, x, task)
            meters[name].update(found, expected)
            if name in graders:
                graders[name].update(found, truths)
        progress.advance(len(rows))
    graded = {name: grader.metrics() for name, grader in graders.items()}
    return {name: {**graded.get(name, {}), **meter.metrics()} for name, meter in meters.items()}


def _grader(task: Task) -> Grader:
    found = task.grader()
    if found is None:
        raise DataError(
            f"annotations say nothing of a network of the task {task.contract.kind}",
            hint="leave --annotations out, or say what the outputs are: --task detection or segmentation",
        )
    return found


def _outputs(network: nn.Module, images: torch.Tensor, task: Task) -> object:
    with evaluation_mode(network):
        output = run(network, images.to(device_of(network)))
    task.check(output, len(images))
    return output
