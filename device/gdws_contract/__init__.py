"""The contract between host and device: bundles, REST models, measures and problem documents.

Needs Python 3.8 and pydantic, nothing else, so that either side can read what the other wrote.
"""

from __future__ import annotations

__version__ = "0.1.0"
