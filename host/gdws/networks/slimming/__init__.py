"""Removes the channels that a pruned network no longer needs.

Pruning sets weights to zero. If whole channels are then constant or unused, the network can be made narrower without
changing its function: the channels are removed from convolutions, normalisation and later layers, through activations,
pooling, concatenation and residual sums. A channel of a sum is removed only if all its terms allow it.

- A channel is **dead** if no layer that the output depends on reads it with a non-zero weight.
- A channel that is **constant** for all images, like the zero filter of a pruned convolution after normalisation, need
  not be computed. If it is zero it is removed. Another constant is folded into the biases of its readers; but for a
  convolution with zero padding it has an edge, so one such channel is kept to represent all of them.

Nothing else is changed, so the function is the same up to rounding, which is checked on random images.
"""

from __future__ import annotations

from gdws.networks.slimming.slim import Slimmed, slim

__all__ = ["Slimmed", "slim"]
