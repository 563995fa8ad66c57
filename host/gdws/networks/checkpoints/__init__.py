"""Weights in files: reading them without running code, writing them whole.

Two forms are read, told apart by their first bytes: safetensors, and what ``torch.save`` writes.
The latter is a pickle and is opened with ``weights_only=True``, always: a file that needs more than
tensors and plain containers is refused. Our own files are safetensors whose metadata name the network.

Files of other projects are put in order first, by the family they belong to: see
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
