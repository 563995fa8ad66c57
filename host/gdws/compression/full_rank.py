"""Tests at full rank whether layers can be replaced inside their network.

At full rank a GDWS convolution computes the same as the dense one. The network may still compute something else: its
code may read ``conv.weight`` or ``conv.groups``, check ``isinstance(module, nn.Conv2d)``, or call the layer through a
reference that surgery cannot replace. So each layer is replaced and the network is run, or traced if there is no input
to run it on. Computing in float64 distinguishes differences from rounding.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode

from gdws._util.calls import observed
from gdws._util.copies import copied
from gdws._util.modes import evaluation_mode
from gdws._util.outputs import relative_difference, tensors_in
from gdws.compression.layers import Conv, GDWSConv2d, replace
from gdws.compression.surgery import Layer
from gdws.errors import first_line

#: Largest difference of outputs, relative to the largest value of each tensor.
TOLERANCE = 1e-4

#: Image sizes to try if the input size is unknown; the smallest that works is used.
_SIZES = (32, 64, 224)

#: Names of layers that share a weight: they are converted together or not at all.
_Unit: TypeAlias = tuple[str, ...]


def differing(model: nn.Module, layers: Sequence[Layer], sample: Tensor | None) -> dict[str, str]:
    """Return which of ``layers`` cannot be replaced without changing what ``model`` computes, with the reason, by name.

    ``sample`` (1, C, H, W) is run through the network in evaluation mode. Without it, noise of a common size is tried
    on a copy. If none runs, the network's code is traced symbolically: a layer that does not change the trace does not
    change the function. Code that the sample does not reach, and code that can neither be run nor traced, is not
    checked.

    Raises :class:`~gdws.errors.ModelError` if the network cannot be copied.
    """
    units = _units(layers)
    if not units:
        return {}
    if sample is None:
        model = copied(model)
        sample = _guess(model)
    if sample is None:
        return _culprits(_Traced(model, units), units) or {}
    if bool((sample == sample.flatten()[0]).all()):  # e.g. zeros, which may pass through anything unchanged
        sample = torch.rand(sample.shape, generator=torch.Generator().manual_seed(0)).to(sample)
    found = _culprits(_Run(model, units, sample), units)
    if found and sample.dtype != torch.float64:
        exact = _culprits(_Run(copied(model).double(), units, sample.double()), units)
        return found if exact is None else exact
    return found or {}


def _guess(network: nn.Module) -> Tensor | None:
    """Noise (1, C, H, W) that the network runs on; None if none is found."""
    weight = next(module.weight for module in network.modules() if isinstance(module, nn.Conv1d | nn.Conv2d))
    for channels in dict.fromkeys((weight.shape[1], 3, 1)):
        for size in _SIZES:
            sizes = [size] * (weight.ndim - 2)
            noise = torch.rand(1, channels, *sizes, generator=torch.Generator().manual_seed(0)).to(weight)
            try:
                with evaluation_mode(network), torch.no_grad(), torch.random.fork_rng(devices=[]):
                    network(noise)
            except Exception:  # whatever the network's code raises on another size than its own
                continue
            return noise
    return None


def full_rank(conv: Conv) -> GDWSConv2d:
    """An equivalent GDWS convolution whose filters each select one pixel (Kh*Kw of them in each channel).

    It needs no decomposition, and shares the memory of the weight.
    """
    M, C, *kernel = conv.weight.shape
    taps = math.prod(kernel)
    pixels = torch.eye(taps, dtype=conv.weight.dtype, device=conv.weight.device).repeat(C, 1)
    return GDWSConv2d.in_place_of(conv, pixels, conv.weight.detach().reshape(M, -1), (taps,) * C, layout="grouped")


def _units(layers: Sequence[Layer]) -> list[_Unit]:
    groups: dict[str, list[str]] = {}
    for layer in layers:
        groups.setdefault(layer.shares or layer.name, []).append(layer.name)
    return [tuple(names) for names in groups.values()]


def _culprits(attempt: _Attempt, units: Sequence[_Unit]) -> dict[str, str] | None:
    """The layers that change something; None if the network cannot be observed.

    Found by bisection: one attempt if there are none, and about log2(n) for each culprit.
    """
    if not attempt.works:
        return None
    kept: list[_Unit] = []
    reasons: dict[str, str] = {}
    untried = [list(units)]
    while untried:
        tried = untried.pop()
        problem = attempt.problem([*kept, *tried])
        if problem is None:
            kept += tried
        elif len(tried) == 1:
            reasons |= dict.fromkeys(tried[0], problem)
        else:
            half = len(tried) // 2
            untried += [tried[half:], tried[:half]]
    return reasons


class _Attempt(ABC):
    """A copy of the network in which layers can be put at full rank."""

    def __init__(self, model: nn.Module, units: Sequence[_Unit]) -> None:
        self.model, self.network = model, copied(model)
        names = [name for unit in units for name in unit]
        self.originals = {name: self.network.get_submodule(name) for name in names}
        self.full = {name: full_rank(cast(Conv, conv)) for name, conv in self.originals.items()}
        self.expected: Any = None
        try:
            self.expected, self.works = self.reference(), True
        except Exception:  # whatever the network's code raises; reported where it must run
            self.works = False

    def reference(self) -> Any:
        """The observation without replacements."""
        return self.observe(self.network, self.originals)

    def problem(self, units: Sequence[_Unit]) -> str | None:
        """How the network changes when these layers are replaced at full rank; None if it does not."""
        replaced: dict[str, nn.Module] = {name: self.full[name] for unit in units for name in unit}
        network = replace(self.network, {id(self.originals[name]): module for name, module in replaced.items()})
        try:
            found = self.observe(network, self.originals | replaced)
        except Exception as error:  # whatever the network's code raises when it meets another module
            return f"the network's code fails when another module takes its place ({first_line(error)})"
        finally:
            replace(network, {id(module): self.originals[name] for name, module in replaced.items()})
        return self.difference(found, replaced)

    def observe(self, network: nn.Module, layers: Mapping[str, nn.Module]) -> Any:
        """The observation of a network with these ``layers``, by name."""
        gpus = {parameter.device for parameter in network.parameters() if parameter.is_cuda}
        with evaluation_mode(network), torch.no_grad(), torch.random.fork_rng(devices=gpus):
            torch.manual_seed(0)  # a network that draws numbers draws the same
            return self.look(network, layers)

    @abstractmethod
    def look(self, network: nn.Module, layers: Mapping[str, nn.Module]) -> Any:
        """What :meth:`observe` returns."""

    @abstractmethod
    def difference(self, found: Any, replaced: Iterable[str]) -> str | None:
        """How an observation differs from the one without replacements; None if it does not."""


@dataclass(frozen=True, eq=False)
class _Seen:
    """The network's outputs and, since they may hide a difference, the norms of each layer's channels, by call."""

    outputs: list[Tensor]
    strengths: list[Tensor]
    calls: Counter[str]
    bypassed: frozenset[str]
    """Layers whose weight is used without a call of the module, through a reference that surgery cannot replace."""


class _WeightsInUse(TorchFunctionMode):
    """Records by identity which tensors are arguments of operations."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[int] = set()

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        self.seen.update(id(value) for value in (*args, *(kwargs or {}).values()) if isinstance(value, nn.Parameter))
        return func(*args, **(kwargs or {}))


