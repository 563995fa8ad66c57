"""Channels that a pruned network no longer needs, taken out for real.

Pruning sets weights to zero. Where that leaves whole channels that are always the same or that nothing reads, the
network can be narrower and compute the same: convolutions, normalisation and the layers that follow lose the channels,
through activations, pooling, concatenation and residual sums. A channel of a sum goes only if it goes in all its parts.

- A channel is **dead** if nothing that the output depends on reads it, by a weight other than zero.
- A channel that is **constant**, whatever the image, like the zero filter of a pruned convolution after normalisation,
  need not be computed. Zero it is left out. Another constant goes into the bias of who reads it; but a convolution that
  pads with zeros sees an edge in it, so there one such channel stays and stands for all.

Nothing else is changed, so the function is the same up to rounding. That is checked on random images.
"""

from __future__ import annotations

from gdws.networks.slimming.slim import Slimmed, slim

__all__ = ["Slimmed", "slim"]
