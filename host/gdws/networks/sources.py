"""Networks to convert: from a checkpoint of a network known by name, from an ONNX file, or from Python code."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gdws._util.outputs import Chosen, choose_output
from gdws.datasets import Preprocessing
from gdws.errors import ModelError
from gdws.evaluation import tally
from gdws.evaluation.tasks import Choice, Task, task_of
from gdws.networks import checkpoints, converted
from gdws.networks import zoo as nets
from gdws.networks.module_import import load_module as import_module
from gdws.networks.slimming import slim
from gdws.networks.zoo.normalise import Preprocessed, layer_of
from gdws.onnx_io.load import load_onnx as read_onnx
from gdws_contract.plan import Plan

#: Of one sample: (C, H, W) of an image, (C, L) of a signal.
Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Source:
    """A network to convert. ``provenance`` records its origin.

    ``input_shape`` is that of one sample, (C, H, W) of an image. ``plan`` is the plan of a network that is already
    converted, see :mod:`gdws.networks.converted`. ``notes`` describe changes to the checkpoint before it was loaded.
    ``choice`` is the user's choice of a task.
    """

    name: str
    module: nn.Module
    input_shape: Shape
    provenance: Mapping[str, Any]
    plan: Plan | None = None
    notes: tuple[str, ...] = ()
    choice: Choice = field(default_factory=Choice)

    @cached_property
    def task(self) -> Task:
        """What the outputs mean. Raises :class:`~gdws.errors.ModelError` as :func:`gdws.evaluation.tasks.task_of`."""
        return task_of(self.module, self.input_shape, self.choice)


def load(
    checkpoint: str,
    net: str | None = None,
    *,
    family: str | None = None,
    kept: float | None = None,
    prefix: str | None = None,
    variant: str | None = None,
    **options: Any,
) -> Source:
    """The network in the file ``checkpoint``, or the one that ships under that name if there is no such file.

    The file may contain a GDWS network: a bundle with ``variant``, or a file of ``gdws finetune``.
    ``net`` names the network if the file does not, ``options`` are those of :func:`gdws.networks.zoo.build`, and
    ``family``, ``kept`` and ``prefix`` are as for :func:`gdws.networks.checkpoints.read`.
    Raises :class:`~gdws.errors.CheckpointError` and :class:`~gdws.errors.ModelError`.
    """
    path = Path(checkpoint)
    if not path.exists() and checkpoint in nets.names():
        path = nets.pretrained_path(checkpoint)
    of_another = options or any(each is not None for each in (net, family, kept, prefix))
    if not of_another and (found := converted.find(path, variant)) is not None:
        shape = nets.info(found.metadata["net"]).input_shape
        return Source(path.stem, found.module, shape, found.metadata, found.plan)
    loaded = checkpoints.load_named(path, net, family=family, kept=kept, prefix=prefix, **options)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    provenance: dict[str, Any] = {"net": loaded.name, "checkpoint": path.name, "checkpoint_sha256": digest}
    if loaded.options:
        provenance["net_options"] = dict(loaded.options)
    if loaded.family != "plain":
        provenance["checkpoint_family"] = loaded.family
    shape = nets.input_shape(loaded.name, **loaded.options)
    return Source(loaded.name, loaded.module, shape, provenance, notes=loaded.notes)


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights for a network from another source, or of a GDWS network that was made from it.

    Fields as the arguments of :func:`load`.
    """

    path: str
    family: str | None = None
    kept: float | None = None
    prefix: str | None = None
    variant: str | None = None

    def into(self, source: Source) -> Source:
        """``source`` with the weights of the file. Raises as :func:`gdws.networks.checkpoints.read_into`."""
        path = Path(self.path)
        if (found := converted.find(path, self.variant, dense=source)) is not None:
            return replace(source, name=path.stem, module=found.module, provenance=found.metadata, plan=found.plan)
        module, notes = self._read_into(source.module)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        provenance = {**source.provenance, "checkpoint": path.name, "checkpoint_sha256": digest}
        return replace(source, module=module, provenance=provenance, notes=(*source.notes, *notes))

    def _read_into(self, module: nn.Module) -> tuple[nn.Module, tuple[str, ...]]:
        """Read the weights into the network inside our own wrappers, whose names are not in the file."""
        if isinstance(module, Chosen | Preprocessed):
            module.network, notes = self._read_into(module.network)
            return module, notes
        return checkpoints.read_into(module, Path(self.path), family=self.family, kept=self.kept, prefix=self.prefix)


