"""Weights in files: reading them without executing code, writing them atomically.

Two formats are read, distinguished by their first bytes: safetensors, and that of ``torch.save``. The latter is a
pickle and always opened with ``weights_only=True``: a file that needs more than tensors and plain containers is
rejected. Our own files are safetensors whose metadata name the network.

Files of other projects are normalised first, according to their family: see
:mod:`gdws.networks.checkpoints.families`.
"""

from __future__ import annotations

from gdws.networks.checkpoints.alpha_file import AlphaFile, read_alphas
from gdws.networks.checkpoints.families import FAMILIES, Family
from gdws.networks.checkpoints.files import FORMAT, read_metadata, read_torch, require_finite, save
from gdws.networks.checkpoints.loading import Checkpoint, CheckpointWarning, Loaded, load, load_named, read, read_into

__all__ = [
    "FAMILIES",
    "FORMAT",
    "AlphaFile",
    "Checkpoint",
    "CheckpointWarning",
    "Family",
    "Loaded",
    "load",
    "load_named",
    "read",
    "read_alphas",
    "read_into",
    "read_metadata",
    "read_torch",
    "require_finite",
    "save",
]
