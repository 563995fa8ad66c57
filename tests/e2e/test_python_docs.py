"""The whole example of docs/python.md runs as it is printed, on a narrow network of the same kind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gdws import pipeline
from gdws_contract.archive import open_bundle
from support.tiny import tiny_checkpoint

TEXT = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")


def test_the_example_goes_from_a_checkpoint_to_a_description(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [example] = [block for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if "pipeline.load(" in block]
    small = pipeline.load(str(tiny_checkpoint(tmp_path)))
    monkeypatch.setattr(pipeline, "load", lambda name: small)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "docs/python.md", "exec"), {"__name__": "example"})
    with open_bundle(tmp_path / "model.gdws") as bundle:
        bundle.verify()
        variants = bundle.manifest.variants
    assert [variant.name for variant in variants] == ["dense", "mean-rank-2-stacked", "data-rank-2-stacked"]
    assert all(variant.evaluation is not None for variant in variants)
    shown = capsys.readouterr().out
    assert "data-aware, mean_rank=2, fitted to 64 images, stacked" in shown
    assert "'robust': " in shown
