"""What people say is in an image beside its class: objects in boxes, or the class of each pixel."""

from gdws.datasets.annotations.opening import open_annotations
from gdws.datasets.annotations.truth import Annotations, Objects, Truth

__all__ = ["Annotations", "Objects", "Truth", "open_annotations"]
