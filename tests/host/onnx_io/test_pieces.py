"""Pieces of a graph, one after the other, compute what the graph does."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from gdws.onnx_io.export import export
from gdws.onnx_io.pieces import split_after
from gdws.onnx_io.run import Runner, run
from support.networks import SmallResNet, seeded

SHAPE = (3, 12, 12)


@pytest.mark.parametrize("kinds", [("Conv",), ("Relu", "Gemm"), ()])
def test_pieces_that_end_with_given_tensors_compute_the_same(kinds):
    content = export(seeded(SmallResNet), SHAPE)
    model = onnx.load_from_string(content)
    ends = [node.output[0] for node in model.graph.node if node.op_type in kinds]
    pieces = split_after(model, ends)
    for place, end in enumerate(ends):
        assert end in pieces[place].outputs
        assert end == pieces[place].model.graph.node[-1].output[0]
    images = np.random.default_rng(0).random((3, *SHAPE)).astype(np.float32)
    known = {model.graph.input[0].name: images}
    for piece in pieces:
        found = Runner(piece.content())({name: known[name] for name in piece.inputs})
        known.update(zip(piece.outputs, found, strict=True))
    np.testing.assert_allclose(known[model.graph.output[0].name], run(content, [images])[0], rtol=1e-5)
