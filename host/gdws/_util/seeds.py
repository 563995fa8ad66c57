"""Independent seeds derived from one: every random draw names its purpose.

A draw that depends on a seed and a name, not on what was drawn before it, can be repeated alone.
That is what makes long work resumable without storing the state of a generator.
"""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A seed in [0, 2^63) for one purpose, e.g. ``derive_seed(0, "epoch", 3)``."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
