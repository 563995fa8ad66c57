"""Dense and GDWS networks, in FP32 and in INT8: what each loses, and how fast each is.

    python -m benchmarks.int8 accuracy [--network NAME ...] [--forms NAME ...] [--only WHAT ...]
                                       [--images N] [--square N] [--autoattack N]
    python -m benchmarks.int8 speed [--network NAME ...] [--threads N ...] [--batch N ...] [--min-duration S]
    python -m benchmarks.int8 table

``accuracy`` makes the networks that ``--state`` does not have, and may run on a busy machine. ``speed`` is for one at
rest, whose load is recorded; its networks have weights of no accuracy, and are made in a minute. Both keep each row in
``results.json`` beside this file, go on from there the next time (``--again`` starts over), and write ``results.md``.
With ``--within MINUTES`` no row is begun after that time, and attacks by gradients end after their batch: their
accuracy is then that of fewer images, until a later run has the others. None is replaced by one on fewer.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.int8 import accuracy, speed
from benchmarks.int8.forms import FORMS, REPLAYED, SUBJECTS, Forms
from benchmarks.int8.table import table
from benchmarks.measured import machine

HERE = Path(__file__).resolve().parent
_STEPS = ("accuracy", "speed", "table")

#: What is found of a form, in this order; the costliest last.
_ACCURACIES = ("natural", "robust", "agreement", "square", "autoattack")


@dataclass(frozen=True)
class _Row:
    """A row of a network's results: its ``place`` there, and ``make``, which gives it, or None if time was out.

    ``images`` counts those that it is wanted on; None: it is not of images.
    """

    place: tuple[str, ...]
    images: int | None
    make: Callable[[], dict[str, Any] | None]

    def is_enough(self, found: dict[str, Any] | None) -> bool:
        """Whether ``found``, which the results have, is all that is wanted."""
        return found is not None and (self.images is None or _images(found) >= self.images)


def main(argv: list[str]) -> int:
    """Do what is not done yet and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=_STEPS, help="table: write results.md alone")
    parser.add_argument("--network", nargs="+", choices=list(SUBJECTS), default=list(SUBJECTS))
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS, help="whose accuracies are found")
    parser.add_argument("--only", nargs="+", choices=_ACCURACIES, default=_ACCURACIES, help="which accuracies")
    parser.add_argument("--images", type=int, default=500, help="test images that are attacked by gradients")
    parser.add_argument("--square", type=int, default=REPLAYED, help="test images that engines are attacked on")
    parser.add_argument("--autoattack", type=int, default=100, help="test images that AutoAttack tries")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--min-duration", type=float, default=3.0, help="seconds for each network and batch size")
    parser.add_argument("--within", type=float, metavar="MINUTES", default=float("inf"), help="begin no row after that")
    parser.add_argument("--state", type=Path, default=HERE / "state", help="folder of networks and unfinished rows")
    parser.add_argument("--again", action="store_true", help="do those again that are done")
    options = parser.parse_args(argv)
    end_s = time.monotonic() + 60 * options.within
    for name in options.network if options.step != "table" else ():
        for row in _rows(options, name, lambda: time.monotonic() > end_s):
            if row.is_enough(_at(_known(), name, row.place)) and not options.again:
                continue
            began = time.monotonic()
            made = row.make() if began <= end_s else None
            if made is not None:
                _put(name, row, made, options.step)
                print(f"{name}, {' '.join(row.place)}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            if not row.is_enough(made):
                print(f"out of time at {name}, {' '.join(row.place)}: run the same command again", file=sys.stderr)
                _write(_known())
                return 1
    _write(_known())
    print((HERE / "results.md").read_text())
    return 0


def _rows(options: argparse.Namespace, name: str, is_late: Callable[[], bool]) -> Iterator[_Row]:
    forms = Forms(name, options.state)
    if options.step == "speed":
        for threads in options.threads:
            measure = partial(speed.measure, forms, threads, options.batch, options.min_duration, options.state)
            yield _Row(("speed", str(threads)), None, measure)
    elif forms.has_images:
        makers: dict[str, tuple[int, Callable[[Forms, str], dict[str, Any] | None]]] = {
            "natural": (len(forms.data.test), _natural),
            "robust": (options.images, partial(_robust, images=options.images, is_late=is_late)),
            "agreement": (len(forms.data.test), _agreement),
            "square": (options.square, partial(accuracy.square, images=options.square, folder=options.state)),
            "autoattack": (options.autoattack, partial(_autoattack, images=options.autoattack, is_late=is_late)),
        }
        for what in options.only:
            images, make = makers[what]
            for form in options.forms:
                if what != "agreement" or "int8" in form:
                    yield _Row(("accuracy", form, what), images, partial(make, forms, form))


def _natural(forms: Forms, form: str) -> dict[str, Any]:
    return accuracy.natural(forms, forms.variant(form))


def _robust(forms: Forms, form: str, images: int, is_late: Callable[[], bool]) -> dict[str, Any] | None:
    return accuracy.robust(forms, forms.variant(form), images, is_late)


def _autoattack(forms: Forms, form: str, images: int, is_late: Callable[[], bool]) -> dict[str, Any] | None:
    return accuracy.autoattack(forms, forms.variant(form), images, is_late)


def _agreement(forms: Forms, form: str) -> dict[str, Any]:
    return accuracy.agreement(forms.variant(form), forms.data.test)


def _known() -> dict[str, Any]:
    path = HERE / "results.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"networks": {}}
    return found


def _at(results: dict[str, Any], name: str, place: tuple[str, ...]) -> Any:
    found = results["networks"].get(name)
    for part in place:
        found = None if found is None else found.get(part)
    return found


def _put(name: str, row: _Row, made: dict[str, Any], step: str) -> None:
    """Store ``made``, unless there is an accuracy on more images."""
    results = _known()
    network = results["networks"].setdefault(name, {})
    stored = _at(results, name, row.place)
    if stored is not None and row.images is not None and _images(stored) > _images(made):
        return
    inner = network
    for part in row.place[:-1]:
        inner = inner.setdefault(part, {})
    inner[row.place[-1]] = made
    network[f"machine_of_{step}"] = machine()
    _write(results)


def _images(found: dict[str, Any]) -> int:
    return int(found["count"] if "count" in found else found["images"])


def _write(results: dict[str, Any]) -> None:
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "results.md").write_text(table(results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
