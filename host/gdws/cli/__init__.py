"""The command line: one file a command, the options they share, and what they show."""

from __future__ import annotations

from gdws.cli.entry import main

__all__ = ["main"]
