"""The rows of the paper's tables, and the networks they are about, as ``tables.json`` has them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Pruned:
    """A ``share`` of each convolution's ``weights`` or output ``channels`` is set to zero, the smallest first."""

    what: str
    share: float


@dataclass(frozen=True)
class Network:
    """A network of the paper: ``file`` holds its public checkpoint, ``where`` says how to get it.

    ``options`` are those of :func:`gdws.pipeline.load`. ``stand_in`` is the network that takes its place on the MNIST
    sample, or None if there is none, pruned there as ``stand_in_pruned`` says.
    """

    key: str
    net: str
    data: str
    file: str
    where: str
    options: Mapping[str, Any]
    stand_in: str | None
    stand_in_pruned: Pruned | None


@dataclass(frozen=True)
class Row:
    """A line of a table: dense if ``beta`` is None. ``paper`` has the published figures by column.

    Betas do not carry over to other networks. So a stand-in gets ``stand_in_mean_rank``, the mean G/C that the paper's
    Size implies for the row, or for the same network unpruned; Table 6 has no sizes, and gets ranks about Table 1's.
    """

    model: str
    network: Network
    beta: float | None
    stand_in_mean_rank: float | None
    paper: Mapping[str, float]

    @property
    def key(self) -> str:
        """The row's name in stored results."""
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
    pruned = fields.pop("stand_in_pruned", None)
    known = {name: fields.pop(name) for name in ("net", "data", "file", "where", "stand_in")}
    return Network(key=key, options=fields, stand_in_pruned=None if pruned is None else Pruned(**pruned), **known)
