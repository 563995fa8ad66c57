"""The formats of other tools, against what those tools document."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from gdws.errors import ResultError
from gdws.results.exporters import Format, export
from support.benchmark_results import DENSE, KEPT, attacked_cell, failed_cell, jetson_result, result

#: The schema that bencher.dev/docs/reference/bencher-metric-format publishes.
BENCHER = {
    "type": "object",
    "patternProperties": {
        ".+": {
            "type": "object",
            "patternProperties": {
                ".+": {
                    "type": "object",
                    "properties": {name: {"type": "number"} for name in ("value", "lower_value", "upper_value")},
                    "required": ["value"],
                    "additionalProperties": False,
                }
            },
        }
    },
}
#: What github-action-benchmark's README asks of its custom tools.
GITHUB_ACTION_BENCHMARK = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            **{name: {"type": "string", "minLength": 1} for name in ("name", "unit", "range", "extra")},
            "value": {"type": "number"},
        },
        "required": ["name", "unit", "value"],
        "additionalProperties": False,
    },
}
PATH = "mnist-preact-resnet/dense/tensorrt/fp16/batch-1/power-mode-MAXN"


def exported(folder: Path, form: Format, **options: Any) -> Any:
    export(jetson_result([DENSE, KEPT]), folder / "out", form, **options)
    return json.loads((folder / "out").read_text())


def test_what_engines_withstand_is_exported(tmp_path: Path) -> None:
    attacked = result([DENSE], cells=[attacked_cell(DENSE, 20)])
    export(attacked, tmp_path / "bencher", "bencher")
    document = json.loads((tmp_path / "bencher").read_text())
    jsonschema_rs.validate(BENCHER, document)
    (measures,) = document.values()
    assert measures["square-robust-accuracy-percent"]["value"] == 80.0
    assert "latency" not in measures

    export(attacked, tmp_path / "github", "github-action-benchmark", direction="bigger")
    entries = json.loads((tmp_path / "github").read_text())
    jsonschema_rs.validate(GITHUB_ACTION_BENCHMARK, entries)
    assert [each["value"] for each in entries if "Square Attack" in each["name"]] == [80.0]
    with pytest.raises(ResultError, match="no figures of which smaller is better"):
        export(attacked, tmp_path / "github", "github-action-benchmark", direction="smaller")

    export(attacked, tmp_path / "csv", "csv")
    (row,) = csv.DictReader((tmp_path / "csv").read_text().splitlines())
    assert (row["attack_robust"], row["attack_queries"]) == ("0.8", str(attacked.job.cells[0].attack.queries))
    assert row["attack"] == "Square Attack (linf, eps 0.2, 1,000 queries for each image)"
    assert row["median_ms"] == ""


def test_bencher_gets_nanoseconds_and_bounds(tmp_path: Path) -> None:
    document = exported(tmp_path, "bencher")
    jsonschema_rs.validate(BENCHER, document)
    measures = document[PATH]
    assert set(measures) == {
        "latency",
        "latency-p99-ns",
        "throughput",
        "energy-mj",
        "natural-accuracy-percent",
        "robust-accuracy-percent",
    }
    assert measures["latency"]["value"] == pytest.approx(2e6, rel=1e-3)
    assert measures["latency"]["lower_value"] < measures["latency"]["value"] < measures["latency"]["upper_value"]
    assert measures["throughput"]["value"] == pytest.approx(1000 / 2.04)
    assert measures["natural-accuracy-percent"]["value"] == pytest.approx(100 * 126 / 128)
    assert len(document) == 2


def test_github_action_benchmark_gets_one_direction_a_file(tmp_path: Path) -> None:
    smaller = exported(tmp_path, "github-action-benchmark")
    bigger = exported(tmp_path, "github-action-benchmark", direction="bigger")
    for document in (smaller, bigger):
        jsonschema_rs.validate(GITHUB_ACTION_BENCHMARK, document)
    units = {
        entry["name"].removeprefix(f"{PATH}: "): entry["unit"] for entry in smaller + bigger if PATH in entry["name"]
    }
    assert units == {
        "latency": "ms",
        "p99 latency": "ms",
        "energy": "mJ",
        "throughput": "images/s",
        "natural accuracy": "percent",
        "robust accuracy": "percent",
    }
    names = [entry["name"] for entry in smaller + bigger]
    assert len(set(names)) == len(names) == 12
    assert "device: xavier" in smaller[0]["extra"]


def test_csv_is_that_of_the_report(tmp_path: Path) -> None:
    export(result([DENSE, KEPT]), tmp_path / "out.csv", "csv")
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert [row["variant"] for row in rows] == ["dense", "mean-rank-4"]


@pytest.mark.parametrize("form", ["bencher", "github-action-benchmark"])
def test_a_result_without_times_has_nothing_to_export(tmp_path: Path, form: Format) -> None:
    with pytest.raises(ResultError, match="no times"):
        export(result([DENSE], cells=[failed_cell(DENSE, 1, "killed")]), tmp_path / "out", form)
    assert not list(tmp_path.iterdir())


def test_what_was_not_measured_is_left_out(tmp_path: Path) -> None:
    made = result([DENSE])
    bare = made.job.cells[0].model_copy(update={"parity": None, "fps": None, "rounds": []})
    export(result([DENSE], cells=[bare]), tmp_path / "out", "bencher")
    (measures,) = json.loads((tmp_path / "out").read_text()).values()
    assert set(measures) == {"latency", "latency-p99-ns"}
    assert measures["latency"] == {"value": pytest.approx(2e6)}
