"""docs/jetson.md knows every problem and flag that the agent can give, and its links lead somewhere."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from gdws_agent import errors
from gdws_agent.board.power_modes import find_mode
from gdws_agent.jobs import run, runner

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docker" / "simulated-jetson"))

from simulated_jetson import board  # noqa: E402

PAGE = (ROOT / "docs" / "jetson.md").read_text()
SOURCES = [path.read_text() for path in sorted((ROOT / "device" / "gdws_agent").rglob("*.py"))]


def written(pattern: str) -> set[str]:
    """Return the codes that the agent's sources write out behind ``pattern``."""
    return {code for source in SOURCES for code in re.findall(rf'{pattern}"([a-z-]+)"', source)}


def problem_codes() -> set[str]:
    endings = get_args(get_type_hints(runner.Ending)["kind"])
    failures = {runner.Ending(kind).code for kind in endings if kind not in ("completed", "interrupted")}
    tabled = {code for _, code in errors.TABLE.values()}
    named = {run.AGENT_DIED}
    return tabled | failures | named | written(r"make_problem\(\s*\d+,\s*")


def flag_codes() -> set[str]:
    return written(r"Flag\(\s*(?:code=)?")


@pytest.mark.parametrize("code", sorted(problem_codes() | flag_codes()))
def test_each_code_has_its_line(code: str) -> None:
    assert re.search(rf"^\|.*`{code}`.*\|.*\|", PAGE, flags=re.MULTILINE)


def test_no_line_is_about_a_code_that_is_gone() -> None:
    tables = PAGE.partition("### Problem codes")[2].partition("## Without a Jetson")[0]
    listed = {
        code
        for cell in re.findall(r"^\| (`[^|]*) \|", tables, flags=re.MULTILINE)
        for code in re.findall(r"`([a-z-]+)`", cell)
    }
    assert listed == problem_codes() | flag_codes()


def test_power_modes_bear_the_names_that_the_board_has() -> None:
    table = PAGE.partition("The modes of an AGX Xavier:")[2].partition("###")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \|", table, flags=re.MULTILINE)
    assert rows == [(mode.name, str(number), str(mode.cpus)) for number, mode in enumerate(board.POWER_MODES)]


def test_power_modes_in_examples_are_found_among_them() -> None:
    names = [mode.name for mode in board.POWER_MODES]
    asked = re.findall(r'--power-mode (\w+)|"power_modes": \["(\w+)"', PAGE)
    assert asked
    for pair in asked:
        assert find_mode("".join(pair), names) == "MAXN"


def test_links_within_the_page_lead_somewhere() -> None:
    titles = {
        re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in re.findall(r"^#+ (.*)$", PAGE, flags=re.M)
    }
    links = set(re.findall(r"\]\(#([^)]+)\)", PAGE))
    assert links
    assert links <= titles
