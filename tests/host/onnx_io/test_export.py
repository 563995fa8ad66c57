"""Networks as ONNX: the same function, readable by the oldest device, named after the source."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

import gdws
from gdws.bundles import packing
from gdws.bundles.packing import VerificationSet, pack
from gdws.bundles.variant import GdwsStep, Variant
from gdws.errors import ExportError
from gdws.networks import zoo as nets
from gdws.onnx_io import tracing
from gdws.onnx_io.export import export, float32_copy
from gdws.onnx_io.run import Runner
from support import python38

SHAPE = (3, 12, 12)
CLASSES = 5
REPLAY = Path(python38.__file__).with_name("replay.py")


class Net(nn.Module):
    """Stem, one convolution as asked for, BN, ReLU, head."""

    def __init__(self, head: str = "flatten", **conv) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.block = nn.Sequential(nn.Conv2d(8, 12, **conv), nn.BatchNorm2d(12), nn.ReLU())
        self.head = nn.Linear(12, CLASSES)
        self.flatten = head
        nn.init.normal_(self.block[1].running_mean)
        nn.init.uniform_(self.block[1].running_var, 0.5, 2)

    def forward(self, x):
        x = F.adaptive_avg_pool2d(self.block(F.relu(self.stem(x))), 1)
        return self.head(x.flatten(1) if self.flatten == "flatten" else x.view(x.size(0), -1))


class Shared(nn.Module):
    """One convolution called twice, and one weight in two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.first = nn.Conv2d(8, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.second.weight = self.first.weight
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x):
        x = F.relu(self.first(F.relu(self.first(self.stem(x)))))
        return self.head(F.relu(self.second(x)).mean(dim=(2, 3)))


