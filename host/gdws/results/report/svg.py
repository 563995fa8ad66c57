"""A matplotlib figure as an SVG element that fits into a page: themed, labelled, with names of its own."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from xml.etree import ElementTree

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"

#: matplotlib wants colours; these stand in for the CSS variables of the page.
INK, MUTED, LINE, ACCENT, GOOD = "#010101", "#020202", "#030303", "#040404", "#050505"
_VARIABLES = {INK: "--ink", MUTED: "--muted", LINE: "--line", ACCENT: "--accent", GOOD: "--good"}

FONT_PT = 9.5
_WIDTH_IN = 4.8


def new_figure(*, height_in: float, ratios: Sequence[float] = (1.0,)) -> tuple[Figure, list[Axes]]:
    """A figure of the report's width, and its axes from top to bottom with heights in ``ratios``."""
    figure = Figure(figsize=(_WIDTH_IN, height_in), layout="constrained")
    figure.patch.set_visible(False)
    grid = figure.subplots(len(ratios), 1, squeeze=False, gridspec_kw={"height_ratios": list(ratios)})
    for axes in grid[:, 0]:
        axes.patch.set_visible(False)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(LINE)
        axes.tick_params(colors=MUTED, labelsize=FONT_PT - 0.5, length=0, pad=5)
        axes.xaxis.label.set(color=MUTED, fontsize=FONT_PT)
        axes.yaxis.label.set(color=MUTED, fontsize=FONT_PT)
        axes.grid(True, color=LINE, linewidth=0.7)
        axes.set_axisbelow(True)
    return figure, list(grid[:, 0])


def to_svg(figure: Figure, *, alt: str, key: str) -> str:
    """``figure`` as one ``<svg>`` element without a size of its own.

    ``alt`` becomes its accessible name, and ``key`` the prefix of the ids inside, which must not meet
    those of another plot in the page. The same figure gives the same text.
    """
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": key}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(buffer.getvalue())
    _drop(root, "metadata", "style")
    for attribute in ("width", "height"):
        root.attrib.pop(attribute, None)
    root.set("role", "img")
    root.set("aria-label", alt)
    for element in root.iter():
        if element.tag == f"{{{_SVG}}}g":
            element.attrib.pop("id", None)
        for name, value in element.attrib.items():
            element.set(name, alt if name == "aria-label" else _adapt(name, value, key))
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def _drop(root: ElementTree.Element, *names: str) -> None:
    """Remove the elements called so; the style among them would apply to the whole page."""
    tags = {f"{{{_SVG}}}{name}" for name in names}
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in tags]:
            parent.remove(child)


def _adapt(name: str, value: str, key: str) -> str:
    """One attribute, with ids under ``key``, colours from the page and the page's typeface."""
    if name == "id":
        return f"{key}-{value}"
    if name == f"{{{_XLINK}}}href":
        return value.replace("#", f"#{key}-")
    if name == "clip-path":
        return value.replace("url(#", f"url(#{key}-")
    for colour, variable in _VARIABLES.items():
        value = value.replace(colour, f"var({variable})")
    return re.sub(r"font-family: [^;]*; ?", "", value)
