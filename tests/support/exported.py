"""Every kind of ONNX file that the project writes, made by its own exporter; needs torch."""

from __future__ import annotations

from functools import lru_cache

#: Name -> how :func:`gdws.convert` is asked; None leaves the network dense.
FORMS = {
    "dense": None,
    "gather": {"mean_rank": 2, "layout": "gather"},
    "stacked": {"mean_rank": 2, "layout": "stacked"},
    "grouped": {"mean_rank": 2, "layout": "grouped"},
    "no ranks": {"gamma": 0},
}
#: Network -> shape of its images. The last three are one convolution of that geometry, and a linear layer.
NETWORKS = {
    "small": (3, 12, 12),
    "sharing": (3, 12, 12),
    "preact-resnet18": (3, 32, 32),
    "mnist-preact-resnet": (1, 28, 28),
    "dilated": (3, 9, 8),
    "reflect": (3, 9, 8),
    "even": (3, 9, 8),
}
_GEOMETRIES = {
    "dilated": {"kernel_size": 3, "padding": "same", "dilation": 2},
    "reflect": {"kernel_size": 3, "padding": 1, "padding_mode": "reflect", "stride": 2},
    "even": {"kernel_size": (4, 2), "padding": "same"},
}


@lru_cache(maxsize=None)
def exported(network: str, form: str):
    """Return (ONNX bytes, images (2, C, H, W), logits (2, classes) by torch)."""
    import torch

    import gdws
    from gdws.onnx_io.export import export

    shape = NETWORKS[network]
    model = _network(network)
    options = FORMS[form]
    if options is not None:
        model, _ = gdws.convert(model, **options)
    images = torch.rand((2, *shape), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return export(model, shape), images.numpy(), model(images).numpy()


def in_half(content):
    """Return the ONNX file ``content`` with float16 in place of float32: weights, inputs, outputs and casts."""
    import numpy as np
    import onnx
    from onnx import TensorProto, numpy_helper

    def halved(tensor):
        return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name)

    model = onnx.load_from_string(content)
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(halved(tensor))
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == TensorProto.FLOAT:
                attribute.t.CopyFrom(halved(attribute.t))
            elif node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.FLOAT16
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def quantised(content, images):
    """Return the ONNX file ``content`` with QuantizeLinear and DequantizeLinear nodes around its convolutions.

    Symmetric, as TensorRT wants them; ranges from ``images``, by ONNX Runtime's own tool.
    """
    import tempfile
    from pathlib import Path

    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self):
            self._feeds = iter([{"input": images}])

        def get_next(self):
            return next(self._feeds, None)

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "model.onnx"), Path(folder, "quantised.onnx")
        onnx.save(onnx.load_from_string(content), source)
        quantize_static(
            source,
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv"],
            extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
        )
        return target.read_bytes()


def _network(name):
    from torch import nn

    from gdws.networks import zoo as nets
    from support.networks import Sharing, SmallResNet, seeded

    if name == "small":
        return seeded(SmallResNet)
    if name == "sharing":
        return seeded(Sharing)
    if name in _GEOMETRIES:
        layers = (
            nn.Conv2d(3, 6, **_GEOMETRIES[name]),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(6, 4),
        )
        return seeded(nn.Sequential, *layers)
    return seeded(nets.build, name)