class Shuffled(nn.Module):
    """Reshapes that mix channels, and a bias expanded to the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect")
        self.shift = nn.Parameter(torch.randn(1, 8, 1, 1))
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x):
        x = self.conv(x)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return self.head((x + self.shift.expand(n, c, h, w)).mean((2, 3)))


GEOMETRIES = {
    "plain": {"kernel_size": 3, "padding": 1},
    "strided": {"kernel_size": (3, 5), "padding": (0, 2), "stride": (2, 1), "bias": False},
    "dilated": {"kernel_size": 3, "padding": "same", "dilation": 2},
    "same-even": {"kernel_size": (4, 2), "padding": "same"},
    "reflect": {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
    "circular": {"kernel_size": 3, "padding": (2, 1), "padding_mode": "circular"},
    "replicate": {"kernel_size": 5, "padding": 2, "padding_mode": "replicate"},
}


def variants(model: nn.Module) -> list[Variant]:
    """The dense network and its GDWS forms, one for each layout, and at G = 0."""
    made = [Variant("dense", model)]
    for name, options in {
        "gather": {"gamma": 30},
        "ones": {"mean_rank": 1},
        "stacked": {"mean_rank": 2, "layout": "stacked"},
        "grouped": {"mean_rank": 2, "layout": "grouped"},
        "zero": {"gamma": 0},
    }.items():
        network, plan = gdws.convert(model, **options)
        made.append(Variant(name, network, (GdwsStep(plan),)))
    return made


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> list[Path]:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("bundles")
    models = {name: Net(**geometry) for name, geometry in GEOMETRIES.items()}
    models["shared"] = Shared()
    images = VerificationSet(torch.rand(3, *SHAPE), torch.tensor([0, 1, 2]), "noise")
    for name, model in models.items():
        pack(folder / f"{name}.gdws", name=name, variants=variants(model), verification=images)
    return sorted(folder.iterdir())


class TestReplay:
    """Every layout and geometry computes on the device what torch computed on the host."""

    @pytest.mark.parametrize("where", ["here", "python 3.8"])
    def test_logits(self, bundles, where):
        pytest.importorskip("onnxruntime")
        interpreter = sys.executable if where == "here" else python38.python38()
        report = python38.run_json(interpreter, REPLAY, *bundles)
        if where == "python 3.8":
            assert report["python"] == [3, 8]
        assert len(report["differences"]) == len(GEOMETRIES) + 1
        for path, by_variant in report["differences"].items():
            assert set(by_variant) == {"dense", "gather", "ones", "stacked", "grouped", "zero"}
            assert max(by_variant.values()) <= 1e-4, (path, by_variant)


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(1)
    return Net(kernel_size=3, padding=1)


def exported(model: nn.Module, shape: tuple[int, ...] = SHAPE) -> onnx.ModelProto:
    return onnx.load_from_string(export(model, shape))


class TestForm:
    def test_versions_and_names(self, net):
        model = exported(net)
        assert model.ir_version == 8
        assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
        assert [value.name for value in model.graph.input] == ["input"]
        assert [value.name for value in model.graph.output] == ["logits"]

    def test_the_batch_is_dynamic_and_nothing_else(self, net):
        model = exported(net)
        shapes = [
            [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
            for value in (*model.graph.input, *model.graph.output)
        ]
        assert shapes == [["batch", *SHAPE], ["batch", CLASSES]]

    @pytest.mark.parametrize("head", ["flatten", "view"])
    @pytest.mark.parametrize("mode", ["zeros", "reflect"])
    def test_no_arithmetic_on_shapes(self, head, mode):
        model = exported(Net(head, kernel_size=3, padding=1, padding_mode=mode))
        operators = [node.op_type for node in model.graph.node]
        assert set(operators) <= {
            "Conv",
            "Relu",
            "BatchNormalization",
            "GlobalAveragePool",
            "Gemm",
            "Pad",
            "Flatten",
            "Reshape",
        }

    def test_weights_keep_the_names_and_values_of_the_module(self, net):
        tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in exported(net).graph.initializer}
        state = {name: value for name, value in net.state_dict().items() if "num_batches" not in name}
        assert set(tensors) == set(state)
        for name, value in state.items():
            assert np.array_equal(tensors[name], value.numpy())

    def test_equal_weights_stay_apart(self):
        """Fresh BN layers have equal parameters, which the tracer would share through Identity nodes."""
        model = exported(
            nn.Sequential(
                nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(CLASSES)
            )
        )
        assert "Identity" not in [node.op_type for node in model.graph.node]
        assert {"1.weight", "2.weight", "1.running_var"} <= {tensor.name for tensor in model.graph.initializer}

    def test_nodes_bear_the_path_of_their_layer(self):
        model = nets.build("mnist-preact-resnet", width=8)
        converted, _ = gdws.convert(model, gamma=12)
        nodes = {node.name: node.op_type for node in exported(converted, (1, 28, 28)).graph.node}
        layer = {name: kind for name, kind in nodes.items() if name.startswith("layer1.0.conv1.")}
        assert sorted(layer.values()) == ["Conv", "Conv", "Gather"]
        assert nodes["layer2.0.shortcut.0/Conv"] == "Conv"
        assert nodes["layer2.0.bn1/BatchNormalization"] == "BatchNormalization"
        assert nodes["layer2.0/Add"] == "Add"
        assert nodes["Relu"] == "Relu"

    def test_paths_that_end_alike_are_told_apart(self):
        class Twins(nn.Module):
            """Calls the inner layers itself, so that no scope tells whose they are."""

            def __init__(self) -> None:
                super().__init__()
                self.left = nn.Sequential(nn.Conv2d(3, 4, 1))
                self.right = nn.ModuleDict({"0": nn.Conv2d(4, 4, 1)})
                self.head = nn.Linear(4, CLASSES)

            def forward(self, x):
                return self.head(self.right["0"](self.left[0](x)).mean((2, 3)))

        names = [node.name for node in exported(Twins()).graph.node]
        assert names[:2] == ["left.0/Conv", "right.0/Conv"]

    def test_names_are_unique(self):
        names = [node.name for node in exported(Shared()).graph.node]
        assert len(set(names)) == len(names)

    def test_shapes_that_depend_on_the_batch_are_computed(self):
        model = exported(Shuffled())
        onnx.checker.check_model(model, full_check=True)
        reshapes = [node for node in model.graph.node if node.op_type == "Reshape"]
        constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        assert [constants[node.input[1]].tolist() for node in reshapes] == [[-1, 2, 4, 12, 12], [-1, 8, 12, 12]]

    def test_the_same_module_gives_the_same_bytes(self, net):
        assert export(net, SHAPE) == export(net, SHAPE) == export(copy.deepcopy(net), SHAPE)


class TestTheModule:
    def test_it_is_not_changed(self, net):
        net.train()
        net.block[1].eval()
        before = {name: value.clone() for name, value in net.state_dict().items()}
        export(net, SHAPE)
        assert net.training
        assert not net.block[1].training
        assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
        assert not any("_onnx" in name for module in net.modules() for name in vars(module))

    def test_evaluation_mode_is_exported(self, net):
        trained = copy.deepcopy(net).train()
        assert export(trained, SHAPE) == export(copy.deepcopy(net).eval(), SHAPE)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
    def test_other_precisions_become_float32(self, net, dtype):
        model = copy.deepcopy(net).to(dtype)
        assert export(model, SHAPE) == export(copy.deepcopy(model).float(), SHAPE)
        assert next(model.parameters()).dtype == dtype

    def test_gradients_may_be_off(self, net):
        model = copy.deepcopy(net).requires_grad_(False)
        with torch.inference_mode():
            export(model, SHAPE)

    def test_a_float32_copy_is_apart(self, net):
        copied = float32_copy(net)
        assert not copied.training
        with torch.no_grad():
            copied.stem.weight.zero_()
        assert net.stem.weight.abs().sum() > 0


def test_outputs_of_any_number_shape_and_type():
    network = Returning(lambda x: {"maps": (2 * x, x.mean(dim=(2, 3))), "class": x.mean(dim=(2, 3)).argmax(dim=1)})
    content = export(network, SHAPE)
    images = torch.rand(3, *SHAPE)
    found = Runner(content)({"input": images.numpy()})
    assert [value.name for value in onnx.load_from_string(content).graph.output] == ["maps.0", "maps.1", "class"]
    wanted = (2 * images, images.mean(dim=(2, 3)), images.mean(dim=(2, 3)).argmax(dim=1))
    for mine, tensor in zip(found, wanted, strict=True):
        np.testing.assert_allclose(mine, tensor.numpy(), rtol=1e-5)
        assert mine.dtype == tensor.numpy().dtype


class TestRefusals:
    def test_a_wrong_input_shape(self, net):
        with pytest.raises(ExportError, match="does not run on images of shape") as caught:
            export(net, (1, 12, 12))
        assert "input shape" in caught.value.hint

    @pytest.mark.parametrize(
        ("give", "message"),
        [
            (lambda x: x.flatten()[None], "no row for each image"),
            (lambda x: (x.mean(dim=(1, 2, 3)), x.mean()), "output_1 .* no row for each image"),
            (lambda x: None, "no tensor"),
        ],
    )
    def test_outputs_that_no_device_could_be_asked_for(self, give, message):
        with pytest.raises(ExportError, match=message) as caught:
            export(Returning(give), SHAPE)
        assert caught.value.hint

    def test_nan(self, net):
        broken = copy.deepcopy(net)
        broken.head.bias.data[0] = float("nan")
        with pytest.raises(ExportError, match="NaN"):
            export(broken, SHAPE)

    def test_an_operator_that_onnx_lacks(self, capfd):
        with pytest.raises(ExportError, match="cannot be exported") as caught:
            export(Returning(lambda x: torch.linalg.svdvals(x.flatten(1)[:, :9].reshape(-1, 3, 3))), SHAPE)
        assert caught.value.hint
        assert len(str(caught.value)) < 500
        assert capfd.readouterr().out == ""

    def test_a_path_that_depends_on_the_values(self):
        def choose(x):
            return x.flatten(1)[:, :2] if float(x[0].mean()) > 0.5 else -x.flatten(1)[:, :2]

        torch.manual_seed(0)
        with pytest.raises(ExportError, match="differ"):
            export(Returning(choose), SHAPE)

    def test_a_batch_size_that_is_written_in_the_network(self):
        with pytest.raises(ExportError, match="depends on the batch size") as caught:
            export(Returning(lambda x: x.flatten(1)[:, :2] * len(x)), SHAPE)
        assert "batch" in caught.value.hint
        with pytest.raises(ExportError, match="another path"):
            export(Returning(lambda x: x.flatten(1)[:, :2] if len(x) != 3 else x.flatten(1)[:, :2] * 2), SHAPE)
        with pytest.raises(ExportError, match="differ by"):
            export(Returning(lambda x: x.flatten(1)[:, :2] if len(x) != 5 else x.flatten(1)[:, :2] * 2), SHAPE)

    def test_a_module_that_cannot_be_copied(self, net):
        model = copy.deepcopy(net)
        model.cache = torch.ones(1, requires_grad=True) * 2  # no leaf
        with pytest.raises(ExportError, match="copied"):
            export(model, SHAPE)

    def test_a_wrong_result_is_noticed(self, net, monkeypatch):
        spoil(monkeypatch, by=0.01)
        with pytest.raises(ExportError, match="logits differ by"):
            export(net, SHAPE)

    def test_tiny_outputs_of_a_sigmoid_may_differ_by_rounding(self, net, monkeypatch):
        class No(nn.Module):
            def __init__(self):
                super().__init__()
                self.head = nn.Linear(3, 3)

            def forward(self, x):
                return torch.sigmoid(self.head(x.mean(dim=(2, 3))) - 12)

        spoil(monkeypatch, by=0.01)
        export(No().eval(), SHAPE)
        spoil(monkeypatch, by=1)
        with pytest.raises(ExportError, match="logits differ by"):
            export(No().eval(), SHAPE)

    def test_what_rounding_does_to_the_network_is_allowed_and_no_more(self, net, monkeypatch):
        class Coarse(nn.Module):
            def __init__(self):
                super().__init__()
                self.net = net

            def forward(self, x):
                return (self.net(x) + 1e4) - 1e4  # float32 holds steps of 0.001 there

        spoil(monkeypatch, by=0.0005)
        export(Coarse().eval(), SHAPE)
        with pytest.raises(ExportError, match="logits differ by"):
            export(net, SHAPE)
        spoil(monkeypatch, by=0.01)
        with pytest.raises(ExportError, match="rounding moves it by"):
            export(Coarse().eval(), SHAPE)


def spoil(monkeypatch, *, by: float) -> None:
    """Let the exporter change the last bias."""

    def change(model, *_):
        for tensor in model.graph.initializer:
            if tensor.name.endswith("head.bias"):
                changed = onnx.numpy_helper.to_array(tensor) + np.float32(by)
                tensor.CopyFrom(onnx.numpy_helper.from_array(changed, tensor.name))

    monkeypatch.setattr(tracing, "pad_explicitly", change)


def test_without_onnx_runtime_the_reference_evaluator_checks(net, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    export(net, SHAPE)
    assert packing.export is export


class Returning(nn.Module):
    """Applies a function."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)
