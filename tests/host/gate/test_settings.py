"""gdws-gate.toml: what it says, and how its errors name the field."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdws.errors import SettingsError
from gdws.gate.limits import Limits
from gdws.gate.settings import GateSettings, load_settings
from gdws_contract.rest import BenchmarkRequest

GATE = """
[limits]
max_slowdown_percent = 3
min_robust_percent = 90.5

[measure]
networks = ["dense"]
batch_sizes = [1, 8]
min_duration_s = 2

[gate]
max_runs = 12
"""


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_a_file_says_what_is_allowed(tmp_path: Path) -> None:
    found = load_settings(written(tmp_path, "gate.toml", GATE))
    assert found.limits == Limits(max_slowdown_percent=3, min_robust_percent=90.5)
    assert found.limits.needs_baseline == ("max_slowdown_percent",)
    assert (found.gate.max_runs, found.gate.error) == (12, 0.01)
    request = BenchmarkRequest.model_validate({**found.measure.request(), "model_id": "ab" * 32})
    assert request.batch_sizes == [1, 8]
    assert request.protocol.min_duration_ms == 2_000


def test_the_file_where_the_command_runs_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings(None) == GateSettings()
    written(tmp_path, "gdws-gate.toml", GATE)
    assert load_settings(None).gate.max_runs == 12


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ("[limits]\nmax_slowdwn_percent = 3", "limits.max_slowdwn_percent", "extra inputs are not permitted"),
        ("[limits]\nmax_slowdown_percent = -1", "limits.max_slowdown_percent", "greater than or equal to 0"),
        ('[limits]\nmin_fps = "fast"', "limits.min_fps", "valid number"),
        ("[limits]\nmin_robust_percent = 101", "limits.min_robust_percent", "less than or equal to 100"),
        ("[measure]\nbatch_sizes = [0]", "measure.batch_sizes[0]", "greater than or equal to 1"),
        ("[gate]\nerror = 0.5", "gate.error", "less than or equal to 0.25"),
        ("[limit]", "limit", "extra inputs are not permitted"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, text: str, field: str, words: str) -> None:
    path = written(tmp_path, "gate.toml", text)
    with pytest.raises(SettingsError, match=words) as caught:
        load_settings(path)
    assert caught.value.field == field
    assert str(path) in caught.value.message
    assert "docs/ci.md" in (caught.value.hint or "")


def test_what_is_not_toml_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"is not TOML: .*line 2"):
        load_settings(written(tmp_path, "gate.toml", "[limits]\nmin_fps == 3\n"))


def test_options_go_before_the_file(tmp_path: Path) -> None:
    found = load_settings(written(tmp_path, "gate.toml", GATE)).with_options(
        {"max_slowdown_percent": 5.0, "min_fps": None}, {"max_runs": 4}, {"networks": None, "batch_sizes": [2]}
    )
    assert found.limits == Limits(max_slowdown_percent=5, min_robust_percent=90.5)
    assert (found.gate.max_runs, found.measure.batch_sizes, found.measure.networks) == (4, [2], ["dense"])


def test_an_option_out_of_range_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"gate\.max_runs"):
        GateSettings().with_options({}, {"max_runs": 0}, {})