class _Run(_Attempt):
    """Runs the network on a sample; what it computes, and how often each layer is called, must stay the same."""

    def __init__(self, model: nn.Module, units: Sequence[_Unit], sample: Tensor) -> None:
        self.sample = sample
        super().__init__(model, units)

    def look(self, network: nn.Module, layers: Mapping[str, nn.Module]) -> _Seen:
        calls: Counter[str] = Counter()
        strengths: list[Tensor] = []

        def note(name: str, module: nn.Module, x: Any, output: Tensor) -> None:
            calls[name] += 1
            wide = torch.promote_types(output.dtype, torch.float32)
            strengths.append(torch.linalg.vector_norm(output.flatten(2), dim=-1, dtype=wide))

        weights = _WeightsInUse()
        with observed((module, partial(note, name)) for name, module in layers.items()), weights:
            outputs = tensors_in(network(self.sample.clone()))
        uncalled = {name: id(module._parameters.get("weight")) for name, module in layers.items() if not calls[name]}
        bypassed = frozenset(name for name, weight in uncalled.items() if weight in weights.seen)
        return _Seen([tensor.clone() for tensor in outputs], strengths, calls, bypassed)

    def reference(self) -> _Seen:
        """The observation of the network itself, since functions that it stores may call its layers from the copy."""
        seen: _Seen = self.observe(self.model, {name: self.model.get_submodule(name) for name in self.originals})
        return seen

    def difference(self, found: _Seen, replaced: Iterable[str]) -> str | None:
        if any(found.calls[name] != self.expected.calls[name] or name in self.expected.bypassed for name in replaced):
            return "the network's code calls it through a reference that cannot be replaced"
        change = relative_difference(found.outputs, self.expected.outputs)
        if found.calls == self.expected.calls:
            change = max(change, relative_difference(found.strengths, self.expected.strengths))
        if change <= TOLERANCE:
            return None
        return f"the network's features change by {change:.1%} when an equivalent layer takes its place"


class _Traced(_Attempt):
    """Traces the network's code symbolically; the trace must stay the same."""

    def look(self, network: nn.Module, layers: Mapping[str, nn.Module]) -> list[str]:
        graph = _Tracer(tuple(layers.values())).trace(nn.Sequential(network))  # which may be a layer itself
        return [f"{node.name} = {node.op} {node.target} {node.args} {node.kwargs}" for node in graph.nodes]

    def difference(self, found: list[str], replaced: Iterable[str]) -> str | None:
        return (
            None
            if found == self.expected
            else "the network's code takes another path when another module takes its place"
        )


class _Tracer(fx.Tracer):
    def __init__(self, leaves: Sequence[nn.Module]) -> None:
        super().__init__()
        self._leaves = {id(leaf) for leaf in leaves}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return id(m) in self._leaves or super().is_leaf_module(m, module_qualified_name)
