"""The agent on the device: builds engines, checks parity, measures, and reports over REST."""

from __future__ import annotations

from gdws_contract import __version__

__all__ = ["__version__"]
