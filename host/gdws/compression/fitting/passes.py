"""Forward passes that pause at the layers of a network, so that a single pass serves all of them.

Fitting a layer needs its inputs in the network whose earlier layers are already converted. Running every image from the
start for each layer takes time quadratic in depth. Instead, the pass of each batch runs in its own thread, pauses at
the layer, and continues once the layer is replaced. Only one thread runs at any time.

A paused pass keeps the live activations in memory. If those of all batches exceed the memory limit, the remaining
batches run from the start for each layer: slower, with the same result.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from queue import SimpleQueue
from types import TracebackType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gdws.compression.layers import Conv
from gdws.errors import ModelError


class Stop(NamedTuple):
    """A pass at a call of ``convolution``: its input (B, C, H, W), and its output (B, M, H', W') if it has run."""

    convolution: Conv
    input: Tensor
    output: Tensor | None


class _Abandoned(BaseException):
    """Unwinds an abandoned pass; not an Exception, so that handlers in the network's code do not catch it."""


_here = threading.local()


class Pass:
    """The pass of one batch through a network whose convolutions have the hooks of :class:`Passes`."""

    def __init__(self, network: nn.Module, batch: Tensor) -> None:
        self._orders: SimpleQueue[Conv | None] = SimpleQueue()
        self._reports: SimpleQueue[Stop | BaseException] = SimpleQueue()
        self._awaited: Conv | None = None
        self._thread = threading.Thread(target=self._run, args=(network, batch), daemon=True)

    def advance(self, convolution: Conv) -> Stop:
        """Continue to the next call of ``convolution``.

        Raises :class:`~gdws.errors.ModelError` if there is none, and whatever the network raises.
        """
        self._orders.put(convolution)
        if self._thread.ident is None:
            self._thread.start()
        report = self._reports.get()
        if isinstance(report, Stop):
            return report
        raise report

    def close(self) -> None:
        """Abandon the pass and free its memory."""
        self._orders.put(None)
        if self._thread.ident is not None:
            self._thread.join()

    def stop(self, stop: Stop) -> None:
        """Called by the hooks, in the thread of the pass: report the call if it is awaited, and pause."""
        if stop.convolution is self._awaited:
            self._reports.put(stop)
            self._wait()

    def _wait(self) -> None:
        self._awaited = self._orders.get()
        if self._awaited is None:
            raise _Abandoned

    def _run(self, network: nn.Module, batch: Tensor) -> None:
        _here.current = self
        try:
            self._wait()
            with torch.no_grad():  # each thread has a flag of its own
                network(batch.to(next(network.parameters()).device))
            raise ModelError(
                "a layer was called less often than on the first image",
                hint="the network must take the same path for every input",
            )
        except _Abandoned:
            pass
        except BaseException as error:  # whatever the network raises is for the caller
            self._reports.put(error)


class Passes:
    """The passes of all ``batches`` (B, C, H, W) through ``network``; a context manager.

    They pause at calls of ``convolutions``: before these run, or ``after``. At most ``held`` passes are paused between
    two layers; the other batches run from the start each time.
    """

    def __init__(
        self,
        network: nn.Module,
        convolutions: Sequence[Conv],
        batches: Sequence[Tensor],
        *,
        held: int,
        after: bool = False,
    ) -> None:
        self._network, self._convolutions, self._after = network, convolutions, after
        self._batches = batches
        self._held = [Pass(network, batch) for batch in batches[:held]]

    def __enter__(self) -> Passes:
        self._handles = [
            each.register_forward_hook(_stop_after, with_kwargs=True)
            if self._after
            else each.register_forward_pre_hook(_stop_before, with_kwargs=True)
            for each in self._convolutions
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for each in self._held:
            each.close()
        for handle in self._handles:
            handle.remove()

    def at(self, calls: Sequence[Conv]) -> Generator[list[Stop], None, None]:
        """For each batch, stops at ``calls`` in the order in which the network makes them.

        A stop is only valid until the next one is requested. A weight that is called several times has separate passes,
        since the weight must be replaced before the first call is completed.
        """
        for index, batch in enumerate(self._batches):
            if len(calls) == 1 and index < len(self._held):
                yield [self._held[index].advance(calls[0])]
                continue
            fresh = Pass(self._network, batch)
            try:
                # In-place operations must not change inputs and outputs of earlier calls.
                yield [_copied(fresh.advance(call)) if len(calls) > 1 else fresh.advance(call) for call in calls]
            finally:
                fresh.close()


def _copied(stop: Stop) -> Stop:
    return Stop(stop.convolution, stop.input.clone(), None if stop.output is None else stop.output.clone())


def _stop_before(convolution: Conv, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    _stop_after(convolution, args, kwargs, None)


def _stop_after(convolution: Conv, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor | None) -> None:
    if (current := getattr(_here, "current", None)) is not None:
        current.stop(Stop(convolution, next(iter((*args, *kwargs.values()))), output))
