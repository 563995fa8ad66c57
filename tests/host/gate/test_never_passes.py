"""A gate never passes what it did not see: pairs of bundles and runs with one thing changed, and no PASS.

``make fuzz`` draws many more of them.
"""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdws.errors import GdwsError
from gdws.gate.documents import save
from gdws.gate.launch import measure_baseline
from gdws.gate.reports import GateReport
from gdws.gate.session import DeviceAccess
from gdws.gate.settings import GateSettings
from gdws_contract.archive_writer import write_bundle
from gdws_contract.manifest import Attack
from gdws_contract.measures import Flag
from gdws_contract.rest import BenchmarkResult, Cell
from support.bundles import tiny_parts
from support.gate_devices import ALONE, DEVICE, LIMITS, gate_on_it, made_up_device, unchanged

SETTINGS = GateSettings.model_validate({"limits": {**LIMITS, **ALONE}, "measure": {"batch_sizes": [1, 8]}})
ATTACK = Attack(name="pgd", norm="linf", eps=0.02, step=0.004, iterations=10, restarts=2, random_start=True, seed=0)
UNION = Attack(name="union", norm="any", parts=[ATTACK, ATTACK.model_copy(update={"norm": "l2"})])
NETWORKS = ("dense", "gdws")
#: A gate on this device takes so many runs where nothing is wrong.
RUNS = 6

numbers = itertools.count()


