"""The processes of torchrun, which share the work; without torchrun there is one process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from gdws.errors import GdwsError

T = TypeVar("T")

#: One process may evaluate or write for a long time while the others wait.
_PATIENCE = timedelta(hours=12)


@dataclass(frozen=True)
class Workers:
    """This process among ``size`` of them; ``device`` is where it computes."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def leads(self) -> bool:
        """Whether this process prints and writes files."""
        return self.rank == 0

    def share(self, rows: torch.Tensor) -> torch.Tensor:
        """The part of ``rows`` (N,) for this process; of equal size in all if ``size`` divides N."""
        return rows[self.rank :: self.size]

    def mean(self, value: float) -> float:
        """The mean over the processes."""
        if self.size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return float(total) / self.size

    def agree(self, value: T) -> T:
        """Broadcast the value of the leading process."""
        if self.size == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def gather(self, value: T) -> list[T]:
        """Gather the values of all processes, by rank, in all of them."""
        if self.size == 1:
            return [value]
        box: list[Any] = [None] * self.size
        distributed.all_gather_object(box, value)
        return box

    def parallel(self, model: nn.Module) -> nn.Module:
        """``model`` with weights as in the leading process, whose backward pass averages gradients over all."""
        if self.size == 1:
            return model
        return DistributedDataParallel(model, device_ids=[self.device] if self.device.type == "cuda" else None)

    def synchronise(self, model: nn.Module) -> None:
        """Give ``model`` the weights and statistics that it has in the leading process."""
        if self.size > 1:
            for tensor in model.state_dict().values():
                distributed.broadcast(tensor, src=0)

    def shared_statistics(self, model: nn.Module) -> nn.Module:
        """``model`` with batch normalisation over the images of all processes.

        torch has that on GPUs alone. On the CPU each process normalises by its own share, and the running statistics
        are those of the leading process.
        """
        if self.size == 1 or self.device.type != "cuda":
            return model
        shared: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return shared


@contextmanager
def launched(device: str | torch.device = "cpu") -> Iterator[Workers]:
    """Join the processes that torchrun started, if any, within the context.

    ``cuda`` stands for one GPU a process. They talk by NCCL on GPUs and by Gloo on CPUs.
    Raises :class:`GdwsError` if there is no such device, or torchrun's processes cannot be joined.
    """
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise GdwsError(f"{device!r} is not a device of torch", hint="e.g. cpu, cuda or cuda:1") from error
    if wanted.type == "cuda" and not torch.cuda.is_available():
        raise GdwsError("torch finds no GPU here", hint="use --device cpu, or install a build of torch with CUDA")
    if not distributed.is_torchelastic_launched():
        yield Workers(device=wanted)
        return
    if wanted.type == "cuda":
        wanted = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(wanted)
    try:
        distributed.init_process_group("nccl" if wanted.type == "cuda" else "gloo", timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise GdwsError(f"the processes of torchrun cannot be joined: {error}") from error
    try:
        yield Workers(distributed.get_rank(), distributed.get_world_size(), wanted)
    finally:
        distributed.destroy_process_group()
