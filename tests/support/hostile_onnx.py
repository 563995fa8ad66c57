"""ONNX files that would reach out of themselves, and all the places in which a file can hold a tensor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx
from onnx import TensorProto, helper


def tensor(name: str) -> onnx.TensorProto:
    """A tensor of one number, inside the file."""
    return helper.make_tensor(name, TensorProto.FLOAT, [1], [0.5])


def sparse(name: str) -> onnx.SparseTensorProto:
    """One number among four."""
    return helper.make_sparse_tensor(tensor(name), helper.make_tensor("i", TensorProto.INT64, [1], [2]), [4])


def graph(depth: int = 0) -> onnx.GraphProto:
    """A graph with a tensor in each place of each kind, and below it ``depth`` levels of the same."""
    node = helper.make_node("Constant", [], ["c"], name="constant")
    node.attribute.append(helper.make_attribute("value", tensor("t")))
    node.attribute.append(helper.make_attribute("all", [tensor("t0"), tensor("t1")]))
    for name, field in (("sparse_value", "sparse_tensor"), ("all_sparse", "sparse_tensors")):
        attribute = node.attribute.add(name=name)
        if field == "sparse_tensor":
            attribute.type = onnx.AttributeProto.SPARSE_TENSOR
            attribute.sparse_tensor.CopyFrom(sparse("s"))
        else:
            attribute.type = onnx.AttributeProto.SPARSE_TENSORS
            attribute.sparse_tensors.append(sparse("s0"))
    if depth:
        node.attribute.append(helper.make_attribute("then_branch", graph(depth - 1)))
        node.attribute.append(helper.make_attribute("bodies", [graph(depth - 1)]))
    made = helper.make_graph([node], "g", [], [], [tensor("w")])
    made.sparse_initializer.append(sparse("v"))
    return made


def everywhere(depth: int = 1) -> onnx.ModelProto:
    """A model with a tensor in each place that the format has: graphs, functions, training, attributes, nested."""
    model = helper.make_model(graph(depth), opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model.functions.append(
        helper.make_function("local", "F", ["x"], ["y"], list(graph(depth).node), [helper.make_opsetid("", 17)])
    )
    training = model.training_info.add()
    training.initialization.CopyFrom(graph(depth))
    training.algorithm.CopyFrom(graph(depth))
    return model


def tensors(message: Any) -> Iterator[onnx.TensorProto]:
    """Every tensor in ``message``, by what protocol buffers know of it; nothing about ONNX is assumed."""
    if isinstance(message, onnx.TensorProto):
        yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in [value] if hasattr(value, "ListFields") else value:
                yield from tensors(each)


def is_external(found: onnx.TensorProto) -> bool:
    """Whether a runtime would look for the tensor's data elsewhere."""
    return found.data_location == TensorProto.EXTERNAL or bool(found.external_data)


def make_external(found: onnx.TensorProto, location: str = "/etc/passwd", **more: Any) -> None:
    """Have ``found`` take its data from a file."""
    found.ClearField("raw_data")
    found.ClearField("float_data")
    found.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        found.external_data.add(key=key, value=str(value))


def reading(location: str, size_bytes: int, *, offset: int = 0) -> bytes:
    """The tiny bundle's network, one weight of which is bytes of the file ``location`` (uint8, cast to float)."""
    secret = onnx.TensorProto(name="secret", data_type=TensorProto.UINT8, dims=[size_bytes])
    make_external(secret, location, offset=offset, length=size_bytes)
    made = helper.make_graph(
        [
            helper.make_node("Cast", ["secret"], ["numbers"], to=TensorProto.FLOAT),
            helper.make_node("ReduceSum", ["numbers"], ["sum"], keepdims=0),
            helper.make_node("GlobalAveragePool", ["input"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("Concat", ["flat", "flat"], ["four"], axis=1),
            helper.make_node("Add", ["four", "sum"], ["logits"]),
        ],
        "reads",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 2, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 4])],
        [secret],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


def code_in_a_name(statement: str) -> str:
    """A node's name that makes ``statement`` a part of the code of a torch.fx graph, if it is quoted as it is."""
    return f'relu"), [{statement}] and getattr(self, "relu'
