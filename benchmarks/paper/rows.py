"""The rows of the paper's tables, and the networks they are about, as ``tables.json`` has them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gdws.pipeline import Recipe
from gdws.planning.budget import MeanRank
from gdws_contract.plan import Layout

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class DataAware:
    """A data-aware network of ``mean_rank`` in ``layout``, fitted without labels.

    ``distilled`` says whether the dense network was distilled into it afterwards.
    """

    mean_rank: float
    layout: Layout = "stacked"
    distilled: bool = False

    @property
    def name(self) -> str:
        """E.g. ``data-rank-2-stacked-distilled``."""
        return f"{self.recipe.name}{'-distilled' if self.distilled else ''}"

    @property
    def words(self) -> str:
        """E.g. ``at mean rank 2, distilled``."""
        return f"at mean rank {self.mean_rank:g}{', distilled' if self.distilled else ''}"

    @property
    def recipe(self) -> Recipe:
        """How it is converted."""
        return Recipe(MeanRank(self.mean_rank), self.layout, method="data-aware")


@dataclass(frozen=True)
class Network:
    """A network of the paper: ``file`` holds its public checkpoint, ``where`` says how to get it.

    ``options`` are those of :func:`gdws.pipeline.load`. ``pruned_from`` is the key of the network that a pruned one was
    made from. ``stand_ins`` are the names of the weights that take its place, by the kind of
    :data:`benchmarks.paper.kinds.KINDS`.
    """

    key: str
    net: str
    data: str
    file: str
    where: str
    options: Mapping[str, Any]
    stand_ins: Mapping[str, str]
    pruned_from: str | None = None


@dataclass(frozen=True)
class Row:
    """A line of a table: dense if neither ``beta`` nor ``data_aware`` is given. ``paper`` has its figures by column.

    Betas do not carry over to other networks. So a stand-in gets ``stand_in_mean_rank``, the mean G/C that the paper's
    Size implies for the row, or for the same network unpruned; Table 6 has no sizes, and gets ranks about Table 1's.
    """

    model: str
    network: Network
    beta: float | None
    stand_in_mean_rank: float | None
    paper: Mapping[str, float]
    data_aware: DataAware | None = None

    @property
    def key(self) -> str:
        """The row's name in stored results."""
        if self.data_aware is not None:
            return f"{self.network.key}/{self.data_aware.name}"
        return self.network.key if self.beta is None else f"{self.network.key}/beta-{self.beta:g}"


@dataclass(frozen=True)
class Table:
    """``columns`` are in the order of the paper."""

    number: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Row]

    def networks(self) -> list[Network]:
        """Each network once, in order."""
        return list({row.network.key: row.network for row in self.rows}.values())

    def on_stand_ins(self, kind: str, data_aware: Sequence[DataAware]) -> Table:
        """The table as stand-ins of ``kind`` fill it.

        Rows of ``data_aware`` networks follow each converted one that is not of a pruned network.
        """
        rows: list[Row] = []
        for row in self.rows:
            rows.append(row)
            if row.beta is not None and row.network.pruned_from is None and kind in row.network.stand_ins:
                model = f"{row.model}, data-aware"
                rows += [
                    replace(row, model=model, beta=None, stand_in_mean_rank=None, paper={}, data_aware=each)
                    for each in data_aware
                ]
        return replace(self, rows=rows)


def read_table(number: str) -> Table:
    """Table ``number`` of the paper."""
    content = json.loads((HERE / "tables.json").read_text())
    networks = {key: _network(key, dict(fields)) for key, fields in content["checkpoints"].items()}
    fields = content["tables"][number]
    rows = [
        Row(row["model"], networks[row["checkpoint"]], row.get("beta"), row.get("stand_in_mean_rank"), row["paper"])
        for row in fields["rows"]
    ]
    return Table(number, fields["title"], fields["columns"], rows)


def _network(key: str, fields: dict[str, Any]) -> Network:
    names = ("net", "data", "file", "where", "stand_ins", "pruned_from")
    known = {name: fields.pop(name) for name in names if name in fields}
    return Network(key=key, options=fields, **known)
