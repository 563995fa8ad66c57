"""docs/first-run.md tells every check, option and exit code of the command, and figures that its source has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gdws_agent.first_run.catalogue import CHECKS
from gdws_agent.first_run.checks import clocks, rails, trtexec
from gdws_agent.first_run.command import build_parser
from gdws_agent.first_run.network import DENSE, Shape, draw
from gdws_agent.first_run.tools import tegrastats
from gdws_agent.first_run.tools import trtexec as program
from support.loading import load_script

PAGE = (Path(__file__).parents[2] / "docs" / "first-run.md").read_text()


def test_each_check_has_its_row_in_the_order_of_the_run() -> None:
    table = PAGE.partition("## What is checked")[2].partition("\n\nEach ends")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) == [check.name for check in CHECKS]


def test_each_option_has_its_row() -> None:
    options = {name for action in build_parser()._actions for name in action.option_strings if name.startswith("--")}
    table = PAGE.partition("## Options")[2].partition("| Exit")[0]
    assert set(re.findall(r"--[a-z][a-z-]*", table)) == options - {"--help"}


def test_the_exit_codes_are_those_of_the_help() -> None:
    told = re.findall(r"^\| (\d+)[ ,]", PAGE.partition("| Exit")[2], flags=re.MULTILINE)
    assert told == re.findall(
        r"^  (\d+) ", (build_parser().epilog or "").partition("exit codes:")[2], flags=re.MULTILINE
    )


def test_the_commands_name_options_that_there_are() -> None:
    commands = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL))
    for line in commands.replace("\\\n", " ").splitlines():
        arguments = line.partition("first-run ")[2].split()
        if arguments and "compose cp" not in line:
            build_parser().parse_args(arguments)
    for place in (*program.PLACES[:1], *tegrastats.PLACES[:1]):
        assert f"docker compose cp {place} agent:" in commands


@pytest.mark.parametrize(
    "words",
    [
        f"more than {trtexec.TOLERANCE:.0%}".replace("%", " %"),
        f"{rails.TOLERANCE:.0%}".replace("%", " %") + f" and {rails.TOLERANCE_W} W",
        f"checks again after {clocks._HOLD_S:.0f} s",
        f"{Shape().image_size} x {Shape().image_size} pixels",
        f"rank {Shape().rank} in each channel",
    ],
)
def test_figures_are_those_of_the_source(words: str) -> None:
    assert words in PAGE


def test_the_network_is_of_the_size_that_is_told() -> None:
    network = draw(Shape())
    assert f"{network.macs(DENSE) / 1e9:.0f} G multiply-accumulates" in PAGE
    assert f"{network.macs(DENSE) / network.macs('gather'):.1f} times fewer operations" in PAGE


def test_the_line_for_a_container_is_the_one_that_is_tested_in_containers() -> None:
    tested = load_script("tests/e2e/docker/first_run.py")
    line = " ".join(tested.COMMAND)
    assert f"docker compose exec agent {line}\n" in PAGE
    assert line in (build_parser().epilog or "")
    assert f"docker compose cp agent:{Path(tested.REPORT).parent} ." in PAGE


def test_links_lead_somewhere() -> None:
    for target, anchor in re.findall(r"\]\(([\w./-]+)(?:#([\w-]+))?\)", PAGE):
        text = (Path(__file__).parents[2] / "docs" / target).read_text()
        headings = {
            re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
            for heading in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
        }
        assert not anchor or anchor in headings
