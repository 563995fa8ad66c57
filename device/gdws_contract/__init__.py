"""What host and device agree on: the bundle, the REST models, the measures and the problem document.

Needs Python 3.8 and pydantic, nothing else, so that either side can read what the other wrote.
"""

from __future__ import annotations

__version__ = "0.1.0"
