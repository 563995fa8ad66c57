"""How far what was aimed at is reached, in sentences that are made from the results."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.int8.accuracy import changes
from benchmarks.int8.speed import DENSE_INT8
from gdws.bundles.variant import BASELINE
from gdws_contract.findings.accuracy import AccuracyChange

#: What INT8 itself may cost, in points, by the kind of accuracy.
_MAY_COST = {"natural": 0.3, "robust": 0.5, "autoattack": 0.5, "square": 0.5}
#: What INT8 and GDWS together may cost against the dense network in FP32.
_TOGETHER = 1.0
_CALLED = {"natural": "natural", "robust": "PGD", "autoattack": "PGD and AutoAttack", "square": "Square"}
_THREADS = {"1": "one thread", "2": "two threads"}
_INT8 = "-int8"
_WIDTH = 120

_Networks = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class _Aim:
    """A form of GDWS in INT8, ``how`` it is made, and how many times as fast as ``rival`` it is to be, by threads.

    Its speed is that of the form ``timed``: training changes no time. Its accuracy is that of ``judged``, which is
    None where another aim has it. ``networks`` are all where it is None.
    """

    how: str
    timed: str
    judged: str | None
    rival: str
    by_threads: Mapping[str, float]
    networks: tuple[str, ...] | None = None

    def of(self, networks: _Networks) -> _Networks:
        """Those that the aim is for."""
        return {name: each for name, each in networks.items() if self.networks is None or name in self.networks}


_AIMS = (
    _Aim("rank 2 untrained", "rank-2-int8", "rank-2-int8", DENSE_INT8, {"1": 1.6, "2": 1.4}),
    _Aim("rank 1 distilled", "rank-1-int8", "rank-1-distilled-int8", DENSE_INT8, {"1": 2.2, "2": 1.8}),
    _Aim("rank 2", "rank-2-int8", None, BASELINE, {"1": 6.0}, ("preact-resnet18",)),
    _Aim("rank 1", "rank-1-int8", None, BASELINE, {"1": 10.0}, ("preact-resnet18",)),
)


def sentences(results: Mapping[str, Any]) -> list[str]:
    """Items of a Markdown list: accuracies, speeds, and what a second thread gives."""
    networks: _Networks = results["networks"]
    found = [*_int8_itself(networks), *_together(networks), *_speeds(networks), *_second_thread(networks)]
    return [textwrap.fill(f"- {each}", _WIDTH, subsequent_indent="  ", break_on_hyphens=False) for each in found]


def _int8_itself(networks: _Networks) -> Iterator[str]:
    for what, limit in _MAY_COST.items():
        said = []
        for name, network in networks.items():
            accuracies = network.get("accuracy", {})
            found = changes(accuracies, what, lambda form: form.removesuffix(_INT8) if form.endswith(_INT8) else None)
            costs = [
                f"`{form.removesuffix(_INT8)}` {_change(change)} of {accuracies[form][what]['count']}, "
                f"{_verdict(change, limit)}"
                for form, change in found.items()
            ]
            if costs:
                said.append(f"{name}: {'; '.join(costs)}")
        if said:
            yield f"INT8 itself may cost {limit:g} points ({_CALLED[what]}). {'. '.join(said)}."


def _together(networks: _Networks) -> Iterator[str]:
    for aim in _AIMS:
        said = []
        for name, network in aim.of(networks).items():
            costs = [
                f"{_CALLED[what]} {_change(change)}, {_verdict(change, _TOGETHER)}"
                for what, change in _over_dense(network.get("accuracy", {}), aim.judged)
            ]
            if costs:
                said.append(f"{name}: {'; '.join(costs)}")
        if said:
            yield f"INT8 at {aim.how} may cost {_TOGETHER:g} point against `{BASELINE}`. {'. '.join(said)}."


def _over_dense(accuracies: dict[str, dict[str, Any]], form: str | None) -> Iterator[tuple[str, AccuracyChange]]:
    for what in _MAY_COST:
        found = changes(accuracies, what, lambda name: BASELINE if name == form else None)
        if form in found:
            yield what, found[form]


def _verdict(change: AccuracyChange, limit: float) -> str:
    """Whether no more than ``limit`` points are lost, as far as the interval tells."""
    kept = "kept" if change.points >= -limit else "not kept"
    return kept if change.low >= -limit or change.high < -limit else f"{kept} as measured"


def _speeds(networks: _Networks) -> Iterator[str]:
    for aim in _AIMS:
        key = "over_dense" if aim.rival == BASELINE else "over_dense_int8"
        for threads, least in aim.by_threads.items():
            said = []
            for name, network in aim.of(networks).items():
                batches = network.get("speed", {}).get(threads, {})
                timed = {size: rows.get(aim.timed, {}) for size, rows in batches.items()}
                ratios = [
                    f"{row[key]['ratio']:.2f} at batch {size}, {_reached(row[key], least)}"
                    for size, row in timed.items()
                    if key in row
                ]
                if ratios:
                    said.append(f"{name}: {'; '.join(ratios)}")
            if said:
                yield (
                    f"INT8 at {aim.how} is to be {least:g} times as fast as `{aim.rival}` on {_THREADS[threads]}. "
                    f"{'. '.join(said)}."
                )


def _reached(ratio: Mapping[str, float], least: float) -> str:
    reached = "reached" if ratio["ratio"] >= least else "not reached"
    return reached if ratio["low"] >= least or ratio["high"] < least else f"{reached} as measured"


def _second_thread(networks: _Networks) -> Iterator[str]:
    said = []
    for name, network in networks.items():
        one, two = (network.get("speed", {}).get(threads, {}).get("1", {}) for threads in _THREADS)
        gains = [
            f"`{form}` {one[form]['median_ms'] / two[form]['median_ms']:.2f}"
            for form in one
            if "median_ms" in one[form] and "median_ms" in two.get(form, {})
        ]
        if gains:
            said.append(f"{name}: {', '.join(gains)}")
    if said:
        yield f"Speed at batch 1 on two threads over that on one. {'. '.join(said)}."


def _change(change: AccuracyChange) -> str:
    return f"{change.points:+.2f} ({change.low:+.2f} to {change.high:+.2f})"
