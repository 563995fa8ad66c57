"""The forms of a network that are compared: a mean rank in a layout each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gdws.bundles.variant import BASELINE
from gdws.pipeline import Recipe
from gdws.planning.budget import MeanRank

_BY_NAME = "mean-rank-"


def recipes(ranks: Sequence[float]) -> list[Recipe]:
    """Every mean rank in every layout that has it.

    ``stacked`` and ``grouped`` have the same rank in every channel, hence whole ones alone; of rank 1 they are one and
    the same depthwise convolution. Alphas move components between channels and change no speed, so there are none.
    """
    found = []
    for rank in ranks:
        layouts = ["gather"]
        if rank == int(rank):
            layouts += ["stacked"] if rank == 1 else ["stacked", "grouped"]
        found += [Recipe(MeanRank(rank), layout, weighted=False) for layout in layouts]
    return found


def form_of(name: str) -> dict[str, Any]:
    """``mean_rank`` and ``layout`` of a form by the name of its recipe; None of the dense network."""
    if name == BASELINE:
        return {"mean_rank": None, "layout": None}
    rank, _, layout = name.removeprefix(_BY_NAME).partition("-")
    return {"mean_rank": float(rank), "layout": layout or "gather"}
