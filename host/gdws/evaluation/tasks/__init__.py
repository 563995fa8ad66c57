"""What the outputs of a network mean, one file for each task."""

from gdws.evaluation.tasks.base import Grader, Meter, Task
from gdws.evaluation.tasks.choice import KINDS, Choice, Kind, task_of
from gdws.evaluation.tasks.classification import Classification
from gdws.evaluation.tasks.detection import Detection
from gdws.evaluation.tasks.outputs import Outputs, UserMetric
from gdws.evaluation.tasks.segmentation import Segmentation

__all__ = [
    "KINDS",
    "Choice",
    "Classification",
    "Detection",
    "Grader",
    "Kind",
    "Meter",
    "Outputs",
    "Segmentation",
    "Task",
    "UserMetric",
    "task_of",
]
