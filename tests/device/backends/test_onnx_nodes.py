import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdws_agent.backends.onnx_nodes import read_nodes
from support.bundles import tiny_parts

onnx = pytest.importorskip("onnx")


def as_onnx_reads_it(content):
    graph = onnx.load_from_string(content).graph
    return [(node.name, node.op_type, tuple(node.input), tuple(node.output)) for node in graph.node]


@pytest.mark.parametrize("variant", ["dense", "gdws"])
def test_the_nodes_are_those_that_onnx_reads(variant):
    content = tiny_parts()[1][f"variants/{variant}/model.onnx"]

    assert [tuple(node) for node in read_nodes(content)] == as_onnx_reads_it(content)


def test_nodes_of_inner_graphs_are_not_the_main_graphs():
    content = tiny_parts(faults={"gdws": "slow"})[1]["variants/gdws/model.onnx"]

    assert [tuple(node) for node in read_nodes(content)] == as_onnx_reads_it(content)
    assert "step" not in {node.name for node in read_nodes(content)}


def test_a_node_may_lack_a_name():
    node = onnx.helper.make_node("Relu", ["a"], ["b"])
    graph = onnx.helper.make_graph([node], "g", [], [])

    assert [tuple(each) for each in read_nodes(onnx.helper.make_model(graph).SerializeToString())] == [
        ("", "Relu", ("a",), ("b",))
    ]


@pytest.mark.parametrize("content", [b"\xff" * 20, b"\x3a\x7f", b"\x3a", b"\x0b", b"\x3d\x00"])
def test_what_is_no_protocol_buffer_is_refused(content):
    with pytest.raises(ValueError, match=r"past the end|unknown kind|ten bytes"):
        read_nodes(content)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=60))
def test_garbage_is_read_or_refused_and_ends(content):
    with contextlib.suppress(ValueError):
        read_nodes(content)
