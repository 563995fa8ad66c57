"""Images of the user's own: folders, lists of files, and arrays."""

from gdws.datasets.own.files import Unreadable
from gdws.datasets.own.opening import open_images

__all__ = ["Unreadable", "open_images"]
