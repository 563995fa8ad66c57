"""The noise of a device, and baselines kept in files: what they hold, and when they count."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from gdws.errors import GdwsError, ResultError
from gdws.gate.baseline import load_baseline, make_baseline
from gdws.gate.documents import save
from gdws.gate.evidence import evidence_of
from gdws.gate.facts import NetworkFacts
from gdws.gate.noise import Noise, changes, circumstances, default_path, load_noise, own_path, spreads
from gdws.gate.sequential import Spread
from gdws_contract.archive import open_bundle
from gdws_contract.findings.setting import Setting
from gdws_contract.rest import Protocol
from support.benchmark_results import DENSE, parity_failed_cell, result
from support.gate_runs import DENSE_SUBJECT, SETTING, run

RUNS = [run(2.0, 1.9), run(2.1, 2.0), run(2.2, 2.3), run(2.0, 2.0)]
EVIDENCE = evidence_of(result([DENSE]).manifest)
NOISE = Noise(
    device="xavier",
    backend="onnxruntime",
    network="dense of mnist",
    measured_at="2026-01-02T03:04:05Z",
    environment=circumstances(result([DENSE]), "onnxruntime"),
    spreads=spreads(RUNS, DENSE_SUBJECT),
)


def test_the_spread_is_that_of_the_logarithms() -> None:
    ratios = np.log(np.array([2.0, 2.1, 2.2, 2.0]) / np.array([1.9, 2.0, 2.3, 2.0]))
    own = np.log([2.0, 2.1, 2.2, 2.0])
    assert NOISE.spread(SETTING, "latency", True) == Spread(pytest.approx(ratios.std(ddof=1)), 4)
    assert NOISE.spread(SETTING, "latency", False) == Spread(pytest.approx(own.std(ddof=1)), 4)


def test_what_was_not_measured_is_not_known() -> None:
    assert NOISE.spread(SETTING, "energy", True) is None
    assert NOISE.spread(Setting("onnxruntime", "fp32", 8), "latency", True) is None
    assert spreads(RUNS[:2], DENSE_SUBJECT) == []


def test_noise_survives_its_file(tmp_path: Path) -> None:
    save(NOISE, tmp_path / "deep" / "noise.json")
    assert load_noise(tmp_path / "deep" / "noise.json") == NOISE
    assert load_noise(tmp_path / "absent.json") is None


@pytest.mark.parametrize(
    ("content", "words"), [("{", "is not JSON"), ("{}", "field required"), ('{"kind": "gdws-baseline"}', "noise")]
)
def test_what_is_no_noise_is_refused(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "noise.json").write_text(content)
    with pytest.raises(ResultError, match=words):
        load_noise(tmp_path / "noise.json")


def test_it_holds_for_the_protocol_and_the_device_it_was_measured_with() -> None:
    seeded = result([DENSE], protocol=Protocol(seed=7))
    longer = result([DENSE], protocol=Protocol(rounds=20))
    assert changes(NOISE.environment, seeded, "onnxruntime") == ()
    assert [each.what for each in changes(NOISE.environment, longer, "onnxruntime")] == ["protocol: rounds"]
    (device,) = changes(NOISE.environment, result([DENSE], hostname="orin"), "onnxruntime")
    assert device.what == "device"


def test_it_is_kept_by_device_and_backend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GDWS_DATA_DIR", str(tmp_path))
    assert default_path("xavier/../x", "tensorrt") == tmp_path / "noise" / "xavier-..-x" / "tensorrt.json"
    monkeypatch.delenv("GDWS_DATA_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_path("xavier", "tensorrt") == Path("/data/gdws/noise/xavier/tensorrt.json")


def test_without_a_home_folder_there_is_no_noise_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for variable in ("GDWS_DATA_DIR", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert default_path("xavier", "tensorrt") is None
    assert load_noise(None) is None
    with pytest.raises(GdwsError, match="no home folder"):
        own_path("xavier", "tensorrt")


# Baselines


def test_a_baseline_survives_its_file_and_becomes_a_reference(tmp_path: Path) -> None:
    kept = make_baseline(
        "model.gdws", "2026-01-02T03:04:05Z", RUNS, [result([DENSE])], {"dense": NetworkFacts(7)}, EVIDENCE
    )
    save(kept, tmp_path / "baseline.json")
    loaded = load_baseline(tmp_path / "baseline.json")
    assert loaded == kept
    reference = loaded.reference()
    assert reference.figures[DENSE_SUBJECT, "latency"] == pytest.approx(tuple(map(math.log, (2.0, 2.1, 2.2, 2.0))))
    assert reference.figures[DENSE_SUBJECT, "energy"] == ()
    assert reference.accuracies[DENSE_SUBJECT, "natural"].successes == 126
    assert json.loads((tmp_path / "baseline.json").read_text())["sizes"] == {"dense": 7}


def test_a_baseline_says_what_is_not_as_it_was() -> None:
    kept = make_baseline("model.gdws", "2026-01-02T03:04:05Z", RUNS, [result([DENSE])], {}, EVIDENCE)
    assert kept.mismatches(result([DENSE], protocol=Protocol(seed=3))) == ()
    assert [str(each) for each in kept.mismatches(result([DENSE], hostname="orin"))] == [
        "device: bench-host, then orin"
    ]


def test_what_is_no_baseline_is_refused_with_the_way_to_one(tmp_path: Path) -> None:
    (tmp_path / "baseline.json").write_text("[]")
    with pytest.raises(ResultError) as caught:
        load_baseline(tmp_path / "baseline.json")
    assert caught.value.hint == "measure it again: gdws baseline"


def test_a_baseline_of_an_earlier_release_is_read_and_tells_no_evidence(tmp_path: Path) -> None:
    kept = make_baseline("model.gdws", "2026-01-02T03:04:05Z", RUNS, [result([DENSE])], {}, EVIDENCE)
    fields = kept.model_dump(mode="json", exclude={"evidence"})
    (tmp_path / "baseline.json").write_text(json.dumps({**fields, "schema_version": 1}))
    former = load_baseline(tmp_path / "baseline.json")
    assert (former.evidence, former.entries) == (None, kept.entries)


def test_the_evidence_of_a_baseline_of_schema_2_is_that_of_its_bundle() -> None:
    tests = Path(__file__).parents[2]
    with open_bundle(tests / "contract" / "files" / "classifier-v1.gdws") as bundle:
        assert load_baseline(tests / "host" / "gate" / "files" / "baseline-v2.json").evidence == evidence_of(
            bundle.manifest
        )


def test_a_baseline_keeps_no_accuracy_of_an_engine_that_failed_parity() -> None:
    runs = [run(2.0), run(parity_failed_cell(DENSE, 1))]
    (entry,) = make_baseline("model.gdws", "2026-01-02T03:04:05Z", runs, [result([DENSE])], {}, EVIDENCE).entries
    assert (entry.natural, entry.robust) == (None, None)
