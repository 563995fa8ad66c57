import json

import pytest

from gdws_agent.backends.tensorrt.inspect import (
    LayerFacts,
    counts_in_words,
    layer_devices,
    layer_facts,
    layer_precisions,
    precision_in_force,
    reformats_in_words,
)


def layer(kind, weights=8):
    return {"Name": "layer", "Inputs": [{"Format/Datatype": kind}], "Weights": {"Type": "Float", "Count": weights}}


def information(*layers):
    return json.dumps({"Layers": list(layers), "Bindings": ["input", "logits"]})


@pytest.mark.parametrize(
    ("kind", "precision"),
    [
        ("Row major linear FP32", "fp32"),
        ("Float", "fp32"),
        ("Half", "fp16"),
        ("Channel major FP16 format where channel % 8 == 0", "fp16"),
        ("Thirty-two wide channel vectorized row major Int8 format.", "int8"),
        ("BFloat16", "bf16"),
        ("FP8", "fp8"),
    ],
)
def test_each_name_of_a_type(kind, precision):
    assert layer_precisions(information(layer(kind))) == {precision: 1}


def test_layers_without_weights_do_not_count():
    assert layer_precisions(information(layer("Half"), layer("Float", 0), {"Name": "reformat"})) == {"fp16": 1}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"Layers": ["conv"]}', '{"Layers": [{"Weights": {"Count": 1}}]}']
)
def test_an_engine_that_does_not_tell(text):
    assert layer_precisions(text) == {}
    assert layer_devices(text).dla_parts == 0
    assert all(isinstance(facts, LayerFacts) for facts in layer_facts(text))


def test_what_layers_are():
    text = information(
        {
            "Name": "a + b",
            "LayerType": "CaskConvolution",
            "ParameterType": "Convolution",
            "Metadata": "[ONNX Layer: a]",
        },
        {"Name": "c", "LayerType": "Reformat"},
        {"Name": "d"},
    )
    assert layer_facts(text) == [
        LayerFacts("a + b", "Convolution", "[ONNX Layer: a]"),
        LayerFacts("c", "Reformat", ""),
        LayerFacts("d", "", ""),
    ]


def test_parts_on_an_accelerator_and_layers_on_the_gpu():
    text = information(
        {"Name": "input to nvm", "LayerType": "Reformat"},
        {"Name": "{ForeignNode[conv1/Conv...relu/Relu]}", "LayerType": "DLA"},
        {"Name": "{ForeignNode[a/Conv...b/Conv]}"},
        {"Name": "logits from nvm", "LayerType": "Reformat"},
        {"Name": "logits copy finish", "LayerType": "Reformat"},
        {"Name": "Reformatting CopyNode for Input Tensor 0 to head/Gemm", "LayerType": "Reformat"},
        {"Name": "head/Gemm", "LayerType": "gemm"},
        {"Name": "{ForeignNode[x...y]}", "LayerType": "Myelin"},
    )
    assert layer_devices(text) == (2, 2)


@pytest.mark.parametrize(
    ("asked", "counts", "precision"),
    [
        ("fp32", {}, "fp32"),
        ("fp16", {"fp16": 1, "fp32": 20}, "fp16"),
        ("fp16", {"fp32": 20}, "fp32"),
        ("fp16", {"fp32": 20, "int8": 21}, "int8"),
        ("int8", {"fp16": 2, "int8": 1}, "int8"),
        ("int8", {"fp16": 2}, "fp16"),
        ("tf32", {"fp32": 3}, "tf32"),
        ("tf32", {"fp16": 3}, "fp16"),
    ],
)
def test_the_precision_in_force(asked, counts, precision):
    assert precision_in_force(asked, counts) == precision


def test_layers_that_only_change_a_format():
    text = information(
        {"Name": "Reformatting CopyNode for Input Tensor 0 to conv1.depthwise/Gather", "LayerType": "Reformat"},
        {"Name": "conv1.depthwise/Gather", "LayerType": "Gather"},
        {"Name": "Reformatting CopyNode for Output Tensor 0 to conv1.depthwise/Gather", "LayerType": "Reformat"},
        {"Name": "Reformatting CopyNode for Network Input input", "LayerType": "Reformat"},
    )
    assert reformats_in_words(text) == ["reformats=3, for conv1.depthwise/Gather"]
    assert reformats_in_words(information({"Name": "conv", "LayerType": "CaskConvolution"})) == ["reformats=0"]
    assert reformats_in_words("") == []


def test_in_words():
    assert counts_in_words({"fp32": 1, "fp16": 20}) == ["layers_fp16=20", "layers_fp32=1"]
    (words,) = counts_in_words({})
    assert words.startswith("precision_read_back=no, ")
