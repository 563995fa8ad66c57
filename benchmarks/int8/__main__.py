"""Dense and GDWS networks, in FP32 and in INT8: what each loses, and how fast each is.

    python -m benchmarks.int8 accuracy [--network NAME ...] [--forms NAME ...] [--images N] [--square N]
    python -m benchmarks.int8 speed [--network NAME ...] [--threads N ...] [--batch N ...] [--min-duration S]
    python -m benchmarks.int8 table

``accuracy`` makes the networks that ``--state`` does not have, and may run on a busy machine. ``speed`` is for one at
rest, whose load is recorded; its networks have weights of no accuracy, and are made in a minute. Both keep each row in
``results.json`` beside this file, go on from there the next time (``--again`` starts over), and write ``results.md``.
With ``--within MINUTES`` no row is begun after that time.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.int8 import accuracy, speed
from benchmarks.int8.forms import FORMS, REPLAYED, SUBJECTS, Forms
from benchmarks.int8.table import table
from benchmarks.measured import machine

HERE = Path(__file__).resolve().parent
_STEPS = ("accuracy", "speed", "table")

#: Where a row goes in the results of a network, and what gives it; or several rows by the last part of the place.
_Row = tuple[tuple[str, ...], Callable[[], dict[str, Any]]]


def main(argv: list[str]) -> int:
    """Do what is not done yet and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=_STEPS, help="table: write results.md alone")
    parser.add_argument("--network", nargs="+", choices=list(SUBJECTS), default=list(SUBJECTS))
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS, help="whose accuracies are found")
    parser.add_argument("--images", type=int, default=500, help="test images that are attacked by gradients")
    parser.add_argument("--square", type=int, default=REPLAYED, help="test images that engines are attacked on")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--min-duration", type=float, default=3.0, help="seconds for each network and batch size")
    parser.add_argument("--within", type=float, metavar="MINUTES", default=float("inf"), help="begin no row after that")
    parser.add_argument("--state", type=Path, default=HERE / "state", help="folder of networks and unfinished rows")
    parser.add_argument("--again", action="store_true", help="do those again that are done")
    options = parser.parse_args(argv)
    end_s = time.monotonic() + 60 * options.within
    for name in options.network if options.step != "table" else ():
        for place, make in _rows(options, name):
            if _at(_known(), name, place) is not None and not options.again:
                continue
            if time.monotonic() > end_s:
                print(f"out of time before {name}, {' '.join(place)}: run the same command again", file=sys.stderr)
                _write(_known())
                return 1
            began = time.monotonic()
            _put(name, place, make(), options.step)
            print(f"{name}, {' '.join(place)}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    _write(_known())
    print((HERE / "results.md").read_text())
    return 0


def _rows(options: argparse.Namespace, name: str) -> Iterator[_Row]:
    forms = Forms(name, options.state)
    if options.step == "speed":
        for threads in options.threads:
            measure = partial(speed.measure, forms, threads, options.batch, options.min_duration, options.state)
            yield ("speed", str(threads)), measure
    elif forms.has_images:
        for form in options.forms:
            yield ("accuracy", form, "natural"), partial(_natural, forms, form)
            yield ("accuracy", form, "robust"), partial(_robust, forms, form, options.images)
        for form in options.forms:
            if "int8" in form:
                yield ("accuracy", form, "agreement"), partial(_agreement, forms, form)
        for form in options.forms:
            yield ("accuracy", form, "square"), partial(accuracy.square, forms, form, options.square, options.state)


def _natural(forms: Forms, form: str) -> dict[str, Any]:
    return accuracy.natural(forms, forms.variant(form))


def _robust(forms: Forms, form: str, images: int) -> dict[str, Any]:
    return accuracy.robust(forms, forms.variant(form), images)


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


def _put(name: str, place: tuple[str, ...], row: dict[str, Any], step: str) -> None:
    results = _known()
    network = results["networks"].setdefault(name, {})
    inner = network
    for part in place[:-1]:
        inner = inner.setdefault(part, {})
    inner[place[-1]] = row
    network[f"machine_of_{step}"] = machine()
    _write(results)


def _write(results: dict[str, Any]) -> None:
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "results.md").write_text(table(results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