def load_onnx(
    path: str | Path,
    input_shape: Shape | None = None,
    *,
    output: str | int | None = None,
    preprocessing: Preprocessing | None = None,
    weights: WeightsFile | None = None,
) -> Source:
    """The network in an ONNX file, rebuilt in torch or kept as a graph, with a note on which and why.

    Its first layer is ``preprocessing``. ``weights`` of another file replace its own.

    Arguments and errors as of :func:`gdws.onnx_io.load.load_onnx`.
    """
    path = Path(path)
    found = read_onnx(path, input_shape, output=output, preprocessing=preprocessing or Preprocessing())
    provenance: dict[str, Any] = {"onnx": path.name, "onnx_sha256": found.sha256}
    if output is not None:
        provenance["output"] = output
    if found.kept_as_graph is not None:
        provenance |= {"kept_as_graph": found.kept_as_graph, "errors_weighed_by": "the energy of each layer's output"}
    told, note = _told(preprocessing, found.input_shape)
    notes = (*found.notes, *note)
    source = Source(_as_name(path.stem), found.module, found.input_shape, provenance | told, notes=notes)
    return source if weights is None else weights.into(source)


def load_module(
    target: str,
    input_shape: Shape,
    *,
    options: Mapping[str, Any] | None = None,
    output: str | int | None = None,
    preprocessing: Preprocessing | None = None,
    weights: WeightsFile | None = None,
) -> Source:
    """The network that ``package.module:factory`` returns, with the weights of a file if there is one.

    Without a file, the factory's random numbers are seeded. ``output`` is the key, index or field of the output to use
    if the network has several. ``preprocessing`` becomes the first layer.
    Raises as :func:`gdws.networks.module_import.load_module` and :func:`gdws.networks.checkpoints.read_into`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = import_module(target, options)
    provenance: dict[str, Any] = {"module": target}
    if options:
        provenance["module_options"] = dict(options)
    if output is not None:
        module = choose_output(module, output)
        provenance["output"] = output
    if preprocessing is not None and not preprocessing.is_identity:
        module = Preprocessed(layer_of(preprocessing, input_shape), module).eval()
    told, note = _told(preprocessing, input_shape)
    source = Source(_as_name(target.rpartition(":")[2]), module, input_shape, provenance | told, notes=note)
    if weights is not None:
        source = weights.into(source)
    return replace(source, provenance={**source.provenance, "network_sha256": tally.digest_of_network(source.module)})


def slimmed(source: Source) -> Source:
    """The network of ``source`` without unused channels, see :mod:`gdws.networks.slimming`.

    If channels were removed it is no longer the network of its name. Raises :class:`~gdws.errors.ModelError` if it is
    already converted or its code cannot be traced.
    """
    if source.plan is not None:
        raise ModelError(f"{source.name} is already converted", hint="use --slim before the conversion")
    found = slim(source.module, source.input_shape)
    if not found.removed:
        return replace(source, notes=(*source.notes, "no channel can be removed"))
    before, after = found.parameters
    provenance = {name: value for name, value in source.provenance.items() if name != "net"}
    if "net" in source.provenance:
        provenance["narrowed_from"] = source.provenance["net"]
    provenance["removed_channels"] = sum(found.removed.values())
    note = (
        f"removed {sum(found.removed.values())} channels of {len(found.removed)} layers: "
        f"{before:,} -> {after:,} parameters"
    )
    return replace(source, module=found.module, provenance=provenance, notes=(*source.notes, note))


def _told(preprocessing: Preprocessing | None, shape: Shape) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The provenance and notes about a network's preprocessing; empty for one that does not take images."""
    if len(shape) != 3 and preprocessing is None:
        return {}, ()
    found = preprocessing or Preprocessing()
    if len(shape) != 3:
        return {"preprocessing": found.to_dict()}, (f"values x of signals are passed to it as {found.formula}",)
    asked = "" if preprocessing is not None else "; change this with --mean, --std, --scale and --channels"
    return {"preprocessing": found.to_dict()}, (f"assumed to expect {found}{asked}",)


def _as_name(text: str) -> str:
    """``text`` as a valid name of a bundle."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:100] or "network"
