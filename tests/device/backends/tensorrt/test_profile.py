import pytest

from gdws_agent.backends.tensorrt.inspect import LayerFacts
from gdws_agent.backends.tensorrt.profile import Recorder, full_name
from gdws_agent.errors import RunFailed

ALL = "[ONNX Layer: conv1/Conv]\x1e[ONNX Layer: relu/Relu]"


@pytest.mark.parametrize(
    ("name", "metadata", "full"),
    [
        ("conv1/Conv", "", "conv1/Conv"),
        ("conv1/Conv + relu/Relu", ALL, "conv1/Conv + relu/Relu"),
        ("PWN(conv1/Conv, relu/Relu)", ALL, "PWN(conv1/Conv, relu/Relu)"),
        ("__myl_ConvRelu_0x1f", ALL, "__myl_ConvRelu_0x1f [conv1/Conv, relu/Relu]"),
        ("conv1/Conv_1", ALL, "conv1/Conv_1 [conv1/Conv, relu/Relu]"),
        ("layer1.conv1/Conv + relu/Relu", ALL, "layer1.conv1/Conv + relu/Relu [conv1/Conv]"),
        ("Reformatting CopyNode for Input Tensor 0 to conv1/Conv", "", None),
    ],
)
def test_names_bear_every_node(name, metadata, full):
    assert full_name(name, metadata) == (name if full is None else full)


def test_times_are_means_in_the_order_in_which_layers_ran():
    recorder = Recorder()
    recorder.add("warm-up alone", 99.0)
    recorder.forget()
    for iteration in range(4):
        recorder.add("__myl_0", 0.1 * (iteration + 1))
        recorder.add("head/Gemm", 0.05)
    first, second = recorder.layers([LayerFacts("__myl_0", "kgen", ALL)], iterations=4)
    assert (first.name, first.kind) == ("__myl_0 [conv1/Conv, relu/Relu]", "kgen")
    assert first.mean_ms == pytest.approx(0.25)
    assert first.share == pytest.approx(0.25 / 0.3)
    assert (second.name, second.kind) == ("head/Gemm", None)
    assert second.share == pytest.approx(0.05 / 0.3)


def test_silence_is_an_error():
    with pytest.raises(RunFailed, match="no times"):
        Recorder().layers([], 1)
