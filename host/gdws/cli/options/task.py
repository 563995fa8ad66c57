"""Options for the task: what the outputs of a network mean."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated

from gdws.cli.options.groups import panel
from gdws.errors import ModelError

if TYPE_CHECKING:
    from gdws.evaluation.tasks import Choice, Kind

_task = panel("Task")


class TaskName(str, Enum):
    """Tasks by name, as :data:`gdws.evaluation.tasks.KINDS`."""

    auto = "auto"
    classification = "classification"
    outputs = "outputs"
    detection = "detection"
    segmentation = "segmentation"


@dataclass(frozen=True)
class TaskOptions:
    """A task and its settings."""

    task: Annotated[
        TaskName,
        _task(
            "--task",
            help="classification: logits (N, K). detection: a YOLO head (v5 to v9, v11, X), compared by its "
            "detections. segmentation: scores (N, K, H, W), compared by pixels and regions. outputs: anything else, "
            "compared by error. auto: infer the task from the outputs.",
        ),
    ] = TaskName.auto
    metric: Annotated[
        str | None,
        _task(
            "--metric",
            metavar="PACKAGE.MODULE:FUNCTION",
            help="Your own metric: called with the outputs of a network and those of the network before conversion "
            "for the same images, it returns one number per image, larger being better. Its code is executed.",
        ),
    ] = None
    score_threshold: Annotated[
        float | None,
        _task(
            "--score-threshold",
            metavar="SCORE",
            help="Minimum score of a detection. Default: 0.25.",
            show_default=False,
        ),
    ] = None

    def choice(self) -> Choice:
        """The choice of a task. Raises :class:`~gdws.errors.GdwsError` for invalid combinations."""
        from gdws._util.named_import import find
        from gdws.evaluation.tasks import Choice

        kind: Kind = self.task.value
        if self.metric is None:
            return Choice(kind, score_threshold=self.score_threshold)
        metric = find(self.metric, "metric", example="my_metrics:keypoints_within_3_pixels")
        if not callable(metric):
            raise ModelError(f"{self.metric} is not a function", hint="give a function of (outputs, reference)")
        return Choice(kind, metric, self.metric.rpartition(":")[2].replace(".", "_"), self.score_threshold)
