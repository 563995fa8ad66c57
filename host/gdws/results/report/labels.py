"""Names beside the points of a plot, where they cover neither a point nor each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

#: Width of a character and height of a line over the font size; generous for a sans-serif face.
_CHARACTER, _LINE = 0.58, 1.25
_MARKER_PT = 5.0


@dataclass(frozen=True)
class Box:
    """A rectangle in points."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: Box) -> float:
        """The area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(width, 0.0) * max(height, 0.0)

    @property
    def area(self) -> float:
        return (self.right - self.left) * (self.top - self.bottom)


def place_labels(
    axes: Axes, points: Sequence[tuple[str, float, float]], *, colour: str, line_colour: str, size_pt: float
) -> None:
    """Write each name of ``points`` (name, x, y) beside its point, with a line to it where points are crowded.

    The layout of ``axes`` must be final.
    """
    scale = 72 / axes.figure.dpi
    frame = axes.get_window_extent()
    inside = Box(frame.x0 * scale, frame.y0 * scale, frame.x1 * scale, frame.y1 * scale)
    anchors = [tuple(scale * axes.transData.transform((x, y))) for _, x, y in points]
    boxes = choose_boxes([name for name, _, _ in points], anchors, inside, size_pt=size_pt)
    for (name, x, y), (anchor_x, anchor_y), box in zip(points, anchors, boxes, strict=True):
        axes.annotate(
            name,
            (x, y),
            xytext=(box.left - anchor_x, (box.bottom + box.top) / 2 - anchor_y),
            textcoords="offset points",
            va="center",
            fontsize=size_pt,
            color=colour,
            arrowprops={"arrowstyle": "-", "color": line_colour, "linewidth": 0.7, "shrinkA": 1, "shrinkB": 3},
            parse_math=False,
        )


def choose_boxes(
    names: Sequence[str], anchors: Sequence[tuple[float, float]], inside: Box, *, size_pt: float
) -> list[Box]:
    """A box in points for each name, near its anchor.

    Greedy: each name in turn takes the place that covers least of the markers, of the boxes already
    placed and of what lies outside ``inside``. Places nearer to the customary one win ties.
    """
    taken = [Box(x - _MARKER_PT, y - _MARKER_PT, x + _MARKER_PT, y + _MARKER_PT) for x, y in anchors]
    chosen = []
    for name, (x, y) in zip(names, anchors, strict=True):
        width, height = _CHARACTER * size_pt * len(name), _LINE * size_pt
        best = min(_candidates(x, y, width, height), key=lambda box: _cost(box, taken, inside))
        taken.append(best)
        chosen.append(best)
    return chosen


def _candidates(x: float, y: float, width: float, height: float) -> list[Box]:
    gap = _MARKER_PT + 2
    lefts = (x + gap, x - gap - width, x - width / 2)
    middles = (y + gap + height / 2, y - gap - height / 2, y, y + gap + 1.5 * height, y - gap - 1.5 * height)
    return [Box(left, mid - height / 2, left + width, mid + height / 2) for mid in middles for left in lefts]


def _cost(box: Box, taken: Sequence[Box], inside: Box) -> float:
    return sum(box.overlap(other) for other in taken) + 3 * (box.area - box.overlap(inside))
