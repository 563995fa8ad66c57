"""Freeing the batch size of ONNX graphs, on small graphs made by hand."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from gdws.onnx_io.batch import BatchDependence, free_batch
from gdws.onnx_io.graph import fold_shapes
from support.onnx_graphs import flattened_by_hand, model, operators, run


def test_shapes_fold_and_the_batch_becomes_free():
    first, second = flattened_by_hand(2), flattened_by_hand(3)
    for each in (first, second):
        fold_shapes(each)
        assert operators(each) == ["Reshape"]
    free_batch(first, second, (2, 3))
    onnx.checker.check_model(first, full_check=True)
    assert operators(first) == ["Reshape"]
    (target,) = first.graph.initializer
    assert numpy_helper.to_array(target).tolist() == [-1, 12]
    for batch in (1, 2, 7):
        assert run(first, np.zeros((batch, 3, 2, 2), np.float32)).shape == (batch, 12)


def expanded(batch: int, target) -> onnx.ModelProto:
    nodes = [helper.make_node("Expand", ["bias", "target"], ["big"], "/Expand")]
    nodes.append(helper.make_node("Add", ["x", "big"], ["y"], "/Add"))
    return model(nodes, {"bias": np.ones((1, 4), np.float32), "target": np.int64(target)}, [batch, 4], [batch, 4])


def test_other_shapes_are_computed_from_the_input():
    made = expanded(2, [2, 4])
    free_batch(made, expanded(3, [3, 4]), (2, 3))
    onnx.checker.check_model(made, full_check=True)
    for batch in (1, 5):
        assert run(made, np.zeros((batch, 4), np.float32)).tolist() == np.ones((batch, 4)).tolist()


def test_products_with_the_batch():
    """A Reshape that folds the batch into another axis."""

    def made(batch):
        nodes = [
            helper.make_node("Reshape", ["x", "target"], ["z"], "/Reshape"),
            helper.make_node("Reshape", ["z", "back"], ["y"], "/Reshape_1"),
        ]
        tensors = {"target": np.int64([2, batch * 2, -1]), "back": np.int64([batch, 4])}
        return model(nodes, tensors, [batch, 4], [batch, 4])

    first, second = made(2), made(3)
    for each in (first, second):
        fold_shapes(each)
    free_batch(first, second, (2, 3))
    x = np.arange(20, dtype=np.float32).reshape(5, 4)
    assert np.array_equal(run(first, x), x)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (model([helper.make_node("Add", ["x", "x"], ["y"])], {}, [3, 4], [3, 4]), "another path"),
        (expanded(3, [3, 4, 4]), "target"),
        (expanded(3, [[3, 4]]), "target"),
    ],
)
def test_what_cannot_be_freed(other, message):
    with pytest.raises(BatchDependence, match=message):
        free_batch(expanded(2, [2, 4]), other, (2, 3))


def test_a_weight_that_depends_on_the_batch():
    def made(batch):
        return model([helper.make_node("Mul", ["x", "w"], ["y"])], {"w": np.float32([batch])}, [batch, 4], [batch, 4])

    with pytest.raises(BatchDependence, match="'w'"):
        free_batch(made(2), made(3), (2, 3))


def test_another_attribute_is_another_path():
    def made(batch):
        return model([helper.make_node("Concat", ["x"], ["y"], axis=batch - 2)], {}, [batch, 4], [batch, 4])

    with pytest.raises(BatchDependence, match="another path"):
        free_batch(made(2), made(3), (2, 3))


def one_row(batch: int, rows) -> onnx.ModelProto:
    return model([helper.make_node("Add", ["x", "start"], ["y"], "/Add")], {"start": rows}, [batch, 4], [batch, 4])


def test_a_row_for_each_image_is_expanded():
    """What a recurrent cell starts at: ``x.new_zeros(len(x), 4)``."""
    row = np.arange(4, dtype=np.float32)
    made = one_row(2, np.stack([row] * 2))
    free_batch(made, one_row(3, np.stack([row] * 3)), (2, 3))
    onnx.checker.check_model(made, full_check=True)
    for batch in (1, 5):
        assert np.array_equal(run(made, np.ones((batch, 4), np.float32)), np.stack([row + 1] * batch))


@pytest.mark.parametrize("rows", [np.float32([[1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]]), np.ones((3, 4), np.float32)])
def test_rows_that_differ_cannot_be_freed(rows):
    with pytest.raises(BatchDependence, match="'start'"):
        free_batch(one_row(2, np.zeros((2, 4), np.float32)), one_row(3, rows), (2, 3))