def write(
    path: Path, *, attack: Attack | None = ATTACK, change: Callable[[Any, Any], None] | None = None, **options: Any
) -> Path:
    """A tiny bundle, its adversarial inputs made by ``attack``; ``change`` works on its fields and members."""
    fields, members = tiny_parts(**{"variants": NETWORKS, **options})
    fields["verification"] = fields["verification"].model_copy(update={"attack": attack})
    if change is not None:
        change(fields, members)
    write_bundle(path, fields, members)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with ``main.gdws`` and the file of it as a baseline."""
    folder = tmp_path_factory.mktemp("gate")
    main = write(folder / "main.gdws")
    save_baseline(main, folder / "main.json")
    yield folder
    shutil.rmtree(folder)


def save_baseline(bundle: Path, path: Path) -> Path:
    with made_up_device():
        kept = measure_baseline(
            bundle, DEVICE, SETTINGS, runs=4, folder=path.parent, access=DeviceAccess(), say=lambda line: None
        )
    save(kept, path)
    return path


def judged(
    folder: Path, candidate: Path, baseline: str, change: Any = unchanged, asked: GateSettings = SETTINGS
) -> GateReport:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        return gate_on_it(Path(scratch), candidate, folder / baseline, asked, change)


BASELINES = st.sampled_from(["main.gdws", "main.json"])


@pytest.mark.parametrize("baseline", ["main.gdws", "main.json"])
def test_what_did_not_change_passes(folder: Path, baseline: str) -> None:
    report = judged(folder, folder / "main.gdws", baseline)
    (device,) = report.devices
    assert report.outcome == "PASS", [verdict.sentence for verdict in device.verdicts]
    assert device.finished_runs == RUNS
    assert {verdict.subject for verdict in device.verdicts if verdict.limit == "max_robust_drop_points"} == {
        f"{name}, batch {batch}, onnxruntime, fp32" for name in NETWORKS for batch in (1, 8)
    }


# What a run is measured in


def of_device(**fields: object) -> Callable[[BenchmarkResult], BenchmarkResult]:
    return lambda result: result.model_copy(update={"device": result.device.model_copy(update=fields)})


def of_environment(**fields: object) -> Callable[[Cell], Cell]:
    return lambda cell: cell.model_copy(update={"environment": {**cell.environment, **fields}})


def of_cell(**fields: object) -> Callable[[Cell], Cell]:
    return lambda cell: cell.model_copy(update=fields)


DEVICE_CHANGES = {
    "host": of_device(hostname="orin"),
    "kernel": of_device(kernel="6.9.0"),
    "L4T": of_device(l4t="36.4.0"),
    "board": of_device(board="NVIDIA Orin"),
    "agent": of_device(agent_version="0.2.0"),
    "system": of_device(os="Ubuntu 24.04"),
    "instruction set": of_device(machine="aarch64"),
    "Python": of_device(python="3.8.10"),
    "processor": of_device(cpu_model="another"),
    "cores": of_device(logical_cores=8),
    "simulated": of_device(simulated=True),
}
CELL_CHANGES = {
    "threads": of_environment(threads=4),
    "affinity": of_environment(cpu_affinity=1),
    "quota": of_environment(cpu_quota_cores=1.5),
    "governor": of_environment(cpu_governor="powersave"),
    "clock": of_environment(cpu_mhz_max=1200),
    "runtime": of_environment(backend_version="1.24.0"),
    "collector": of_environment(garbage_collector="on"),
    "power mode": of_cell(power_mode="MODE_15W"),
    "clocks": of_cell(jetson_clocks=False),
    "mode changed by others": of_cell(flags=[Flag(code="power-mode-changed", detail="somebody else chose MODE_15W")]),
    "simulated": of_cell(simulated=True),
    "no parity": of_cell(parity=None),
    "failed": of_cell(state="failed", latency=None, fps=None, rounds=[]),
}


@settings(deadline=None)
@given(BASELINES, st.sampled_from(sorted(DEVICE_CHANGES)), st.integers(1, RUNS))
def test_a_run_on_another_device_is_inconclusive(folder: Path, baseline: str, name: str, number: int) -> None:
    def change(run: int, result: BenchmarkResult) -> BenchmarkResult:
        return DEVICE_CHANGES[name](result) if run == number else result

    report = judged(folder, folder / "main.gdws", baseline, change)
    assert report.outcome == "INCONCLUSIVE"
    assert any(verdict.limit == "environment" for verdict in report.devices[0].verdicts)


@settings(deadline=None)
@given(BASELINES, st.sampled_from(sorted(CELL_CHANGES)), st.integers(1, RUNS), st.integers(0, 7))
def test_a_cell_in_other_circumstances_is_inconclusive(
    folder: Path, baseline: str, name: str, number: int, index: int
) -> None:
    def change(run: int, result: BenchmarkResult) -> BenchmarkResult:
        cells = list(result.job.cells)
        place = index % len(cells)
        cells[place] = CELL_CHANGES[name](cells[place])
        return with_cells(result, cells) if run == number else result

    assert judged(folder, folder / "main.gdws", baseline, change).outcome == "INCONCLUSIVE"


@settings(deadline=None)
@given(BASELINES, st.sets(st.integers(1, RUNS), min_size=1), st.sets(st.integers(0, 7), min_size=1))
def test_a_run_without_some_of_its_cells_is_inconclusive(
    folder: Path, baseline: str, numbers: set[int], lost: set[int]
) -> None:
    def change(run: int, result: BenchmarkResult) -> BenchmarkResult:
        cells = result.job.cells
        gone = {index % len(cells) for index in lost}
        return with_cells(result, [c for i, c in enumerate(cells) if i not in gone]) if run in numbers else result

    assert judged(folder, folder / "main.gdws", baseline, change).outcome == "INCONCLUSIVE"


@settings(deadline=None)
@given(st.sampled_from(sorted(DEVICE_CHANGES)))
def test_a_baseline_file_from_another_device_is_inconclusive(folder: Path, name: str) -> None:
    report = judged(folder, folder / "main.gdws", "main.json", lambda _, result: DEVICE_CHANGES[name](result))
    assert report.outcome == "INCONCLUSIVE"
    assert "the baseline was measured under other conditions" in report.devices[0].verdicts[0].sentence


def with_cells(result: BenchmarkResult, cells: list[Cell]) -> BenchmarkResult:
    return result.model_copy(update={"job": result.job.model_copy(update={"cells": cells})})


# What a bundle holds


def other_labels(fields: Any, members: Any) -> None:
    members["verification/labels.npy"] = members["verification/labels.npy"][:-1] + b"\x01"


def other_output(fields: Any, members: Any) -> None:
    fields["outputs"] = [fields["outputs"][0].model_copy(update={"name": "scores"})]


BUNDLES: dict[str, dict[str, Any]] = {
    **{
        f"attack: {field}": {"attack": ATTACK.model_copy(update={field: value})}
        for field, value in {
            "name": "apgd", "norm": "l2", "eps": 0.01, "step": 0.001, "iterations": 1, "restarts": 1,
            "random_start": False, "seed": 1,
        }.items()
    },
    "attack: none to tell": {"attack": None},
    "attack: of radius 0": {"attack": ATTACK.model_copy(update={"eps": 0.0})},
    "attack: a union": {"attack": UNION},
    "attack: no adversarial inputs": {"adversarial": False},
    "images": {"seed": 1},
    "count": {"count": 8},
    "labels": {"change": other_labels},
    "output": {"change": other_output},
    "a network that is gone": {"variants": ("dense",)},
    "a network that the baseline lacks": {"variants": ("dense", "gdws", "new")},
    "a network of another name": {"variants": ("dense", "gdws-2")},
}  # fmt: skip


#: Nothing of the two bundles could be compared. What a file tells of times can be, on whatever images.
REFUSED = {("main.gdws", name) for name in ("images", "count", "labels")} | {
    ("main.gdws", "output"),
    ("main.json", "output"),
}


@settings(deadline=None)
@given(BASELINES, st.sampled_from(sorted(BUNDLES)))
def test_a_bundle_with_another_attack_images_or_networks_does_not_pass(folder: Path, baseline: str, name: str) -> None:
    candidate = write(folder / f"{next(numbers)}.gdws", **BUNDLES[name])
    if (baseline, name) in REFUSED:
        with pytest.raises(GdwsError) as refused:
            judged(folder, candidate, baseline)
        assert refused.value.exit_code == 2
        return
    report = judged(folder, candidate, baseline)
    assert report.outcome == "INCONCLUSIVE"
    if name.startswith("attack: ") and "no adv" not in name:
        (sentence, *_) = [v.sentence for v in report.devices[0].verdicts if v.limit == "max_robust_drop_points"]
        assert "attack" in sentence


def test_another_union_is_another_attack(folder: Path) -> None:
    other = UNION.model_copy(update={"parts": [ATTACK, UNION.parts[1].model_copy(update={"eps": 0.5})]})
    main, candidate = write(folder / "union.gdws", attack=UNION), write(folder / "other.gdws", attack=other)
    assert judged(folder, main, "union.gdws").outcome == "PASS"
    report = judged(folder, candidate, "union.gdws")
    assert report.outcome == "INCONCLUSIVE"
    assert any("attack, part 2: eps: 0.02, then 0.5" in v.sentence for v in report.devices[0].verdicts)


def test_a_missing_network_passes_only_if_allowed(folder: Path) -> None:
    candidate = write(folder / "fewer.gdws", variants=("dense",))
    allowed = SETTINGS.with_options({}, {"allow_missing": ["gdws"]}, {})
    chosen = SETTINGS.with_options({}, {}, {"networks": ["dense"]})
    for baseline in ("main.gdws", "main.json"):
        (verdict,) = [v for v in judged(folder, candidate, baseline).devices[0].verdicts if v.limit == "coverage"]
        assert verdict.sentence == "gdws: the baseline has this network and the candidate does not: INCONCLUSIVE."
        passed = judged(folder, candidate, baseline, asked=allowed)
        assert passed.outcome == "PASS"
        assert "gdws of the baseline may be missing" in passed.devices[0].notes
        assert any("pgd-10 (linf, eps 0.02" in note.lower() for note in passed.devices[0].notes)
        assert judged(folder, candidate, baseline, asked=chosen).outcome == "PASS"


def test_a_file_of_an_earlier_release_tells_times_but_no_accuracies(folder: Path) -> None:
    document = json.loads((folder / "main.json").read_text())
    (folder / "former.json").write_text(json.dumps({**document, "schema_version": 1, "evidence": None}))
    report = judged(folder, folder / "main.gdws", "former.json")
    outcomes = {v.limit: v.outcome for v in report.devices[0].verdicts}
    assert outcomes["max_slowdown_percent"] == "PASS"
    assert outcomes["max_robust_drop_points"] == outcomes["max_natural_drop_points"] == "INCONCLUSIVE"
    assert any("record it again: gdws baseline" in v.sentence for v in report.devices[0].verdicts)


def test_a_setting_of_the_file_that_is_not_measured_is_missed(folder: Path) -> None:
    fewer = SETTINGS.with_options({}, {}, {"batch_sizes": [1]})
    report = judged(folder, folder / "main.gdws", "main.json", asked=fewer)
    assert report.outcome == "INCONCLUSIVE"
    assert any("batch 8" in v.sentence and "not measured in any run" in v.sentence for v in report.devices[0].verdicts)


def test_a_baseline_that_lost_its_accuracy_clears_nobody(folder: Path) -> None:
    """An engine of the baseline that computes something else makes its accuracy fall, and that of nobody else."""

    def change(run: int, result: BenchmarkResult) -> BenchmarkResult:
        def wrong(cell: Cell) -> Cell:
            assert cell.parity is not None
            fallen = cell.parity.natural.model_copy(update={"value": 0.0, "successes": 0})
            parity = cell.parity.model_copy(update={"passed": False, "natural": fallen})
            return cell.model_copy(update={"state": "parity_failed", "parity": parity})

        return with_cells(result, [wrong(c) if c.key.variant.startswith("baseline.") else c for c in result.job.cells])

    assert judged(folder, folder / "main.gdws", "main.gdws", change).outcome == "INCONCLUSIVE"
