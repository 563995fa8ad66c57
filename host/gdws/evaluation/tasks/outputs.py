"""Outputs of any number, shape and type, of which nothing more is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gdws._util.outputs import described, named_tensors
from gdws.compression.calibration.projections import Projection, root_mean_squares, squared_error
from gdws.errors import ModelError, first_line
from gdws.evaluation.tasks import intervals
from gdws_contract import task as contract
from gdws_contract.measures import Figure, Metric

#: ``(outputs, reference) -> values (N,)``: for each image, how good what a network gives is, by what the network before
#: conversion gives. More is better.
UserMetric = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Outputs:
    """Errors of each output by itself, and a user's own ``metric``, called ``metric_name``, if there is one."""

    metric: UserMetric | None = None
    metric_name: str = "metric"

    @property
    def contract(self) -> contract.Outputs:
        """The task as a bundle holds it."""
        return contract.Outputs()

    @property
    def loss(self) -> None:
        """No attack is known."""
        return None

    def check(self, output: Any, images: int) -> None:
        """Raise :class:`~gdws.errors.ModelError` unless each output is finite and has a row for each image."""
        check_rows(output, images)

    def projection(self, model: nn.Module, images: Tensor) -> Projection:
        """The squared error of all outputs, each in units of its root mean square."""
        return squared_error(root_mean_squares(model, images))

    def meter(self) -> OutputsMeter:
        """A new comparison."""
        return OutputsMeter(self.metric, self.metric_name)

    def grader(self) -> None:
        """There are no annotations for it."""
        return

    def classes_of(self, output: Any) -> None:
        """Not known."""
        return


@dataclass
class OutputsMeter:
    """Of an output of floating point: ``relative_error``, the root of the squared error over the squared output;
    ``largest_error``, in its own unit; and of a vector (N, D) ``cosine``, the mean over images of its similarity. Of
    integers: ``equal``, the share of equal entries. With several outputs the name of each follows after a dot.
    """

    metric: UserMetric | None = None
    metric_name: str = "metric"
    _outputs: dict[str, _OneOutput] = field(default_factory=dict)
    _values: list[float] = field(default_factory=list)

    def update(self, found: Any, reference: Any) -> None:
        """Take in the outputs of both networks. Raises :class:`~gdws.errors.ModelError` if their shapes differ."""
        mine, wanted = named_tensors(found), named_tensors(reference)
        if {name: each.shape for name, each in mine.items()} != {name: each.shape for name, each in wanted.items()}:
            raise ModelError(f"the network returns {described(found)}, and before conversion {described(reference)}")
        for name, tensor in wanted.items():
            self._outputs.setdefault(name, _OneOutput()).update(mine[name], tensor)
        if self.metric is not None:
            self._values += self._by_metric(found, reference, len(next(iter(wanted.values()))))

    def metrics(self) -> dict[str, Metric]:
        """Errors of each output, and the user's metric first."""
        several = len(self._outputs) > 1
        found: dict[str, Metric] = {}
        if self.metric is not None:
            found[self.metric_name] = intervals.mean(self._values, higher_is_better=True)
        for name, output in self._outputs.items():
            found |= {f"{measure}.{name}" if several else measure: each for measure, each in output.metrics().items()}
        return found

    def _by_metric(self, found: Any, reference: Any, images: int) -> list[float]:
        assert self.metric is not None
        try:
            values = torch.as_tensor(self.metric(found, reference)).double()
        except Exception as error:  # it is the user's code
            raise ModelError(f"the metric {self.metric_name} raises {first_line(error)}") from error
        if values.shape != (images,) or not bool(values.isfinite().all()):
            raise ModelError(
                f"the metric {self.metric_name} gives values of shape {tuple(values.shape)} for {images} images",
                hint="return one finite number for each image, more being better",
            )
        return [float(value) for value in values]


@dataclass
class _OneOutput:
    """Sums over the entries of each image."""

    _errors: list[float] = field(default_factory=list)
    _squares: list[float] = field(default_factory=list)
    _cosines: list[float] = field(default_factory=list)
    _equal: list[int] = field(default_factory=list)
    _entries: list[int] = field(default_factory=list)
    _largest: float = 0.0

    def update(self, found: Tensor, reference: Tensor) -> None:
        if not reference.is_floating_point():
            self._equal += _by_image(found == reference).sum(dim=1).tolist()
            self._entries += [found[0].numel()] * len(found)
            return
        mine, wanted = found.detach().double(), reference.detach().double()
        self._errors += _by_image((mine - wanted).square()).sum(dim=1).tolist()
        self._squares += _by_image(wanted.square()).sum(dim=1).tolist()
        self._largest = max(self._largest, float((mine - wanted).abs().max()))
        if wanted.ndim == 2 and wanted.shape[1] > 1:
            self._cosines += torch.cosine_similarity(mine, wanted).tolist()

    def metrics(self) -> dict[str, Metric]:
        if self._entries:
            equal = intervals.share(self._equal, self._entries)
            return {} if equal is None else {"equal": equal}
        found: dict[str, Metric] = {}
        if sum(self._squares) > 0:
            parts = np.array([self._errors, self._squares])
            found["relative_error"] = intervals.figure(
                parts, lambda sums: np.sqrt(sums[0] / sums[1]), higher_is_better=False
            )
        found["largest_error"] = Figure(value=self._largest, higher_is_better=False)
        if self._cosines:
            found["cosine"] = intervals.mean(self._cosines, higher_is_better=True)
        return found


def _by_image(tensor: Tensor) -> Tensor:
    """(N, ...) -> (N, entries)"""
    return tensor.reshape(len(tensor), -1)


def check_rows(output: Any, images: int) -> None:
    """Raise :class:`~gdws.errors.ModelError` unless ``output`` holds finite tensors, each with a row for each image."""
    tensors = named_tensors(output)
    if not tensors:
        raise ModelError(
            f"the network returns {described(output)}, in which there is no tensor", hint="let it return tensors"
        )
    for name, tensor in tensors.items():
        if tensor.ndim < 1 or len(tensor) != images:
            raise ModelError(
                f"the output {name!r} has the shape {tuple(tensor.shape)} for {images} images",
                hint="let every output have a row for each image, and leave others out, e.g. by --output",
            )
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise ModelError(
                f"the output {name!r} contains NaN or infinity", hint="check the weights and the range of the inputs"
            )
