"""Names of ONNX Runtime's optimised nodes -> names of the nodes of the file that they stand for. Pure functions.

Its optimiser for the CPU's blocked layouts names a node after its output: a convolution fused with what follows
bears the name of the activation at the end. So the way goes back from there to the convolution.
"""

from __future__ import annotations

import re
from typing import Dict, List, Sequence

from gdws_agent.backends.onnx_nodes import OnnxNode

#: ``<tensor>_nchwc``, and ``<tensor>_bn_nchwc`` for a batch normalisation that is run as a convolution.
_BLOCKED = re.compile(r"(?P<tensor>.+?)(?P<normalisation>_bn)?_nchwc")
#: What is fused into the convolution before it.
_FOLLOWING = {"BatchNormalization", "Relu", "Clip", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid", "Add", "Mul"}


class NodeNames:
    """The nodes of a file, by what they make."""

    def __init__(self, nodes: Sequence[OnnxNode]) -> None:
        self._makers: Dict[str, OnnxNode] = {output: node for node in nodes for output in node.outputs}

    def restored(self, name: str, operator: str) -> str:
        """Return the names of the nodes behind the runtime's node ``name``, joined by `` + `` in their order.

        ``operator`` is what the runtime says that it does. A name that tells of no tensor stays as it is.
        """
        found = _BLOCKED.fullmatch(name)
        maker = None if found is None else self._makers.get(found["tensor"])
        if found is None or maker is None:
            return name
        nodes = [maker] if found["normalisation"] else self._back_to(operator, maker)
        return " + ".join(node.name or node.operator for node in nodes)

    def _back_to(self, operator: str, last: OnnxNode) -> List[OnnxNode]:
        """Return the chain from a node that does ``operator`` to ``last``; ``last`` alone where there is none."""
        chain = [last]
        while chain[0].operator != operator:
            makers = [self._makers[tensor] for tensor in chain[0].inputs if tensor in self._makers]
            if chain[0].operator not in _FOLLOWING or len(makers) != 1:
                return [last]
            chain.insert(0, makers[0])
        return chain
