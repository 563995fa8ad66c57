"""Which task a network is for: told by its outputs, or by its user."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from gdws._util.modes import evaluation_mode
from gdws._util.outputs import described, run, tensors_in
from gdws.compression.eligibility import require_weights
from gdws.errors import GdwsError, ModelError
from gdws.evaluation.tasks.base import Task
from gdws.evaluation.tasks.classification import Classification
from gdws.evaluation.tasks.detection import Detection, layout_of
from gdws.evaluation.tasks.outputs import Outputs, UserMetric
from gdws.evaluation.tasks.segmentation import Segmentation
from gdws_contract.task import DetectionLayout

#: How a task is named; ``auto`` tells it from the outputs.
Kind = Literal["auto", "classification", "outputs", "detection", "segmentation"]
KINDS: tuple[str, ...] = get_args(Kind)

#: Noise of that size tells what a network gives.
_IMAGES = 2


@dataclass(frozen=True)
class Choice:
    """What a user says of the outputs: a ``kind`` of task, and what belongs to it.

    A ``metric`` called ``metric_name`` belongs to ``outputs``, which it makes of ``auto``; ``score_threshold`` belongs
    to ``detection``. Raises :class:`~gdws.errors.GdwsError` for a kind that does not exist or what does not belong to
    it.
    """

    kind: Kind = "auto"
    metric: UserMetric | None = None
    metric_name: str = "metric"
    score_threshold: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise GdwsError(f"there is no task {self.kind!r}", hint=f"use one of: {', '.join(KINDS)}")
        if self.metric is not None and self.kind not in ("auto", "outputs"):
            raise GdwsError(f"a metric of your own does not go with the task {self.kind}", hint="give --task outputs")
        if self.score_threshold is not None and not 0 < self.score_threshold < 1:
            raise GdwsError(f"a score threshold of {self.score_threshold:g}", hint="give one between 0 and 1")


def task_of(model: nn.Module, input_shape: Sequence[int], choice: Choice = Choice()) -> Task:
    """The task of ``model``, which takes images of ``input_shape`` (C, H, W): what is chosen, or what its outputs tell.

    One output of floating point (N, K) of two entries at least is taken for logits, one with a candidate for each cell
    of the grids of a YOLO head for detections, and maps (N, K, ...) with a score for each pixel and class for
    segmentation, where K is not that of the images, which may be restored or restyled by such a network. Anything else
    is ``outputs``.

    Raises :class:`~gdws.errors.ModelError` if the network does not run or gives something else than is chosen.
    """
    require_weights(model)
    like = next(model.parameters(), torch.empty(0))
    images = torch.rand(_IMAGES, *input_shape, generator=torch.Generator().manual_seed(0)).to(like)
    with evaluation_mode(model), torch.no_grad():
        output = run(model, images)
    kind = choice.kind
    if kind == "auto":
        kind = "outputs" if choice.metric is not None else _told(output, input_shape)
    task = _MAKERS[kind](choice, output, input_shape)
    task.check(output, _IMAGES)
    return task


def _detection(choice: Choice, output: Any, input_shape: Sequence[int]) -> Detection:
    task = Detection(_layout(output, _size(input_shape)), _size(input_shape))
    return task if choice.score_threshold is None else replace(task, score_threshold=choice.score_threshold)


_MAKERS: Mapping[Kind, Callable[[Choice, Any, Sequence[int]], Task]] = {
    "classification": lambda choice, output, input_shape: Classification(),
    "outputs": lambda choice, output, input_shape: Outputs(choice.metric, choice.metric_name),
    "detection": _detection,
    "segmentation": lambda choice, output, input_shape: Segmentation(),
}


def _told(output: Any, input_shape: Sequence[int]) -> Kind:
    size = _size(input_shape)
    if layout_of(output, size) is not None:
        return "detection"
    if isinstance(output, Tensor) and output.is_floating_point() and output.ndim == 2 and output.shape[1] > 1:
        return "classification"
    tensors = tensors_in(output)
    are_maps = bool(tensors) and all(each.ndim == 4 and each.is_floating_point() for each in tensors)
    if are_maps and tuple(tensors[0].shape[2:]) == size and len({each.shape[1] for each in tensors}) == 1:
        return "segmentation" if tensors[0].shape[1] not in (1, input_shape[0]) else "outputs"
    return "outputs"


def _layout(output: Any, size: tuple[int, int]) -> DetectionLayout:
    if (layout := layout_of(output, size)) is not None:
        return layout
    tensors = tensors_in(output)
    if len(tensors) == 2 and all(each.ndim == 3 for each in tensors) and tensors[0].shape[2] == 4:
        return "boxes-scores"
    raise ModelError(
        f"the network returns {described(output)}, which is not a known detection head",
        hint="known are heads of YOLO v5 to v9, v11 and X at the strides 8, 16 and 32, and two outputs of boxes and "
        "scores; give --task outputs for any other",
    )


def _size(input_shape: Sequence[int]) -> tuple[int, int]:
    """(H, W) of images (C, H, W); a signal (C, L) has the height 1."""
    return (1, *input_shape)[-2], input_shape[-1]
