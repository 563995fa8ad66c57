"""Stored results: written whole, read back equal, garbage refused with the field."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from gdws._util.files import write_atomic
from gdws.errors import ResultError
from gdws.results.stored import load_result, parse_result, save_result
from support.benchmark_results import CUT, DENSE, KEPT, result


def test_a_saved_result_loads_equal(tmp_path: Path) -> None:
    saved = result([DENSE, KEPT, CUT], batch_sizes=(1, 8))
    path = tmp_path / "new" / "result.json"
    save_result(saved, path)
    assert load_result(path) == saved
    assert [entry.name for entry in path.parent.iterdir()] == ["result.json"]


def test_a_full_disk_leaves_the_former_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.json"
    save_result(result([DENSE]), path)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        save_result(result([DENSE, KEPT]), path)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]


def test_files_get_the_usual_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"content")
    ordinary = tmp_path / "ordinary"
    ordinary.write_bytes(b"content")
    assert path.stat().st_mode == ordinary.stat().st_mode


@pytest.mark.parametrize(
    ("content", "field", "message"),
    [
        (b"", None, "not JSON"),
        (b"\xff\xfe garbage", None, "not JSON"),
        (b"[" * 100_000, None, "not JSON"),
        (b"[1, 2]", None, "JSON object"),
        (b"{}", "schema_version", "schema version None"),
        (b'{"schema_version": 3}', "schema_version", "this release reads 1 and 2"),
        (b'{"schema_version": 1}', "job", "required"),
    ],
)
def test_what_is_no_result_is_refused(content: bytes, field: str | None, message: str) -> None:
    with pytest.raises(ResultError, match=message) as caught:
        parse_result(content, source="r.json")
    assert caught.value.field == field
    assert caught.value.hint
    assert "r.json" in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("job", "cells", 1, "latency", "median_ms"), "fast", "job.cells[1].latency.median_ms"),
        (("job", "cells", 0, "fps"), -1, "job.cells[0].fps"),
        (("job", "cells", 0, "parity", "agreement", "successes"), 10_000, "job.cells[0].parity.agreement"),
        (("job", "cells", 1, "key", "variant"), "no-such", "job.cells[1].key.variant"),
        (("manifest", "variants", 0, "onnx"), "elsewhere.onnx", "manifest"),
        (("device",), None, "device"),
    ],
)
def test_a_damaged_field_is_named(path: tuple[str | int, ...], value: object, field: str) -> None:
    document = json.loads(result([DENSE, KEPT]).model_dump_json())
    target = document
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    with pytest.raises(ResultError) as caught:
        parse_result(json.dumps(document).encode(), source="r.json")
    assert caught.value.field is not None
    assert caught.value.field.startswith(field)


def test_an_absent_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_result(tmp_path / "absent.json")
