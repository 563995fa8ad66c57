"""Times of a torch graph's single calls, taken by hooks before and after each."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable, Dict, List, NamedTuple, Sequence, Tuple

from gdws_agent.backends.layer_times import Timed

from .eager import EagerNetwork, Node

if TYPE_CHECKING:
    import torch

#: The first runs choose algorithms and allocate.
_WARM_UP_RUNS = 3


class Clock(NamedTuple):
    """``mark`` notes a point in time, ``settle`` waits for all that was begun, ``between`` is of two marks, in ms."""

    mark: Callable[[], Any]
    settle: Callable[[], None]
    between: Callable[[Any, Any], float]


def host_clock() -> Clock:
    """Return the clock of this process: right where a call returns when its work is done, as on the CPU."""
    return Clock(
        mark=time.perf_counter_ns,
        settle=lambda: None,
        between=lambda start, end: (end - start) / 1e6,
    )


def cuda_clock(torch: Any) -> Clock:
    """Return the clock of the GPU: events in the current stream."""

    def mark() -> Any:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    return Clock(
        mark=mark,
        settle=lambda: torch.cuda.current_stream().synchronize(),
        between=lambda start, end: float(start.elapsed_time(end)),
    )


def profile_calls(network: EagerNetwork, run: Callable[[], object], iterations: int, clock: Clock) -> List[Timed]:
    """Return the calls of ``network`` in the order in which they are made, timed over ``iterations`` runs.

    Each is called by the name and operator of its ONNX node. What ``run`` raises is passed on.
    """
    totals: Dict[str, float] = {}
    spans: List[Tuple[str, Any, Any]] = []
    for _ in range(_WARM_UP_RUNS):
        run()
    handles = _hook(network.module, _targets(network.module), clock, spans)
    try:
        for _ in range(iterations):
            spans.clear()
            run()
            clock.settle()
            for target, start, end in spans:
                totals[target] = totals.get(target, 0.0) + clock.between(start, end)
    finally:
        for handle in handles:
            handle.remove()
    return [_timed(network, target, total) for target, total in totals.items()]


def _targets(module: torch.fx.GraphModule) -> List[str]:
    return list(dict.fromkeys(str(node.target) for node in module.graph.nodes if node.op == "call_module"))


def _hook(
    module: torch.fx.GraphModule, targets: Sequence[str], clock: Clock, spans: List[Tuple[str, Any, Any]]
) -> List[Any]:
    """Have each call add (target, mark before, mark after) to ``spans``; return what removes the hooks."""
    handles: List[Any] = []
    for target in targets:
        begun: List[Any] = []

        def before(_: Any, inputs: Any, begun: List[Any] = begun) -> None:
            begun.append(clock.mark())

        def after(_: Any, inputs: Any, outputs: Any, target: str = target, begun: List[Any] = begun) -> None:
            spans.append((target, begun.pop(), clock.mark()))

        called = module.get_submodule(target)
        handles += [called.register_forward_pre_hook(before), called.register_forward_hook(after)]
    return handles


def _timed(network: EagerNetwork, target: str, total_ms: float) -> Timed:
    node = network.nodes.get(target, Node(target, type(network.module.get_submodule(target)).__name__))
    return Timed(node.name, node.operator, total_ms)
