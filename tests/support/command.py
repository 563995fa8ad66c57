"""The command line, called in the test's own process."""

from __future__ import annotations

from typer.testing import CliRunner, Result

from gdws.cli.entry import app


def gdws(*arguments: object, **environment: str) -> Result:
    """Run ``gdws`` with ``arguments`` and return its exit code and what it wrote; ``environment`` is added to ours."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)
