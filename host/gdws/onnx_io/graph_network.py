"""An ONNX graph as a torch module without rebuilding it: its convolutions are torch layers, a runtime runs the rest.

So everything that works on the layers of a torch module works on it: planning, surgery, fitting to data, evaluation.
What it lacks is gradients. Exported, it is the graph that it came from, in which converted convolutions alone are other
nodes, see :mod:`gdws.onnx_io.splice`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import onnx
import onnx.version_converter
import torch
from torch import Tensor, nn
from torch.nn import functional

from gdws.errors import ModelError
from gdws.onnx_io.convolutions import constants_of, convolutions
from gdws.onnx_io.graph import unused
from gdws.onnx_io.pieces import CannotSplit, Cut, Piece, Step, split
from gdws.onnx_io.run import Array, CannotRun, Runner

__all__ = ["CannotSplit", "Graph", "GraphNetwork"]

#: Opsets in which the nodes of a GDWS convolution are written alike, up to the newest that every device reads.
_OPSETS = range(11, 18)


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph that was split at its convolutions. It does not change, so copies of a network share it.

    ``pads`` has, by layer, the zeros that go around its input where they are not the same on both sides, as
    :func:`torch.nn.functional.pad` takes them.
    """

    model: onnx.ModelProto
    steps: tuple[Step, ...]
    pads: Mapping[str, tuple[int, ...]]
    runners: tuple[Runner | None, ...]

    @property
    def input(self) -> str:
        """The name of the one input."""
        name: str = self.model.graph.input[0].name
        return name

    @property
    def outputs(self) -> list[str]:
        """The names of the outputs."""
        return [value.name for value in self.model.graph.output]

    def dead_after(self) -> list[list[str]]:
        """For each step the tensors that no later step needs."""
        kept, found = set(self.outputs), []
        for step in reversed(self.steps):
            used = {step.input} if isinstance(step, Cut) else set(step.inputs)
            found.append(sorted(used - kept))
            kept |= used
        return found[::-1]

    def __deepcopy__(self, memo: dict[int, Any]) -> Graph:
        return self


class GraphNetwork(nn.Module):
    """A network (N, ...) -> outputs (N, ...) made of an ONNX graph; one tensor, or a tuple where there are several.

    Each convolution with constant weights is a child, named after its node. ``constants`` are the other weights of the
    graph, for whoever counts parameters; what runs has its own copy. It runs in evaluation mode and without gradients.
    """

    #: See :func:`gdws._util.gradients.differentiable`.
    differentiable = False

    def __init__(self, graph: Graph, layers: Mapping[str, nn.Module], constants: Sequence[Tensor]) -> None:
        super().__init__()
        self.graph = graph
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.constants = nn.ParameterList(nn.Parameter(each, requires_grad=False) for each in constants)
        self.eval()

    @classmethod
    def of(cls, model: onnx.ModelProto, batch: int, shape: Sequence[int]) -> GraphNetwork:
        """The network of ``model``, which is changed only where its opset is not one that every device reads.

        ``batch`` and ``shape`` are those of an input that it takes. Raises :class:`CannotSplit`.
        """
        model = _readable(model)
        found = dict(convolutions(model, batch, shape))
        names = _names(model, found)
        steps = tuple(split(model, names))
        try:
            runners = tuple(Runner(step.content()) if isinstance(step, Piece) else None for step in steps)
        except CannotRun as error:
            raise CannotSplit(str(error)) from error
        layers, pads, cut = {}, {}, set()
        shared: dict[str, nn.Parameter] = {}
        weights = constants_of(model)
        for index, name in names.items():
            node, geometry = model.graph.node[index], found[index]
            layers[name] = geometry.layer(node, weights, shared)
            if geometry.outside:
                pads[name] = geometry.outside
            cut |= set(node.input[1:])
        rest = [weights[each.name] for each in model.graph.initializer if each.name not in cut]
        floats = [torch.from_numpy(array.copy()) for array in rest if array.dtype == np.float32]
        return cls(Graph(model, steps, pads, runners), layers, floats)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return the outputs for ``images`` (N, ...), where those are.

        Raises :class:`~gdws.errors.ModelError` if gradients are wanted, or a node does not run.
        """
        self._refuse_gradients(images)
        known = {self.graph.input: images}
        for step, runner, dead in zip(self.graph.steps, self.graph.runners, self.graph.dead_after(), strict=True):
            if isinstance(step, Cut):
                known[step.output] = self._call(step, known[step.input])
            elif runner is not None:
                found = _run(runner, {name: known[name] for name in step.inputs})
                known.update(zip(step.outputs, found, strict=True))
            for name in dead:
                del known[name]
        outputs = tuple(known[name].to(images.device) for name in self.graph.outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def _call(self, cut: Cut, x: Tensor) -> Tensor:
        layer = self.get_submodule(cut.name)
        x = x.to(next(chain(layer.parameters(), layer.buffers())))
        output: Tensor = layer(functional.pad(x, self.graph.pads[cut.name]) if cut.name in self.graph.pads else x)
        return output

    def _refuse_gradients(self, images: Tensor) -> None:
        if self.training or (torch.is_grad_enabled() and images.requires_grad):
            raise ModelError(
                "the network is an ONNX graph, which can neither be trained nor attacked by gradients",
                hint="use --attack none, or give the torch module with --module",
            )


def _run(runner: Runner, given: Mapping[str, Tensor]) -> list[Tensor]:
    try:
        found = runner({name: _array(tensor) for name, tensor in given.items()})
    except CannotRun as error:
        raise ModelError(f"the ONNX graph does not run: {error}", hint="check the input shape") from error
    # An operation of torch, by which the memory of stopped passes is counted.
    return [torch.from_numpy(each).detach() for each in found]


def _array(tensor: Tensor) -> Array:
    """As the runtime takes it: whatever the layers compute in, the graph is in float32."""
    found: Array = (tensor.float() if tensor.is_floating_point() else tensor).detach().cpu().numpy()
    return found


def _readable(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model at an opset that every device reads."""
    version = next(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    if version in _OPSETS:
        return model
    try:
        return onnx.version_converter.convert_version(model, _OPSETS[-1])
    except Exception as error:  # the converter has no base for its errors
        raise CannotSplit(f"opset {version} cannot be converted to {_OPSETS[-1]}") from error


def _names(model: onnx.ModelProto, indices: Mapping[int, object]) -> dict[int, str]:
    """A name of a module for each node: torch does not take dots, nor what a module already has."""
    taken = set(dir(nn.Module())) | {"graph", "constants", "differentiable", "compute", "of"}
    nodes = {index: model.graph.node[index] for index in indices}
    return {
        index: unused((node.name or node.output[0]).strip("/").replace(".", "_") or "Conv", taken)
        for index, node in nodes.items()
    }
