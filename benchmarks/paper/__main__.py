"""The tables of the paper, row by row, on the networks that are there.

    python -m benchmarks.paper --table 1                       # every row, public checkpoints on CIFAR-10
    python -m benchmarks.paper --table 3 --fashion             # on networks of Fashion-MNIST
    python -m benchmarks.paper --table 6 --mnist               # on one of the MNIST sample
    python -m benchmarks.paper --table 4 --network hydra-wrn   # rows of one network
    python -m benchmarks.paper --fashion --speed-only          # FPS of all rows that were judged, side by side
    python -m benchmarks.paper --table 1 --device http://jetson.local:8000

Checkpoints are looked for in ``--checkpoints`` under the file names of ``tables.json``, data sets in ``--data-root``. A
row whose checkpoint is not there is marked "not present", with where to get it. With ``--fashion`` or ``--mnist``
narrow networks of the same families take the place of the paper's as far as they are in ``benchmarks/networks`` or the
package, and data-aware networks stand beside the paper's. Channels that pruning left without use are removed. Stand-ins
are converted at the mean rank that the paper's Size implies, since betas do not carry over to other networks.

Accuracy is found row by row and kept in ``results/``, converted networks in ``runs/``. Speed is measured side by side,
of all rows of a network, of stand-ins of all rows of the table, so not with ``--network`` or ``--skip``; what is there
of the same networks and settings is not measured again, but for ``--speed-only``, which leaves the accuracies as they
are. Writes ``results/table-<N>[-mnist|-fashion].json`` and ``.md``. Without ``--table`` all that have such networks.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.measured import machine
from benchmarks.paper import markdown
from benchmarks.paper.judge import NORMS, natural_outcome, outcomes, packed, share
from benchmarks.paper.kinds import KINDS
from benchmarks.paper.making import CALIBRATION_IMAGES, DISTILLATION_STEPS, Maker, recipe
from benchmarks.paper.networks import public, stand_in
from benchmarks.paper.rows import Network, Row, Table, read_table
from benchmarks.paper.speed import speeds
from gdws import datasets
from gdws._util.files import write_atomic
from gdws.bundles.variant import Variant
from gdws.cli.views.output import progress_bar
from gdws.device.client import DeviceClient
from gdws.device.local_agent import local_agent
from gdws.evaluation.attacks import AttackSpec
from gdws.evaluation.attacks.protocols import PROTOCOLS, for_data
from gdws.networks.sparsity import sizes
from gdws.networks.zoo.size import size as cost
from gdws.pipeline import Source
from gdws_contract.rest import Protocol

HERE = Path(__file__).resolve().parent

TABLES = ("1", "2", "3", "4", "5", "6")
#: What a stored row says of speed.
SPEED = ("speed", "speed_of")


def main() -> None:
    """Measure what is there and not measured yet, and write the tables."""
    options = parsed()
    with agent(options.device) as device:
        for table in wanted(options):
            Run(table, options, device).go()


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="append", choices=TABLES, help="repeatable; all if left out")
    parser.add_argument("--network", action="append", metavar="NAME", help="a network of tables.json; repeatable")
    parser.add_argument("--skip", action="append", default=[], metavar="ROW", help="a row by its key; repeatable")
    kinds = parser.add_mutually_exclusive_group()
    for kind in KINDS.values():
        words = f"on networks of {kind.words}"
        kinds.add_argument(f"--{kind.name}", dest="kind", action="store_const", const=kind, help=words)
    parser.add_argument("--checkpoints", type=Path, default=HERE / "checkpoints", help="folder of public checkpoints")
    parser.add_argument("--data-root", type=Path, default=os.environ.get("GDWS_DATA_ROOT"), help="folder of data sets")
    parser.add_argument(
        "--images", type=int, help="test images under attack; default: all, and 1000 for table 6 as the paper"
    )
    parser.add_argument("--natural-images", type=int, help="test images for natural accuracy; default: the same")
    parser.add_argument("--alphas", type=int, default=128, help="training images for the alphas; default: 128")
    parser.add_argument("--iterations", type=int, help="attack steps, to try things out; default: the protocol's")
    parser.add_argument("--restarts", type=int, help="attack restarts, likewise")
    parser.add_argument("--device", default="local", metavar="local|none|URL", help="where speed is measured")
    parser.add_argument("--backend", action="append", help="of the agent; repeatable; default: the best available")
    parser.add_argument("--speed-only", action="store_true", help="measure the speed of what was judged, anew")
    parser.add_argument("--min-duration", type=float, default=3.0, help="seconds of measuring for each network")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of the results")
    parser.add_argument("--runs", type=Path, default=HERE / "runs", help="folder of converted networks")
    options = parser.parse_args(arguments)
    if options.speed_only and (options.network or options.skip or options.device == "none"):
        parser.error("--speed-only measures all rows of a table side by side, on a device")
    return options


def wanted(options: argparse.Namespace) -> list[Table]:
    """The tables that the options name; by default all, with stand-ins those that have some."""
    tables = map(read_table, options.table or TABLES)
    if options.table or options.kind is None:
        return list(tables)
    return [table for table in tables if any(options.kind.name in each.stand_ins for each in table.networks())]


@contextlib.contextmanager
def agent(where: str) -> Iterator[DeviceClient | None]:
    """The agent to measure speed on; None for ``none``."""
    if where == "none":
        yield None
        return
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(local_agent()) if where == "local" else where
        yield stack.enter_context(DeviceClient(url, token=os.environ.get("GDWS_TOKEN")))


@dataclass(frozen=True, eq=False)
class Made:
    """The network of a row, with the ``maker`` that made it."""

    row: Row
    maker: Maker
    variant: Variant


class Run:
    """One table on its way."""

    def __init__(self, table: Table, options: argparse.Namespace, device: DeviceClient | None) -> None:
        self.options, self.device, self.kind = options, device, options.kind
        self.table = table if self.kind is None else table.on_stand_ins(self.kind.name, self.kind.data_aware)
        name = f"table-{table.number}{'' if self.kind is None else f'-{self.kind.name}'}"
        self.path = options.out / f"{name}.json"
        stored = json.loads(self.path.read_text()) if self.path.exists() else {}
        self.rows: dict[str, Any] = stored.get("rows", {})
        self.machine: dict[str, Any] | None = stored.get("machine")
        self.protocol: Mapping[str, AttackSpec] = {}
        self.attacks: Mapping[str, AttackSpec] = {}
        self.on = "nothing yet"
        self.absent = [network.key for network in self.table.networks() if self.source(network) is None]

    def go(self) -> None:
        """Every network in turn; what is found is stored after each step."""
        if self.options.speed_only and not self.rows:
            return
        made: list[list[Made]] = []
        for network in self.table.networks():
            if self.options.network and network.key not in self.options.network:
                continue
            source = self.source(network)
            if source is None:
                reason = f"not present: {network.where}" if self.kind is None else "no stand-in"
                print(f"table {self.table.number}, {network.key}: {reason}", flush=True)
                continue
            made.append(self.judged(network, source))
            if self.kind is None:
                self.time(made[-1])
        if self.kind is not None and not (self.options.network or self.options.skip):
            self.time([each for group in made for each in group])
        self.store()
        print(self.path.with_suffix(".md").read_text(), flush=True)

    def source(self, network: Network) -> Source | None:
        """The weights that there are of a network."""
        if self.kind is None:
            return public(network, self.options.checkpoints)
        return stand_in(network, self.kind.name)

    def judged(self, network: Network, source: Source) -> list[Made]:
        """The networks of the rows of one network, judged; with ``--speed-only`` of those that were."""
        data_name = network.data if self.kind is None else self.kind.data
        data = datasets.load(data_name, root=self.options.data_root)
        self.protocol = self.protocol_for(data_name)
        self.attacks = self.shortened(self.protocol)
        count = self.options.images or (1000 if "union" in self.table.columns else len(data.test))
        images = data.test.first(count)
        natural = data.test.first(self.options.natural_images or count)
        self.on = f"{len(images)} images of {data.name}, test"
        if len(natural) != len(images):
            self.on += f", natural accuracy on {len(natural)}"
        maker = Maker(
            source,
            data,
            next(iter(self.protocol.values())),
            self.options.alphas,
            self.options.runs,
            is_stand_in=self.kind is not None,
        )
        rows = [row for row in self.table.rows if row.network is network and row.key not in self.options.skip]
        if self.options.speed_only:
            return [Made(row, maker, maker.variant(row)) for row in rows if self.is_judged(row, maker)]
        made = []
        for row in rows:
            made.append(Made(row, maker, maker.variant(row)))
            self.judge(made[-1], images, natural)
        return made

    def network_of(self, row: Row, maker: Maker) -> dict[str, Any]:
        """What tells the network of a row from every other."""
        plan = recipe(row, is_stand_in=self.kind is not None)
        found = {
            "weights": maker.weights,
            "alphas": None if row.beta is None else self.options.alphas,
            "plan": None if plan is None else plan.name,
        }
        if row.data_aware is not None:
            found |= {"plan": row.data_aware.name, "calibration": CALIBRATION_IMAGES}
            found |= {"distillation_steps": DISTILLATION_STEPS} if row.data_aware.distilled else {}
        return found

    def is_judged(self, row: Row, maker: Maker) -> bool:
        """Whether the accuracies that are stored of a row are those of the network it has now."""
        known = self.rows.get(row.key)
        return known is not None and self.network_of(row, maker).items() <= known["of"].items()

    def judge(self, made: Made, images: datasets.Split, natural: datasets.Split) -> None:
        """Accuracies and size of one row, unless they are known."""
        row, variant = made.row, made.variant
        plan = recipe(row, is_stand_in=self.kind is not None)
        fast = self.kind is not None and self.kind.fast
        of = self.network_of(row, made.maker) | {
            "images": self.on,
            "attacks": {name: attack.to_dict() for name, attack in self.attacks.items()},
        }
        of |= {"gradients": "bfloat16"} if fast else {}
        known = self.judged_before(row, of)
        if known is not None:
            self.rows[row.key] = known | {"network": made.maker.source.name, "paper": dict(row.paper)}
            return
        with progress_bar(False) as progress:
            top5 = "natural_top5" in self.table.columns
            right = outcomes(variant.module, images, self.attacks, top5=top5, fast=fast, progress=progress)
            if len(natural) != len(images):
                right["natural"] = natural_outcome(variant.module, natural)
        size = sizes(variant.module)
        ranks = [] if variant.plan is None else [rank for layer in variant.plan.converted for rank in layer.ranks or ()]
        self.rows[row.key] = {
            "of": of,
            "on": self.on,
            "network": made.maker.source.name,
            "plan": None if plan is None else f"{plan.method}, {of['plan']}",
            "mean_rank": sum(ranks) / len(ranks) if ranks else None,
            "size": size.mib,
            "size_non_zero": size.mib_non_zero,
            "macs": cost(variant.module, made.maker.source.input_shape).macs,
            "accuracies": {name: share(each) for name, each in right.items()},
            "right": {name: packed(each) for name, each in right.items()},
            "paper": dict(row.paper),
        }
        self.store()

    def judged_before(self, row: Row, of: Mapping[str, Any]) -> dict[str, Any] | None:
        """What is known of a row, or of the same network in another table, whose speed was measured among others."""
        mine: dict[str, Any] = self.rows.get(row.key, {})
        if mine.get("of") == of:
            return mine
        others = (json.loads(path.read_text())["rows"] for path in sorted(self.options.out.glob("table-*.json")))
        found = next((other for rows in others for other in rows.values() if other["of"] == of), None)
        return None if found is None else {name: found[name] for name in found if name not in SPEED}

    def time(self, made: Sequence[Made]) -> None:
        """The speed of networks side by side, unless it is known."""
        if self.device is None or not made:
            return
        of = {
            "weights": sorted({each.maker.weights for each in made}),
            "networks": sorted(each.row.key for each in made),
            "device": self.options.device,
            "backends": self.options.backend,
            "min_duration_s": self.options.min_duration,
        }
        if not self.options.speed_only and all(self.rows[each.row.key].get("speed_of") == of for each in made):
            return
        self.machine = {**machine(), "torch": torch.__version__}
        protocol = Protocol(min_duration_ms=1000 * self.options.min_duration)
        maker = made[0].maker
        variants = {each.row.key: each.variant for each in made}
        found = speeds(
            self.device, maker.source, variants, maker.data.test, backends=self.options.backend, protocol=protocol
        )
        for each in made:
            self.rows[each.row.key] |= {"speed_of": of, "speed": found[each.row.key]}
        if self.kind is not None:
            self.forget_speeds_but_of(made)
        self.store()

    def forget_speeds_but_of(self, made: Sequence[Made]) -> None:
        """A speed that was not measured among the others of a table is no part of it."""
        for key in self.rows.keys() - {each.row.key for each in made}:
            self.rows[key] = {name: each for name, each in self.rows[key].items() if name not in SPEED}

    def protocol_for(self, data: str) -> Mapping[str, AttackSpec]:
        """Attacks by column: the three norms of a union, or l_inf alone."""
        union = "union" in self.table.columns
        protocol = "msd" if union and self.kind is None else for_data(data)
        by_norm = {attack.norm: attack for attack in PROTOCOLS[protocol]}
        return {norm: by_norm[norm] for norm in NORMS} if union else {"robust": by_norm["linf"]}

    def shortened(self, attacks: Mapping[str, AttackSpec]) -> Mapping[str, AttackSpec]:
        """The attacks with the steps and restarts that the options ask for."""
        wanted = {"iterations": self.options.iterations, "restarts": self.options.restarts}
        changes = {name: value for name, value in wanted.items() if value is not None}
        return {name: dataclasses.replace(attack, **changes) for name, attack in attacks.items()}

    def store(self) -> None:
        """Write what is known, as JSON and as a table."""
        results = {
            "what": f"table {self.table.number} of the paper: {self.table.title}",
            "on": "; ".join(sorted({row["on"] for row in self.rows.values()})) or "nothing yet",
            "attack": self.attack_words(),
            "note": [] if self.kind is None else self.kind.lines,
            "machine": self.machine,
            "stand_ins": None if self.kind is None else self.kind.words,
            "absent": self.absent,
            "rows": self.rows,
        }
        self.options.out.mkdir(parents=True, exist_ok=True)
        write_atomic(self.path, json.dumps(results, indent=1).encode() + b"\n")
        write_atomic(self.path.with_suffix(".md"), markdown.render(self.table, results).encode())

    def attack_words(self) -> str:
        """The attacks of the stored rows."""
        stored = {json.dumps(attack) for row in self.rows.values() for attack in row["of"]["attacks"].values()}
        run = sorted({str(AttackSpec(**json.loads(attack))) for attack in stored})
        words = "; ".join(run) or "no attack yet"
        whole = sorted(map(str, self.protocol.values()))
        if set(run) <= set(whole):
            return words
        return f"{words}. It is cut short; the whole protocol is {'; '.join(whole)}"


if __name__ == "__main__":
    main()
