"""A gate from its first run to its report, on a device that is made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdws.gate.settings import GateSettings
from support.bundles import tiny_bundle
from support.gate_devices import LIMITS, gate_on_it

SETTINGS = GateSettings.model_validate({"limits": {"max_slowdown_percent": LIMITS["max_slowdown_percent"]}})


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "is not known"), (b"{", "cannot be read"), (b"\xff\xfe", "cannot be read"), (b"folder", "cannot be read")],
)
def test_a_file_of_noise_is_never_needed(tmp_path: Path, content: bytes | None, words: str) -> None:
    bundle, noise = tiny_bundle(tmp_path / "tiny.gdws"), tmp_path / "noise.json"
    if content == b"folder":
        noise.mkdir()
    elif content is not None:
        noise.write_bytes(content)
    report = gate_on_it(tmp_path, bundle, bundle, SETTINGS, noise=noise)
    (device,) = report.devices
    assert (report.outcome, report.exit_code) == ("PASS", 0)
    assert len(device.notes) == 1
    assert words in device.notes[0]
