"""The folder for persistent data of a user."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder() -> Path | None:
    """``GDWS_DATA_DIR``, or the folder of the XDG convention; None without a home."""
    if own := os.environ.get("GDWS_DATA_DIR"):
        return Path(own)
    if shared := os.environ.get("XDG_DATA_HOME"):
        return Path(shared, "gdws")
    try:
        return Path.home() / ".local" / "share" / "gdws"
    except RuntimeError:  # neither HOME nor an entry in the password file
        return None
