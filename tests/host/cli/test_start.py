"""What the packages behind the commands import: torch takes seconds, and its compiler seconds more."""

from __future__ import annotations

import subprocess
import sys

import pytest

WITHOUT_TORCH = ["gdws.gate.run", "gdws.fleet.coordinator", "gdws.device.benchmark", "gdws.results.report.write"]
WITHOUT_THE_COMPILER = ["gdws.pipeline", "gdws.bundles.packing"]


@pytest.mark.parametrize(
    ("modules", "unwanted"), [(WITHOUT_TORCH, {"torch"}), (WITHOUT_THE_COMPILER, {"torchvision", "torch._dynamo"})]
)
def test_what_is_not_needed_is_not_imported(modules: list[str], unwanted: set[str]) -> None:
    code = f"import sys, {', '.join(modules)}; print(*({unwanted} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "\n"
