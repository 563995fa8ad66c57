"""Fine-tuning on the toy, to be started by torchrun or in one process: ``shared_descent.py OUT``.

The leading process writes the weights and the history. The network has no batch normalisation, which on CPUs would be
over the images of each process.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import nn

import gdws
from gdws._util.distributed import Workers, launched
from gdws.training import FinetuneResult, FinetuneSettings, finetune
from support.toy import DATA

SETTINGS = FinetuneSettings(
    epochs=3, batch_size=8, eps=0.1, iterations=2, validation_iterations=3, learning_rate=0.1, shift=1
)


def network() -> nn.Module:
    """A small network at mean rank 2, the same every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        dense = nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(6, 6, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(24, 2),
        )
    return gdws.convert(dense.eval(), mean_rank=2)[0]


def run(workers: Workers) -> FinetuneResult:
    """The run, on as many processes as there are."""
    return finetune(network(), DATA, SETTINGS, workers=workers)


def main() -> None:
    """Join the others, run, and write."""
    torch.set_num_threads(1)
    with launched("cpu") as workers:
        result = run(workers)
        if workers.leads:
            history = [vars(record) for record in result.history]
            content = {"processes": workers.size, "history": history, "weights": result.network.state_dict()}
            torch.save(content, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
