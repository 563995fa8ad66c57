"""``python -m gdws`` is the command ``gdws``."""

from __future__ import annotations

from gdws.cli.entry import main

main()
