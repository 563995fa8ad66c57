import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdws_agent.measuring.profiling import layer_profile, source_of
from gdws_contract.profiles import LayerTime

SOURCES = frozenset({"conv1", "layer1", "layer1.0.conv1", "layer1.0.conv2", "0", "head"})


@pytest.mark.parametrize(
    ("name", "source"),
    [
        # As ONNX has them.
        ("conv1/Conv", "conv1"),
        ("layer1.0.conv1.depthwise/Gather", "layer1.0.conv1"),
        ("layer1.0.conv1.depthwise.conv/Conv", "layer1.0.conv1"),
        ("layer1.0.conv1.depthwise.3/Conv", "layer1.0.conv1"),
        ("layer1.0.conv2.pointwise/Conv", "layer1.0.conv2"),
        ("0/Conv_1", "0"),
        # The longest of the known paths.
        ("layer1.0.conv10/Conv", "layer1"),
        ("conv10/Conv", "conv10"),
        # Modules that are not converted have names, too; the network's own operators have none.
        ("bn/BatchNormalization", "bn"),
        ("Relu_1", None),
        ("", None),
        # As runtimes fuse them.
        ("conv1/Conv + bn/BatchNormalization + Relu", "conv1"),
        ("PWN(bn/BatchNormalization, layer2.0/Relu)", "bn + layer2.0"),
        ("layer1.0.conv2.pointwise/Conv || layer1.0.conv1/Conv", "layer1.0.conv2 + layer1.0.conv1"),
        ("layer1.0.conv1.depthwise/Gather + layer1.0.conv1.pointwise/Conv", "layer1.0.conv1"),
        ("{ForeignNode[layer1.0.conv1.pointwise/Conv...head/Gemm]}", "layer1.0.conv1 + head"),
        ("[trainStation1]", None),
        ("Reformatting CopyNode for Input Tensor 0 to layer1.0.conv1/Conv", "layer1.0.conv1"),
        ("fused conv1/Conv", "conv1"),
        ("ReorderInput_token_9", None),
        ("conv1/Conv:0_nchwc", "conv1"),
        ("conv1/Conv:CONVOLUTION", "conv1"),
        ("/conv1/Conv", "conv1"),
    ],
)
def test_where_a_layer_came_from(name, source):
    assert source_of(name, SOURCES) == source


def test_without_known_layers_modules_are_told():
    assert (
        source_of("conv1.depthwise/Gather + conv1.pointwise/Conv", frozenset()) == "conv1.depthwise + conv1.pointwise"
    )


def time(name, mean_ms, **fields):
    return LayerTime(name=name, mean_ms=mean_ms, share=0.0, **fields)


def test_sources_shares_and_the_sum_are_filled_in_and_the_order_is_kept():
    profile = layer_profile(
        "TensorRT IProfiler",
        20,
        [time("conv1/Conv", 3.0, kind="Conv"), time("Relu", 1.0), time("head/Gemm", 0.0, source="elsewhere")],
        ["conv1", "head"],
    )

    assert (profile.tool, profile.iterations, profile.total_ms) == ("TensorRT IProfiler", 20, 4.0)
    assert [(layer.name, layer.source, layer.share) for layer in profile.layers] == [
        ("conv1/Conv", "conv1", 0.75),
        ("Relu", None, 0.25),
        ("head/Gemm", "elsewhere", 0.0),
    ]
    assert profile.layers[0].kind == "Conv"


@pytest.mark.parametrize("layers", [[], [time("a", 0.0)]])
def test_without_any_time_there_are_no_shares(layers):
    profile = layer_profile("x", 1, layers, [])
    assert profile.total_ms == 0
    assert [layer.share for layer in profile.layers] == [0.0] * len(layers)


NAMES = st.from_regex(r"[a-z]{1,3}(\.[a-z0-9]{1,3}){0,3}", fullmatch=True)


@given(st.lists(NAMES, min_size=1, max_size=4, unique=True), st.data())
def test_a_part_of_a_known_layer_is_of_it_or_of_one_within(sources, data):
    source = data.draw(st.sampled_from(sources))
    below = data.draw(st.sampled_from(["", ".depthwise", ".depthwise.0", ".pointwise"]))
    found = source_of(f"{source}{below}/Conv", frozenset(sources))

    assert found is not None
    assert found in sources
    assert f"{source}{below}".startswith(found)
    assert len(found) >= len(source)


@given(st.text(max_size=60), st.lists(NAMES, max_size=3))
def test_any_name_is_read(name, sources):
    found = source_of(name, frozenset(sources))
    assert found is None or found
