"""The network of a first run as a bundle, so that it is handled like any bundle: parity before timing."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np

from gdws_contract import __version__
from gdws_contract.archive_writer import Content, write_bundle
from gdws_contract.manifest import OutputSpec, TensorSpec, Tool, Variant, Verification
from gdws_contract.steps import GdwsStep, LayerSummary
from gdws_contract.task import Classification

from .network import DENSE, INPUT, LAYOUTS, OUTPUT, Network, Shape, draw, draw_images, logits, to_onnx
from .onnx_file import OPSET

#: Inputs that every engine replays, and that INT8 ranges are found from.
IMAGES = 16
FORMS = (DENSE, *LAYOUTS)


def write_first_run_bundle(path: Path, shape: Shape) -> Dict[str, bytes]:
    """Write the bundle to ``path`` and return the ONNX file of each form.

    Raises:
        OSError: it cannot be written.
    """
    network, images = draw(shape), draw_images(shape, IMAGES)
    expected = logits(network, images)
    models = {form: to_onnx(network, form) for form in FORMS}
    members: Dict[str, Content] = {
        "verification/inputs.npy": _npy(images),
        "verification/labels.npy": _npy(expected.argmax(axis=1).astype(np.int64)),
        "logits.npy": _npy(expected),
        **{_model_member(form): model for form, model in models.items()},
    }
    manifest = {
        "tool": Tool(name="gdws-agent first-run", version=__version__),
        "name": "first-run",
        "task": Classification(),
        "input": TensorSpec(name=INPUT, shape=list(shape.input_shape), low=0.0, high=1.0),
        "outputs": [OutputSpec(name=OUTPUT, shape=[shape.classes])],
        "baseline": DENSE,
        "variants": [_variant(network, form) for form in FORMS],
        "verification": Verification(
            inputs="verification/inputs.npy",
            labels="verification/labels.npy",
            count=IMAGES,
            data="smooth patterns; the logits were computed by NumPy",
            origin="noise",
        ),
    }
    write_bundle(path, manifest, members)
    return models


def _variant(network: Network, form: str) -> Variant:
    return Variant(
        name=form,
        role="baseline" if form == DENSE else "converted",
        onnx=_model_member(form),
        opset=OPSET,
        macs=network.macs(form),
        parameters=network.parameters(form),
        method=None if form == DENSE else f"rank {network.shape.rank} in each channel, {form}",
        steps=[] if form == DENSE else [GdwsStep(layers=_layers(network, form))],
        outputs=["logits.npy"],
    )


def _layers(network: Network, form: str) -> List[LayerSummary]:
    return [
        LayerSummary(
            name=layer.name,
            converted=True,
            shape=_dense_shape(layer.shape),
            layout=form,
            total_rank=layer.shape[1] * layer.shape[2],
            mean_rank=float(layer.shape[2]),
            macs_before=layer.macs(DENSE),
            macs_after=layer.macs(form),
            parameters_before=layer.macs(DENSE) // layer.output_size**2 + layer.bias.size,
            parameters_after=layer.macs(form) // layer.output_size**2 + layer.bias.size,
            error=0.0,
        )
        for layer in network.layers
    ]


def _dense_shape(shape: Tuple[int, int, int]) -> List[int]:
    outputs, channels, _ = shape
    return [outputs, channels, 3, 3]


def _model_member(form: str) -> str:
    return f"variants/{form}/model.onnx"


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()
