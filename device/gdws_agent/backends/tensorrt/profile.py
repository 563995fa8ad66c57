"""Times layer by layer from TensorRT's IProfiler, under names that contain the ONNX nodes of the model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Dict, List, Sequence

from gdws_agent.backends.layer_times import Timed, layer_times
from gdws_agent.errors import RunFailed
from gdws_contract.profiles import LayerTime

from .inspect import LayerFacts

if TYPE_CHECKING:
    from tensorrt import IProfiler

_NODE = re.compile(r"\[ONNX Layer: ([^\]]*)\]")


class Recorder:
    """Adds up what TensorRT reports of each layer, in the order in which they run."""

    def __init__(self) -> None:
        self._totals_ms: Dict[str, float] = {}

    def add(self, name: str, time_ms: float) -> None:
        """Add the time of one layer."""
        self._totals_ms[name] = self._totals_ms.get(name, 0.0) + time_ms

    def forget(self) -> None:
        """Discard the times so far: the warm-up."""
        self._totals_ms.clear()

    def layers(self, facts: Sequence[LayerFacts], iterations: int) -> List[LayerTime]:
        """Return the layers, averaged over ``iterations``; ``facts`` are what the engine tells of them.

        Raises:
            RunFailed: TensorRT reported nothing.
        """
        if not self._totals_ms:
            raise RunFailed("TensorRT reported no times of layers")
        known = {fact.name: fact for fact in facts}
        timed = [
            Timed(full_name(name, known[name].metadata), known[name].kind or None, total_ms)
            if name in known
            else Timed(name, None, total_ms)
            for name, total_ms in self._totals_ms.items()
        ]
        return layer_times(timed, iterations)


def full_name(name: str, metadata: str) -> str:
    """Return TensorRT's ``name`` of a layer with the ONNX nodes that it came from, where the name leaves any out.

    Layers of TensorRT's graph compiler have names of its own making, and a part on an accelerator bears its first
    and last node; since 8.6 their metadata has all nodes.
    """
    missing = [node for node in _NODE.findall(metadata) if not _has(name, node)]
    return f"{name} [{', '.join(missing)}]" if missing else name


def _has(name: str, node: str) -> bool:
    return re.search(rf"(?<![\w./-]){re.escape(node)}(?![\w/-])", name) is not None


def make_profiler(trt: Any, recorder: Recorder) -> IProfiler:
    """Return what TensorRT reports to; it must outlive the execution context that it is attached to."""

    class Profiler(trt.IProfiler):  # type: ignore[misc]  # its base is known at run time alone
        def __init__(self) -> None:
            super().__init__()

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            recorder.add(layer_name, ms)

    made: IProfiler = Profiler()
    return made
