"""Networks in INT8 in files, as ONNX that says in its metadata how it was made and from what.

Weights in INT8 are no state of a module, so that the file is the one that a device gets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
from onnx import helper
from pydantic import TypeAdapter

from gdws._util.files import write_atomic
from gdws.bundles.variant import GdwsStep, Step, Variant
from gdws.errors import CheckpointUnreadable, GdwsError, first_line
from gdws.networks.converted import Dense, as_text, require_made_from
from gdws.onnx_io.int8 import QuantizedNetwork
from gdws_contract import steps as contract
from gdws_contract.plan import Plan

SUFFIX = ".onnx"
_STEPS, _PLAN, _SHAPE = "gdws_steps", "plan", "input_shape"
_OTHER_STEPS: TypeAdapter[list[contract.Step]] = TypeAdapter(list[contract.Step])


def save(path: Path, variant: Variant, input_shape: tuple[int, ...], provenance: Mapping[str, Any]) -> None:
    """Write a network in INT8 with its steps, atomically; ``provenance`` as for :func:`converted.save`.

    Raises OSError.
    """
    assert isinstance(variant.module, QuantizedNetwork)
    model = onnx.load_from_string(variant.module.content)
    others = [step for step in variant.steps if not isinstance(step, GdwsStep)]
    fields = {**provenance, _SHAPE: list(input_shape), _STEPS: [step.model_dump(mode="json") for step in others]}
    if variant.plan is not None:
        fields[_PLAN] = variant.plan.to_dict()
    helper.set_model_props(model, as_text(fields))
    write_atomic(path, model.SerializeToString(deterministic=True))


def load(path: Path, *, dense: Dense) -> Variant:
    """The network in a file that :func:`save` wrote, made from ``dense``, under the file's name.

    Raises :class:`~gdws.errors.CheckpointUnreadable` if there is none, and :class:`~gdws.errors.GdwsError` if it was
    made from another network.
    """
    try:
        model = onnx.load_from_string(path.read_bytes())
    except Exception as error:  # the parser of protocol buffers has several kinds of its own
        raise CheckpointUnreadable(f"{path} cannot be read as ONNX: {first_line(error)}", path=str(path)) from error
    metadata = {each.key: each.value for each in model.metadata_props}
    if _STEPS not in metadata:
        raise CheckpointUnreadable(
            f"{path} is not a network of gdws finetune --int8", path=str(path), hint="other ONNX files: --onnx"
        )
    require_made_from(dense, metadata, path)
    try:
        steps: list[Step] = [GdwsStep(Plan.from_json(metadata[_PLAN]))] if _PLAN in metadata else []
        steps += _OTHER_STEPS.validate_json(metadata[_STEPS])  # type: ignore[arg-type]
        shape = tuple(int(size) for size in json.loads(metadata[_SHAPE]))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointUnreadable(f"{path}: damaged metadata: {error}", path=str(path)) from error
    del model.metadata_props[:]
    try:
        module = QuantizedNetwork(model.SerializeToString(deterministic=True), shape)
    except GdwsError as error:
        raise CheckpointUnreadable(f"{path}: {error.message}", path=str(path)) from error
    return Variant(path.stem, module, tuple(steps))
