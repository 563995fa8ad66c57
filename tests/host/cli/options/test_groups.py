from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner, Result

from gdws.cli.options.groups import with_groups

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No bars.")]


@dataclass(frozen=True)
class Place:
    """Where something goes."""

    folder: Annotated[Path, typer.Argument(help="A folder.")]
    depth: Annotated[int, typer.Option("--depth", min=1, help="How deep.")] = 2


@dataclass(frozen=True)
class DeepPlace(Place):
    """The same with another default."""

    depth: Annotated[int, typer.Option("--depth", min=1, help="How deep.")] = 9


def go(*arguments: str, group: type = Place) -> tuple[Result, list[object]]:
    seen: list[object] = []

    def command(place, quiet=False):
        """Go there."""
        seen.extend([place, quiet])

    command.__annotations__ = {"place": group, "quiet": Quiet}
    app = typer.Typer()
    app.command()(with_groups(command))
    return CliRunner().invoke(app, arguments), seen


def test_a_command_gets_its_groups_whole() -> None:
    found, seen = go("somewhere", "--depth", "3", "-q")
    assert found.exit_code == 0
    assert seen == [Place(Path("somewhere"), 3), True]


def test_defaults_are_those_of_the_group() -> None:
    assert go("x")[1] == [Place(Path("x"), 2), False]
    assert go("x", group=DeepPlace)[1] == [DeepPlace(Path("x"), 9), False]


@pytest.mark.parametrize("arguments", [(), ("x", "--depth", "0"), ("x", "--height", "1")])
def test_each_option_is_checked_as_it_says(arguments: tuple[str, ...]) -> None:
    found, seen = go(*arguments)
    assert found.exit_code == 2
    assert not seen


def test_help_has_every_option_and_the_text_of_the_command() -> None:
    text = go("--help")[0].output
    assert all(words in text for words in ("Go there.", "A folder.", "--depth", "How deep.", "No bars."))


def test_an_option_that_two_groups_spell_is_refused() -> None:
    def command(place, again):
        pass

    command.__annotations__ = {"place": Place, "again": DeepPlace}
    with pytest.raises(ValueError, match="twice"):
        with_groups(command)
