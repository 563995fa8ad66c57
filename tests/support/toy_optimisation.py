"""Optimisations of a narrow network on the toy's images, for a simulated device."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from gdws.datasets import Dataset
from gdws.pipeline import Source
from gdws.pipeline.optimize import AccuracyLimits, Effort, Goal, Images, Setting, Task
from support.toy import toy


def narrow_source(convolutions: int) -> Source:
    """A network of so many convolutions of eight channels."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = [nn.Conv2d(8 if place else 1, 8, 3, padding=1) for place in range(convolutions)]
        layers = [layer for convolution in made for layer in (convolution, nn.ReLU())]
        module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 2))
    return Source("toy", module.eval(), (1, 8, 8), {})


def toy_task(source: Source, folder: Path, **fields: object) -> Task:
    """As fast as can be, by one round and one judgement; ``fields`` are those of the task that differ."""
    data = Dataset(
        "toy",
        2,
        toy(32, 0),
        toy(24, 1),
        toy(24, 2),
        preparation={"resize": "crop"},
        class_names=("round", "square"),
    )
    return Task(
        **{
            "source": source,
            "images": Images(data, calibration=32, validation=24, test=24, verification=8),
            "attack": None,
            "setting": Setting("onnxruntime"),
            "goal": Goal("fastest"),
            "limits": AccuracyLimits(100.0, None),
            "out": folder / "best.gdws",
            "state": folder / "state",
            "known_costs": folder / "costs",
            "effort": Effort(rounds=1, judgements=1),
            **fields,
        }
    )
