"""Every benchmark can be imported, and uses the product as it is."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in ROOT.glob("benchmarks/**/*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_a_benchmark_can_be_imported(name: str) -> None:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("benchmarks", "gdws", "gdws_agent", "gdws_contract"):
            raise
        pytest.skip(f"it needs {error.name}, which is not installed")


def test_the_overhead_of_the_agent_is_measured_on_its_own_engine() -> None:
    found = importlib.import_module("benchmarks.timing_agreement.__main__").overhead_us()
    assert found.keys() == {"within", "between"}
    assert found["within"] > 0
