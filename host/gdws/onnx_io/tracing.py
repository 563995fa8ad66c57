"""A torch module traced to an ONNX graph whose nodes and weights bear the names of its modules and parameters."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
import torch
from torch import nn

from gdws._util.outputs import named_tensors, tensors_in
from gdws.errors import ExportError, first_line
from gdws.onnx_io.graph import fold_shapes, gather_constants, rename, slice_subsampling
from gdws.onnx_io.padding import pad_explicitly

OPSET = 17
IR_VERSION = 8
INPUT_NAME = "input"
OUTPUT_NAME = "logits"


def outputs_by_name(output: Any) -> dict[str, torch.Tensor]:
    """The output tensors of a network by their names in ONNX: ``logits`` if the only one is (N, K)."""
    if isinstance(output, torch.Tensor) and output.ndim == 2 and output.is_floating_point():
        return {OUTPUT_NAME: output}
    return {f"output_{name}" if name == INPUT_NAME else name: each for name, each in named_tensors(output).items()}


def trace(model: nn.Module, images: torch.Tensor, names: Sequence[str] = (OUTPUT_NAME,)) -> onnx.ModelProto:
    """The graph of ``model`` for so many ``images`` (N, C, H, W), at opset 17 and with fixed sizes.

    Each node is named ``<path of its module>/<operator>``, each weight after the module's parameter, and the outputs by
    ``names``. Raises :class:`~gdws.errors.ExportError` if there is an operator that ONNX does not have.
    """
    with (
        TemporaryDirectory(prefix="gdws-") as folder,
        warnings.catch_warnings(),
        _silence(),
        torch.no_grad(),
    ):
        # Of the tracer, on what it cannot see: the comparison at several batch sizes sees it.
        warnings.simplefilter("ignore")
        path = Path(folder, "model.onnx")
        try:
            torch.onnx.export(
                _Named(model).eval(),
                (images,),
                path,
                # The exporter by torch.export writes opset 18 and later, which TensorRT 8.5 does not read.
                dynamo=False,
                opset_version=OPSET,
                # Evaluation mode without folding batch normalisation into the convolutions.
                training=torch.onnx.TrainingMode.PRESERVE,
                input_names=[INPUT_NAME],
                output_names=list(names),
                verbose=False,
            )
        except Exception as error:  # the exporter lets through whatever its passes and the network raise
            raise ExportError(f"the network cannot be exported to ONNX: {first_line(error)}", hint=_HINT) from error
        exported = onnx.load(path)
    exported.ir_version = min(exported.ir_version, IR_VERSION)
    gather_constants(exported)
    fold_shapes(exported)
    pad_explicitly(exported)
    slice_subsampling(exported)
    paths = [path for path, _ in model.named_modules()]
    rename(exported, lambda name: _node_name(name, paths), _weight_name)
    return exported


@contextmanager
def _silence() -> Iterator[None]:
    """Close standard output and error to native code: exports print whole graphs and warnings there, asked or not."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [(descriptor, os.dup(descriptor)) for descriptor in (1, 2)]
    with open(os.devnull, "wb") as nothing:
        for descriptor, _ in kept:
            os.dup2(nothing.fileno(), descriptor)
    try:
        yield
    finally:
        for descriptor, copy in kept:
            os.dup2(copy, descriptor)
            os.close(copy)


class _Named(nn.Module):
    """A wrapper that gives the exporter numbers for module names.

    The exporter names nodes after modules but drops all but the last part of a path, so that ``a.conv`` and
    ``b.conv`` cannot be told apart. Numbers can: they are positions in ``network.named_modules()``.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(tensors_in(self.network(images)))

    def named_modules(
        self, memo: set[nn.Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Module]]:
        yield "", self
        for index, (_, module) in enumerate(self.network.named_modules()):
            yield f"module_{index}", module


def _weight_name(exported: str) -> str | None:
    """``network.layer1.0.conv1.weight`` -> ``layer1.0.conv1.weight``; None for a constant that the tracer made."""
    return exported.removeprefix("network.") if exported.startswith("network.") else None


_NODE_NAME = re.compile(r".*/module_(\d+)/([A-Za-z0-9_]+)")


def _node_name(exported: str, paths: Sequence[str]) -> str:
    """``/module_0/module_7/Conv_1`` -> ``layer1.0.conv1/Conv_1``; nodes of the network itself have no path."""
    match = _NODE_NAME.fullmatch(exported)
    if match is None:
        return exported.strip("/")
    path = paths[int(match[1])]
    return f"{path}/{match[2]}" if path else match[2]


_HINT = "use operators that ONNX has at opset 17, and tensor shapes that do not depend on the input's values"
