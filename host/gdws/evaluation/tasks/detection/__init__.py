"""Detection by heads of the YOLO family."""

from gdws.evaluation.tasks.detection.heads import layout_of
from gdws.evaluation.tasks.detection.task import Detection

__all__ = ["Detection", "layout_of"]
