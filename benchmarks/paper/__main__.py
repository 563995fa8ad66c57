"""The tables of the paper, row by row, on the networks that are there.

    python -m benchmarks.paper --table 1                       # every row, public checkpoints on CIFAR-10
    python -m benchmarks.paper --table 1 --mnist               # the same on networks of the MNIST sample
    python -m benchmarks.paper --table 4 --network hydra-wrn   # rows of one network
    python -m benchmarks.paper --table 1 --device http://jetson.local:8000

Checkpoints are looked for in ``--checkpoints`` under the file names of ``tables.json``, data sets in ``--data-root``. A
row whose checkpoint is not there is marked "not present", with where to get it. With ``--mnist`` each network is
replaced by a narrow one of its family, from ``benchmarks/networks`` or the package; pruned ones are that network with
the smallest weights or channels set to zero, without training. Channels that pruning left without use are removed.
Networks are converted at the mean rank that the paper's Size implies, since betas do not carry over to other networks.

Accuracy is found row by row and kept in ``results/``, speed network by network with all its rows side by side; what is
there of the same networks and settings is not measured again. Writes ``results/table-<N>[-mnist].json`` and ``.md``.
Without ``--table`` all six.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.measured import machine
from benchmarks.paper import markdown
from benchmarks.paper.judge import NORMS, accuracies
from benchmarks.paper.networks import public, recipe, stand_in, variants
from benchmarks.paper.rows import Network, Row, Table, read_table
from benchmarks.paper.speed import speeds
from gdws import datasets, pipeline
from gdws._util.files import write_atomic
from gdws.bundles.variant import Variant
from gdws.cli.views.output import progress_bar
from gdws.datasets import Dataset
from gdws.device.client import DeviceClient
from gdws.device.local_agent import local_agent
from gdws.evaluation.attacks import AttackSpec
from gdws.evaluation.attacks.protocols import PROTOCOLS, for_data
from gdws.networks.sparsity import sizes
from gdws.pipeline import Source
from gdws_contract.rest import Protocol

HERE = Path(__file__).resolve().parent

TABLES = ("1", "2", "3", "4", "5", "6")


def main() -> None:
    """Measure what is there and not measured yet, and write the tables."""
    options = parsed()
    with agent(options.device) as device:
        for number in options.table or TABLES:
            Run(read_table(number), options, device).go()


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="append", choices=TABLES, help="repeatable; all six if left out")
    parser.add_argument("--network", action="append", metavar="NAME", help="a network of tables.json; repeatable")
    parser.add_argument("--mnist", action="store_true", help="on the networks of the MNIST sample")
    parser.add_argument("--checkpoints", type=Path, default=HERE / "checkpoints", help="folder of public checkpoints")
    parser.add_argument("--data-root", type=Path, default=os.environ.get("GDWS_DATA_ROOT"), help="folder of data sets")
    parser.add_argument("--images", type=int, help="test images; default: all, and 1000 for table 6 as the paper")
    parser.add_argument("--alphas", type=int, default=128, help="training images for the alphas; default: 128")
    parser.add_argument("--iterations", type=int, help="attack steps, to try things out; default: the protocol's")
    parser.add_argument("--restarts", type=int, help="attack restarts, likewise")
    parser.add_argument("--device", default="local", metavar="local|none|URL", help="where speed is measured")
    parser.add_argument("--backend", action="append", help="of the agent; repeatable; default: the best available")
    parser.add_argument("--min-duration", type=float, default=3.0, help="seconds of measuring for each network")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of the results")
    return parser.parse_args(arguments)


@contextlib.contextmanager
def agent(where: str) -> Iterator[DeviceClient | None]:
    """The agent to measure speed on; None for ``none``."""
    if where == "none":
        yield None
        return
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(local_agent()) if where == "local" else where
        yield stack.enter_context(DeviceClient(url, token=os.environ.get("GDWS_TOKEN")))


class Run:
    """One table on its way."""

    def __init__(self, table: Table, options: argparse.Namespace, device: DeviceClient | None) -> None:
        self.table, self.options, self.device = table, options, device
        name = f"table-{table.number}{'-mnist' if options.mnist else ''}"
        self.path = options.out / f"{name}.json"
        self.rows: dict[str, Any] = json.loads(self.path.read_text())["rows"] if self.path.exists() else {}
        self.protocol: Mapping[str, AttackSpec] = {}
        self.attacks: Mapping[str, AttackSpec] = {}
        self.on = "nothing yet"
        self.absent = [network.key for network in table.networks() if self.source(network) is None]

    def go(self) -> None:
        """Every network in turn; what is found is stored after each step."""
        for network in self.table.networks():
            if self.options.network and network.key not in self.options.network:
                continue
            source = self.source(network)
            if source is None:
                reason = "no stand-in" if self.options.mnist else f"not present: {network.where}"
                print(f"table {self.table.number}, {network.key}: {reason}", flush=True)
            else:
                self.measure(network, source)
        self.store()
        print(self.path.with_suffix(".md").read_text(), flush=True)

    def source(self, network: Network) -> Source | None:
        """The weights that there are of a network."""
        return stand_in(network) if self.options.mnist else public(network, self.options.checkpoints)

    def measure(self, network: Network, source: Source) -> None:
        """The rows of one network."""
        data_name = "mnist-sample" if self.options.mnist else network.data
        data = datasets.load(data_name, root=self.options.data_root)
        self.protocol = self.protocol_for(data_name)
        self.attacks = self.shortened(self.protocol)
        count = self.options.images or (1000 if "union" in self.table.columns else len(data.test))
        images = data.test.first(count)
        self.on = f"{len(images)} images of {data.name}, test"
        rows = [row for row in self.table.rows if row.network is network]
        made = self.make(source, rows, data)
        for row in rows:
            self.judge(row, source, made[row.key], images)
        self.time(network, source, made, rows, data)

    def make(self, source: Source, rows: Sequence[Row], data: Dataset) -> Mapping[str, Variant]:
        """The networks of the rows."""
        alphas = None
        if any(row.beta is not None for row in rows):
            with progress_bar(False) as progress:
                alphas = pipeline.calibrate_alphas(source, data.train.first(self.options.alphas), progress=progress)
        return variants(source, rows, alphas, mnist=self.options.mnist)

    def judge(self, row: Row, source: Source, variant: Variant, images: datasets.Split) -> None:
        """Accuracies and size of one row, unless they are known."""
        plan = recipe(row, mnist=self.options.mnist)
        of = {
            "weights": digest(source),
            "images": self.on,
            "attacks": {name: attack.to_dict() for name, attack in self.attacks.items()},
            "alphas": None if row.beta is None else self.options.alphas,
            "plan": None if plan is None else plan.name,
        }
        known = self.rows.get(row.key, {})
        if known.get("of") == of:
            return
        with progress_bar(False) as progress:
            top5 = "natural_top5" in self.table.columns
            found = accuracies(variant.module, images, self.attacks, top5=top5, progress=progress)
        size = sizes(variant.module)
        ranks = [] if variant.plan is None else [rank for layer in variant.plan.converted for rank in layer.ranks or ()]
        self.rows[row.key] = {
            "of": of,
            "on": self.on,
            "network": source.name,
            "plan": None if plan is None else f"weights, {plan.name}",
            "mean_rank": sum(ranks) / len(ranks) if ranks else None,
            "size": size.mib,
            "size_non_zero": size.mib_non_zero,
            "accuracies": found,
            "paper": dict(row.paper),
        }
        self.store()

    def time(
        self,
        network: Network,
        source: Source,
        made: Mapping[str, Variant],
        rows: Sequence[Row],
        data: Dataset,
    ) -> None:
        """The speed of all rows of a network, side by side, unless it is known."""
        if self.device is None:
            return
        of = {
            "weights": digest(source),
            "networks": sorted(made),
            "device": self.options.device,
            "backends": self.options.backend,
            "min_duration_s": self.options.min_duration,
        }
        if all(self.rows[row.key].get("speed_of") == of for row in rows):
            return
        protocol = Protocol(min_duration_ms=1000 * self.options.min_duration)
        found = speeds(self.device, source, made, data.test, backends=self.options.backend, protocol=protocol)
        for row in rows:
            self.rows[row.key] |= {"speed_of": of, "speed": found[row.key]}
        self.store()

    def protocol_for(self, data: str) -> Mapping[str, AttackSpec]:
        """Attacks by column: the three norms of a union, or l_inf alone."""
        union = "union" in self.table.columns
        protocol = "msd" if union and not self.options.mnist else for_data(data)
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
            "note": _MNIST_NOTE if self.options.mnist else None,
            "machine": {**machine(), "torch": torch.__version__},
            "stand_ins": self.options.mnist,
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
        if self.attacks == self.protocol:
            return words
        whole = "; ".join(sorted(map(str, self.protocol.values())))
        return f"{words}. It is cut short; the whole protocol is {whole}"


_MNIST_NOTE = (
    "**The networks are narrow ones of the same family, trained on the MNIST sample**, so the paper's figures beside\n"
    "them are of other networks on other images. Their plans have the mean rank that the paper's sizes imply, and at\n"
    "that rank narrow networks can lose far more than wide ones, VGG-16 most. Pruned networks were not trained again\n"
    "after pruning; channels that it left without use are removed."
)


def digest(source: Source) -> str:
    """The SHA-256 of the weights, which tells pruned stand-ins apart."""
    found = hashlib.sha256()
    for key, tensor in source.module.state_dict().items():
        found.update(key.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


if __name__ == "__main__":
    main()
