"""What the outputs of a network mean."""

from __future__ import annotations

from typing import List, Optional, Union

from pydantic import Field
from typing_extensions import Annotated, Literal

from .base import Fraction, Record

ClassName = Annotated[str, Field(max_length=200)]
ClassNames = Annotated[List[ClassName], Field(min_length=1, max_length=100_000)]

#: How a detection head writes its boxes and scores, for N images of A candidates and K classes.
#: ``yolov5``: (N, A, 5 + K), centre, size, objectness and class scores, decoded. ``yolov8``: (N, 4 + K, A), centre,
#: size and class scores, decoded; also v9 and v11. ``yolox``: as ``yolov5``, with centre and size relative to the
#: grid. ``boxes-scores``: corners (N, A, 4) and class scores (N, A, K), two outputs.
DetectionLayout = Literal["yolov5", "yolov8", "yolox", "boxes-scores"]


class Classification(Record):
    """One output of logits (N, K); the class is the largest."""

    kind: Literal["classification"] = "classification"
    classes: Optional[ClassNames] = Field(None, description="Their names, by index; null: not known.")


class Outputs(Record):
    """Outputs of any number and shape, of which nothing more is known."""

    kind: Literal["outputs"] = "outputs"


class Detection(Record):
    """Boxes with scores; a box counts from ``score_threshold``, and boxes are suppressed from ``iou_threshold``."""

    kind: Literal["detection"] = "detection"
    layout: DetectionLayout
    classes: Optional[ClassNames] = Field(None, description="Their names, by index; null: not known.")
    score_threshold: Fraction = 0.25
    iou_threshold: Fraction = 0.5


class Segmentation(Record):
    """One output: scores (N, K, H, W), the class of a pixel being the largest, or classes (N, H, W) as integers."""

    kind: Literal["segmentation"] = "segmentation"
    classes: Optional[ClassNames] = Field(None, description="Their names, by index; null: not known.")


Task = Annotated[Union[Classification, Outputs, Detection, Segmentation], Field(discriminator="kind")]
