"""Times of networks as a law of MACs and layouts, so that searches are tested without clocks. Standard library only."""

import random

PACE = {None: 1.0, "stacked": 1.1, "grouped": 1.6, "gather": 1.3}
_PER_NODE_MS = 0.004


def layer_ms(dense, converted):
    """What each layer takes: ``dense`` has the MACs of each, ``converted`` layout and MACs of those that are."""
    found = {}
    for name, macs in dense.items():
        layout, cost = converted.get(name, (None, macs))
        found[name] = 1e-5 * cost * PACE[layout] + (_PER_NODE_MS if name in converted else 0.0)
    return found


def latency_ms(name, dense, converted):
    """What the network called ``name`` takes; the name decides its noise."""
    noise = random.Random(name).gauss(0.0, 0.002)
    return (0.3 + sum(layer_ms(dense, converted).values())) * (1 + noise)


def profile_rows(dense, converted):
    """(source, milliseconds) of each layer as a profiler tells it, which adds its own time."""
    times = layer_ms(dense, converted)
    return [(name, 1.3 * times[name] + 0.01) for name in dense]
