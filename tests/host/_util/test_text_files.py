"""Every text file that a user writes, as an editor on Windows saves it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gdws._util.text_files import read_text
from gdws.cli.options.recipes import read_plans
from gdws.device.devices import choose_devices
from gdws.errors import SettingsError
from gdws.gate.baseline import load_baseline, make_baseline
from gdws.gate.evidence import evidence_of
from gdws.gate.settings import load_settings
from gdws.results.stored import load_result
from gdws_contract.plan import Plan
from support.benchmark_results import DENSE, result
from support.gate_runs import run

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16")
RESULT = result([DENSE])
BASELINE = make_baseline("m.gdws", "2026-01-02T03:04:05Z", [run(2.0)], [RESULT], {}, evidence_of(RESULT.manifest))
PLAN = Plan(layers=(), constraint="mean_rank", budget=1.0)


def devices(path: Path) -> str:
    return choose_devices("xavier", path, {})[0].url


#: A file's content, and what reading it gives.
FILES: dict[str, tuple[str, Callable[[Path], object], object]] = {
    "gate.toml": ("[limits]\r\nmin_fps = 1\r\n", lambda path: load_settings(path).limits.min_fps, 1.0),
    "devices.toml": ('[devices.xavier]\nurl = "http://xavier:8000"\n', devices, "http://xavier:8000"),
    "baseline.json": (BASELINE.model_dump_json(), load_baseline, BASELINE),
    "result.json": (RESULT.model_dump_json(), load_result, RESULT),
    "plan.json": (PLAN.to_json(), lambda path: read_plans([path])["plan"], PLAN),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", FILES)
def test_a_byte_order_mark_is_no_content(tmp_path: Path, name: str, encoding: str) -> None:
    text, read, expected = FILES[name]
    (tmp_path / name).write_bytes(text.encode(encoding))
    assert read(tmp_path / name) == expected


def test_without_a_mark_it_is_utf_8(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes("é".encode("latin-1"))
    with pytest.raises(UnicodeDecodeError):
        read_text(tmp_path / "latin")
    (tmp_path / "gate.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="is not TOML"):
        load_settings(tmp_path / "gate.toml")


def test_what_is_nested_too_deep_is_no_settings_file(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text(f"x = {'[' * 100_000}")
    with pytest.raises(SettingsError, match="is not TOML"):
        load_settings(tmp_path / "gate.toml")
