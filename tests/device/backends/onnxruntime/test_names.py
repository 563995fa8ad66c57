import pytest

from gdws_agent.backends.onnx_nodes import OnnxNode
from gdws_agent.backends.onnxruntime.names import NodeNames


def chain(*nodes):
    """Nodes (name, operator) each of which takes what the one before made, and a weight."""
    tensors = ["input", *(f"{name}:0" for name, _ in nodes)]
    return [
        OnnxNode(name, operator, (tensors[index], f"{name}.weight"), (tensors[index + 1],))
        for index, (name, operator) in enumerate(nodes)
    ]


NODES = [
    *chain(("a/Conv", "Conv"), ("b/BatchNormalization", "BatchNormalization"), ("Relu", "Relu"), ("Pool", "MaxPool")),
    OnnxNode("", "Conv", ("Pool:0",), ("unnamed",)),
    OnnxNode("Add", "Add", ("Pool:0", "unnamed"), ("sum",)),
]


@pytest.mark.parametrize(
    ("name", "operator", "restored"),
    [
        ("a/Conv:0_nchwc", "Conv", "a/Conv"),
        ("Relu:0_nchwc", "Conv", "a/Conv + b/BatchNormalization + Relu"),
        ("b/BatchNormalization:0_nchwc", "Conv", "a/Conv + b/BatchNormalization"),
        ("b/BatchNormalization:0_bn_nchwc", "Conv", "b/BatchNormalization"),
        ("Pool:0_nchwc", "MaxPool", "Pool"),
        ("unnamed_nchwc", "Conv", "Conv"),
        # Of a sum, nobody can tell into which convolution it was fused.
        ("sum_nchwc", "Conv", "Add"),
        # Pooling is not fused into a convolution.
        ("Pool:0_nchwc", "Conv", "Pool"),
        ("elsewhere_nchwc", "Conv", "elsewhere_nchwc"),
        ("ReorderInput_token_9", "ReorderInput", "ReorderInput_token_9"),
        ("a/Conv", "Conv", "a/Conv"),
    ],
)
def test_names_of_optimised_nodes(name, operator, restored):
    assert NodeNames(NODES).restored(name, operator) == restored


def test_a_chain_that_begins_at_the_input_ends():
    assert NodeNames(chain(("Relu", "Relu"))).restored("Relu:0_nchwc", "Conv") == "Relu"
