"""What the table of others' networks says of stored figures, and what is to be done again."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.any_network.__main__ import _is_done
from benchmarks.any_network.networks import NETWORKS, Network
from benchmarks.any_network.reading import same_text, same_text_blank_last
from benchmarks.any_network.table import table
from benchmarks.any_network.trial import bundle_of

ONE = Network("a network", "detection", "it==1.0", "it.onnx", "photographs")
OTHER = Network("another", "classification", "it==1.0", "other.onnx", "photographs")


def made(**changes: Any) -> dict[str, Any]:
    dense = {"macs": 300, "parameters": 9, "converted": 0, "metrics": {"detections_kept": 1.0}}
    small = {**dense, "macs": 100, "converted": 2, "metrics": {"detections_kept": 0.912, "largest_error.boxes": 3.0}}
    found = {
        "task": "detection",
        "package": "it==1.0",
        "bundle": "abc",
        "origin": "network",
        "convolutions": 3,
        "kept_as_graph": None,
        "variants": {"dense": dense, "small": small},
    }
    return {**found, **changes}


def measured(bundle: str = "abc", **cell: Any) -> dict[str, Any]:
    speed = {"state": "done", "reason": None, "speedup": 1.5, "interval": {"low": 1.4, "high": 1.6}}
    return {"bundle": bundle, "load_before": 0.12, "variants": {"small": {**speed, **cell}}}


def row(found: dict[str, Any]) -> str:
    [line] = [line for line in table([ONE], {ONE.name: found}).splitlines() if line.startswith("| a network")]
    return line


def test_a_row():
    assert row({"convert": made(), "measure": measured()}) == (
        "| a network | detection | `it==1.0` | 2 of 3 | 3.00 times fewer | detections kept 1 | detections kept 0.912 "
        "| 1.50 [1.40, 1.60], load 0.1 |"
    )


def test_a_time_belongs_to_the_bundle_that_was_measured():
    assert "not measured yet" in row({"convert": made()})
    assert "not measured yet" in row({"convert": made(), "measure": measured("another")})
    assert "out of memory" in row({"convert": made(), "measure": measured(speedup=None, reason="out of memory")})
    assert not _is_done("measure", ONE, {"convert": made(), "measure": measured("another")})
    assert not _is_done("measure", ONE, {"convert": made()})
    assert _is_done("measure", ONE, {"convert": made(), "measure": measured()})


def test_what_is_to_be_measured_is_in_the_cache_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert not _is_done("convert", ONE, {})
    assert not _is_done("convert", ONE, {"convert": made()})
    assert _is_done("convert", ONE, {"convert": {"refused": "no layer"}})
    bundle_of(ONE).parent.mkdir(parents=True)
    bundle_of(ONE).touch()
    assert _is_done("convert", ONE, {"convert": made()})


def test_accuracy_is_of_labels_that_people_gave():
    dense = {"macs": 1, "parameters": 1, "converted": 0, "metrics": {"natural_accuracy": 0.5}}
    for origin, word in (("labelled", "accuracy 0.5"), ("network", "agreement 0.5")):
        assert f"| {word} |" in row({"convert": made(origin=origin, variants={"dense": dense, "small": dense})})


def test_what_was_refused_or_stayed_a_graph_says_why():
    found = {
        ONE.name: {"convert": made(kept_as_graph="/a/folder/it.onnx: an LSTM | it stays")},
        OTHER.name: {"convert": {"task": "classification", "package": "it", "refused": "no | layer"}},
    }
    shown = table([ONE, OTHER], found)
    assert "1 networks of 1 tasks were converted; 1 were not" in shown
    assert "2 of 3, in the graph" in shown
    nothing = made(variants={name: {**each, "converted": 0} for name, each in made()["variants"].items()})
    assert "0 networks of 0 tasks were converted; 1 were not" in table([ONE], {ONE.name: {"convert": nothing}})
    assert "- a network: it.onnx: an LSTM" in shown
    assert "no \\| layer" in shown


def test_names_of_files_differ():
    assert len({network.slug for network in NETWORKS}) == len(NETWORKS) >= 12
    assert len({network.task for network in NETWORKS}) >= 5


def test_texts_are_the_same_up_to_repeats_and_blanks():
    def scores(*rows: list[int]) -> torch.Tensor:
        return torch.nn.functional.one_hot(torch.tensor(rows), 3).float()

    found, wanted = scores([1, 0, 2, 2], [1, 1, 1, 2]), scores([1, 1, 0, 2], [1, 0, 1, 2])
    assert same_text(found, wanted).tolist() == [1, 0]
    found, wanted = scores([1, 1], [1, 2]), scores([1, 2], [1, 1])
    assert same_text(found, wanted).tolist() == [0, 0]
    assert same_text_blank_last(found, wanted).tolist() == [1, 1]
