"""The learning rate as a function of the step, so that a resumed run needs no state for it."""

from __future__ import annotations

import math

from gdws.training.settings import DescentSettings


def learning_rate(settings: DescentSettings, step: int, total: int) -> float:
    """The rate at ``step`` of ``total``, counted from 0.

    ``one-cycle`` rises linearly over the first fifth and falls to 0 as a cosine (after Smith, 2018,
    arXiv:1803.09820). ``piecewise`` divides by 10 at one half and at three quarters (Rice et al., 2020).
    """
    if settings.schedule == "piecewise":
        done = (step + 1) / (total + 1)
        return settings.learning_rate * (1.0 if done < 0.5 else 0.1 if done < 0.75 else 0.01)
    return one_cycle(settings.learning_rate, step, total)


def one_cycle(highest: float, step: int, total: int) -> float:
    """The rate of ``one-cycle`` at ``step`` of ``total``, counted from 0."""
    done = (step + 1) / (total + 1)
    return highest * (done / 0.2 if done < 0.2 else (1 + math.cos(math.pi * (done - 0.2) / 0.8)) / 2)
