"""What the outputs of a network mean."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from gdws.errors import ModelError

if TYPE_CHECKING:
    from gdws.evaluation.tasks import Choice, Kind

_TASK = "What the outputs mean"


class TaskName(str, Enum):
    """Tasks by name, as :data:`gdws.evaluation.tasks.KINDS`."""

    auto = "auto"
    classification = "classification"
    outputs = "outputs"
    detection = "detection"
    segmentation = "segmentation"


@dataclass(frozen=True)
class TaskOptions:
    """A task, and what belongs to it."""

    task: Annotated[
        TaskName,
        typer.Option(
            "--task",
            help="classification: logits (N, K). detection: a YOLO head (v5 to v9, v11, X), compared by the objects "
            "that it finds. segmentation: scores (N, K, H, W), compared by pixels and regions. outputs: anything, "
            "compared by errors. auto tells it from the outputs.",
            rich_help_panel=_TASK,
        ),
    ] = TaskName.auto
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            metavar="PACKAGE.MODULE:FUNCTION",
            help="A measure of your own: it is given the outputs of a network and those of the network before "
            "conversion for the same images, and returns a number for each image, more being better. Its code runs.",
            rich_help_panel=_TASK,
        ),
    ] = None
    score_threshold: Annotated[
        float | None,
        typer.Option(
            "--score-threshold",
            metavar="SCORE",
            help="Objects count from this score; of detection. Default: 0.25.",
            show_default=False,
            rich_help_panel=_TASK,
        ),
    ] = None

    def choice(self) -> Choice:
        """What is said of the outputs. Raises :class:`~gdws.errors.GdwsError` if that makes no sense."""
        from gdws._util.named_import import find
        from gdws.evaluation.tasks import Choice

        kind: Kind = self.task.value
        if self.metric is None:
            return Choice(kind, score_threshold=self.score_threshold)
        metric = find(self.metric, "metric", example="my_metrics:keypoints_within_3_pixels")
        if not callable(metric):
            raise ModelError(f"{self.metric} is not a function", hint="name a function of outputs and reference")
        return Choice(kind, metric, self.metric.rpartition(":")[2].replace(".", "_"), self.score_threshold)
