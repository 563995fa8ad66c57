"""The command line: one file per command, shared options, and views."""

from __future__ import annotations

from gdws.cli.entry import main

__all__ = ["main"]
