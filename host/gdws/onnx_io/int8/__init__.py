"""ONNX in float32 -> ONNX that runtimes compute in INT8, by ``QuantizeLinear`` and ``DequantizeLinear`` in the graph.

Ranges come from running the file on images; the integers and scales are in the file, so that every runtime that reads
it computes the same network.
"""

from gdws.onnx_io.int8.points import SCHEMES, Scheme
from gdws.onnx_io.int8.quantize import Int8Settings, Quantized, costly_layers, quantize
from gdws.onnx_io.int8.ranges import RANGE_METHODS
from gdws.onnx_io.int8.twin import QuantizedNetwork

__all__ = [
    "RANGE_METHODS",
    "SCHEMES",
    "Int8Settings",
    "Quantized",
    "QuantizedNetwork",
    "Scheme",
    "costly_layers",
    "quantize",
]
