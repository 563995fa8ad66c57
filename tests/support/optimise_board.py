"""Optimises a network of one convolution for a board and prints the answer: `optimise_board.py URL FOLDER GOAL`.

GOAL is JSON with the fields of the goal and, for the least energy, the power modes to choose among. A process of its
own, for the environments with jetson-stats have no torch. The convolution has three options: one job times them all.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch import nn

from gdws.datasets import Dataset, Split
from gdws.device.client import DeviceClient
from gdws.pipeline import Source
from gdws.pipeline.optimize import AccuracyLimits, BoardState, Effort, Goal, Images, Setting, Task, Watch, optimize

SIZE = 48
#: Few windows, so that some of the ten readings a second lie in each, as long as those need; and no idle power.
PROTOCOL = (("rounds", 5), ("warmup_max_ms", 200.0), ("min_duration_ms", 0.0), ("idle_ms", 0.0))


def network() -> Source:
    """A network whose one eligible convolution takes nearly all of its time."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 128, 1),
        nn.ReLU(),
        nn.Conv2d(128, 128, (1, 2)),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(128, 2),
    )
    return Source("one-convolution", module.eval(), (1, SIZE, SIZE), {})


def split(count: int, seed: int) -> Split:
    """Noise of two classes."""
    images = torch.rand(count, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))
    return Split(images, torch.arange(count) % 2)


def main(url: str, folder: Path, goal: dict[str, object]) -> int:
    """Optimise and print."""
    torch.set_num_threads(1)
    states = tuple(BoardState(mode) for mode in goal.pop("modes", ()))  # type: ignore[attr-defined]
    task = Task(
        source=network(),
        images=Images(
            Dataset("noise", 2, split(16, 0), split(16, 1), split(16, 2)),
            calibration=16,
            validation=16,
            test=16,
            verification=4,
        ),
        attack=None,
        setting=Setting("onnxruntime", threads=1, power_mode=goal.pop("mode", None), protocol=PROTOCOL),  # type: ignore[arg-type]
        goal=Goal(**goal),  # type: ignore[arg-type]
        limits=AccuracyLimits(100.0, None),
        out=folder / "best.gdws",
        state=folder / "state",
        effort=Effort(rounds=1, judgements=2),
        states=states,
    )
    with DeviceClient(url) as device:
        found = optimize(task, device, watch=Watch(tell=lambda line: print(line, file=sys.stderr)))
    print(found.model_dump_json())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])))
