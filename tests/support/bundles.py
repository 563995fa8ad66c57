"""Small bundles made without torch, for every test that needs one. Runs on Python 3.8.

::

    path = tiny_bundle(tmp_path / "tiny.gdws")
    path = tiny_bundle(tmp_path / "bad.gdws", variants=("dense", "a", "b"), faults={"a": "nan", "b": "slow"})

The first variant is the baseline. The others compute the same function as GDWS: gather, depthwise and pointwise
convolution. Host logits come from numpy in float64, so a runtime that computes them in float32 passes parity.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from gdws_contract import archive_writer
from gdws_contract.manifest import (
    NATURAL_ACCURACY,
    ROBUST_ACCURACY,
    Attack,
    HostEvaluation,
    OutputSpec,
    TensorSpec,
    Tool,
    Variant,
    Verification,
)
from gdws_contract.measures import Proportion
from gdws_contract.steps import GdwsStep, LayerSummary
from gdws_contract.task import Classification, Outputs

OPSET = 17
IR_VERSION = 8
EPS = 0.1
INPUT_SHAPE = (2, 8, 8)
CLASSES = 4
CHANNELS = 6
OUTPUTS = [OutputSpec(name="logits", shape=[CLASSES]), OutputSpec(name="class", dtype="int64", shape=[])]

#: What can be wrong with a variant whose archive and hashes are right.
FAULTS = (
    "wrong-logits",  # the host's record is not what the network computes: parity fails
    "nan",  # the network's outputs are NaN
    "huge",  # running it takes 2**50 bytes
    "huge-batch",  # a batch of one runs, a batch of four or more takes 2**42 bytes or more
    "slow",  # one inference takes seconds: something to cancel
    "unknown-operator",  # a node of a domain that no runtime knows
    "not-onnx",  # the member is not an ONNX file
    "wrong-shape",  # the network expects other images than the manifest says
    "new-opset",  # written for an operator set that old runtimes do not read
)


def tiny_bundle(path: Path, **options: Any) -> Path:
    """Write the bundle that :func:`tiny_parts` describes to ``path`` and return the path.

    Networks that no reader of bundles takes are written as well, as somebody who means harm would.
    """
    fields, members = tiny_parts(**options)
    write_unchecked(path, fields, members)
    return Path(path)


def write_unchecked(path: Path, fields: dict[str, Any], members: dict[str, bytes]) -> str:
    """Write a bundle without a look at its networks, and return its id."""
    with mock.patch.object(archive_writer, "check_network", return_value=0):
        return archive_writer.write_bundle(path, fields, members)


def tiny_parts(
    *,
    variants: Sequence[str] = ("dense", "gdws"),
    net: str = "conv",
    count: int = 16,
    faults: Mapping[str, str] = {},
    adversarial: bool = True,
    name: str = "tiny",
    seed: int = 0,
    padding_bytes: int = 0,
    two_outputs: bool = False,
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the manifest fields and the members of a bundle, for :func:`gdws_contract.archive_writer.write_bundle`.

    ``variants``: the first is the dense baseline. ``net``: ``"conv"`` or ``"linear"``; images are (2, 8, 8), there
    are 4 classes. ``count``: verification images. ``faults``: variant name -> one of :data:`FAULTS`.
    ``adversarial``: with adversarial inputs and logits. ``seed`` draws weights and images: another seed, another id.
    ``padding_bytes`` makes the bundle larger, by a member of random bytes. With ``two_outputs`` the networks give the
    class as an integer beside the logits, no more is known of what these mean, and there are no labels.
    """
    unknown = set(faults) - set(variants) | set(faults.values()) - set(FAULTS)
    if unknown:
        raise ValueError(f"no such variant or fault: {sorted(unknown)}")
    rng = np.random.default_rng(seed)
    network = _Conv.draw(rng) if net == "conv" else _Linear.draw(rng)
    images = rng.uniform(0, 1, (count, *INPUT_SHAPE)).astype(np.float32)
    labels = _labels(network.logits(images))

    members = {"verification/inputs.npy": _npy(images)}
    if not two_outputs:
        members["verification/labels.npy"] = _npy(labels)
    if padding_bytes:
        members["padding.bin"] = rng.bytes(padding_bytes)
    entries: list[Variant] = []
    for index, variant in enumerate(variants):
        attacked = _perturb(images, np.random.default_rng(seed + 1 + index)) if adversarial else None
        entry, files = _variant(
            variant, network, index == 0, images, labels, attacked, faults.get(variant), two_outputs=two_outputs
        )
        entries.append(entry)
        members.update(files)
    fields = {
        "tool": Tool(name="tiny", version="1"),
        "name": name,
        "input": TensorSpec(name="input", shape=list(INPUT_SHAPE), low=0.0, high=1.0),
        "task": Outputs() if two_outputs else Classification(),
        "outputs": OUTPUTS if two_outputs else OUTPUTS[:1],
        "baseline": variants[0],
        "variants": entries,
        "verification": Verification(
            inputs="verification/inputs.npy",
            labels=None if two_outputs else "verification/labels.npy",
            count=count,
            data="uniform noise",
            origin="network" if two_outputs else "labelled",
            attack=_ATTACK if adversarial else None,
        ),
        "provenance": {"seed": seed},
    }
    return fields, members


_ATTACK = Attack(name="random-signs", norm="linf", eps=EPS, iterations=0, seed=0)


def _variant(
    name: str,
    network: _Conv | _Linear,
    baseline: bool,
    images: np.ndarray,
    labels: np.ndarray,
    attacked: np.ndarray | None,
    fault: str | None,
    *,
    two_outputs: bool,
) -> tuple[Variant, dict[str, bytes]]:
    logits = network.logits(images)
    folder = f"variants/{name}"
    files = {
        f"{folder}/model.onnx": _model_bytes(network, gdws=not baseline, fault=fault, two_outputs=two_outputs),
    }
    recorded = {"outputs": logits}
    metrics = {NATURAL_ACCURACY: _accuracy(logits, labels)}
    if attacked is not None:
        adversarial_logits = network.logits(attacked)
        files[f"{folder}/adversarial_inputs.npy"] = _npy(attacked)
        recorded["adversarial_outputs"] = adversarial_logits
        metrics[ROBUST_ACCURACY] = _accuracy(adversarial_logits, labels)
    paths: dict[str, list[str]] = {}
    for kind, found in recorded.items():
        outputs = [_recorded(found, fault), found.argmax(axis=1).astype(np.int64)][: 1 + two_outputs]
        paths[kind] = [f"{folder}/{kind}.{index}.npy" for index in range(len(outputs))]
        files.update(zip(paths[kind], map(_npy, outputs)))
    if not baseline:
        files[f"{folder}/plan.json"] = json.dumps({"variant": name}).encode()
    entry = Variant(
        name=name,
        role="baseline" if baseline else "converted",
        onnx=f"{folder}/model.onnx",
        opset=OPSET,
        macs=network.macs(gdws=not baseline),
        parameters=network.parameters(gdws=not baseline),
        method=None if baseline else "full rank, gather",
        steps=[] if baseline else [GdwsStep(plan=f"{folder}/plan.json", layers=network.layers())],
        evaluation=HostEvaluation(
            data="uniform noise",
            origin="labelled",
            metrics=metrics,
            attack=None if attacked is None else _ATTACK,
        ),
        outputs=paths["outputs"],
        adversarial_inputs=None if attacked is None else f"{folder}/adversarial_inputs.npy",
        adversarial_outputs=paths.get("adversarial_outputs", []),
    )
    return entry, files


@dataclass(frozen=True)
class _Linear:
    """flatten -> linear. There is nothing to convert: its GDWS variants are dense too."""

    weight: np.ndarray  # (classes, pixels)
    bias: np.ndarray  # (classes,)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> _Linear:
        pixels = int(np.prod(INPUT_SHAPE))
        return cls(_normal(rng, CLASSES, pixels), _normal(rng, CLASSES))

    def logits(self, images: np.ndarray) -> np.ndarray:
        flat = images.reshape(len(images), -1).astype(np.float64)
        return (flat @ self.weight.T.astype(np.float64) + self.bias).astype(np.float32)

    def macs(self, *, gdws: bool) -> int:
        return int(self.weight.size)

    def parameters(self, *, gdws: bool) -> int:
        return int(self.weight.size + self.bias.size)

    def layers(self) -> list[LayerSummary]:
        return []

    def graph(self, *, gdws: bool) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
        nodes = [
            helper.make_node("Flatten", ["input"], ["flat"], name="flatten"),
            helper.make_node("Gemm", ["flat", "linear.weight", "linear.bias"], ["out"], name="linear", transB=1),
        ]
        return nodes, {"linear.weight": self.weight, "linear.bias": self.bias}


@dataclass(frozen=True)
class _Conv:
    """3x3 convolution (padding 1) -> ReLU -> global average pool -> linear."""

    weight: np.ndarray  # (M, C, 3, 3)
    bias: np.ndarray  # (M,)
    head: np.ndarray  # (classes, M)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> _Conv:
        weight = _normal(rng, CHANNELS, INPUT_SHAPE[0], 3, 3)
        return cls(weight, _normal(rng, CHANNELS), 10 * _normal(rng, CLASSES, CHANNELS))

    def logits(self, images: np.ndarray) -> np.ndarray:
        height, width = images.shape[2:]
        padded = np.pad(images.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
        shifts = [padded[:, :, i : i + height, j : j + width] for i in range(3) for j in range(3)]
        patches = np.stack(shifts, axis=2)  # (N, C, 9, H, W)
        weight = self.weight.reshape(*self.weight.shape[:2], 9).astype(np.float64)
        features = np.einsum("mck,nckhw->nmhw", weight, patches) + self.bias[None, :, None, None]
        return (np.maximum(features, 0).mean(axis=(2, 3)) @ self.head.T).astype(np.float32)

    def macs(self, *, gdws: bool) -> int:
        height, width = INPUT_SHAPE[1:]
        return height * width * (self._convolution_weights(gdws)) + int(self.head.size)

    def parameters(self, *, gdws: bool) -> int:
        return self._convolution_weights(gdws) + int(self.bias.size + self.head.size)

    def layers(self) -> list[LayerSummary]:
        outputs, channels = self.weight.shape[:2]
        ranks = channels * min(outputs, 9)
        pixels = INPUT_SHAPE[1] * INPUT_SHAPE[2]
        return [
            LayerSummary(
                name="conv",
                converted=True,
                shape=list(self.weight.shape),
                layout="gather",
                total_rank=ranks,
                mean_rank=ranks / channels,
                macs_before=pixels * self.weight.size,
                macs_after=pixels * self._convolution_weights(gdws=True),
                parameters_before=self.weight.size,
                parameters_after=self._convolution_weights(gdws=True),
                error=0.0,
            )
        ]

    def graph(self, *, gdws: bool) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
        if gdws:
            nodes, tensors = self._gdws_convolution()
        else:
            inputs = ["input", "conv.weight", "conv.bias"]
            nodes = [helper.make_node("Conv", inputs, ["features"], name="conv", pads=[1, 1, 1, 1])]
            tensors = {"conv.weight": self.weight, "conv.bias": self.bias}
        nodes += [
            helper.make_node("Relu", ["features"], ["active"], name="relu"),
            helper.make_node("GlobalAveragePool", ["active"], ["pooled"], name="pool"),
            helper.make_node("Flatten", ["pooled"], ["flat"], name="flatten"),
            helper.make_node("Gemm", ["flat", "head.weight"], ["out"], name="head", transB=1),
        ]
        return nodes, {**tensors, "head.weight": self.head}

    def _convolution_weights(self, gdws: bool) -> int:
        outputs, channels = self.weight.shape[:2]
        ranks = channels * min(outputs, 9)
        return ranks * (9 + outputs) if gdws else int(self.weight.size)

    def _gdws_convolution(self) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
        """Each channel's (M, 9) slice as U S V^T: depthwise kernels V^T, pointwise weights U S."""
        outputs, channels = self.weight.shape[:2]
        slices = self.weight.reshape(outputs, channels, 9).transpose(1, 0, 2).astype(np.float64)
        u, s, vt = np.linalg.svd(slices, full_matrices=False)
        rank = s.shape[1]
        depthwise = vt.reshape(channels * rank, 1, 3, 3)
        pointwise = (u * s[:, None, :]).transpose(1, 0, 2).reshape(outputs, channels * rank, 1, 1)
        tensors = {
            "conv.index": np.repeat(np.arange(channels), rank),
            "conv.depthwise.weight": depthwise.astype(np.float32),
            "conv.pointwise.weight": pointwise.astype(np.float32),
            "conv.bias": self.bias,
        }
        groups = channels * rank
        nodes = [
            helper.make_node("Gather", ["input", "conv.index"], ["gathered"], name="conv.gather", axis=1),
            helper.make_node(
                "Conv",
                ["gathered", "conv.depthwise.weight"],
                ["filtered"],
                name="conv.depthwise",
                pads=[1, 1, 1, 1],
                group=groups,
            ),
            helper.make_node(
                "Conv", ["filtered", "conv.pointwise.weight", "conv.bias"], ["features"], name="conv.pointwise"
            ),
        ]
        return nodes, tensors


def _model_bytes(network: _Conv | _Linear, *, gdws: bool, fault: str | None, two_outputs: bool) -> bytes:
    if fault == "not-onnx":
        return hashlib.sha256(b"not an ONNX file").digest() * 64
    nodes, tensors = network.graph(gdws=gdws)
    extra_nodes, extra_tensors = _fault_nodes(fault)
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])]
    if two_outputs:
        extra_nodes.append(helper.make_node("ArgMax", ["logits"], ["class"], name="class", axis=1, keepdims=0))
        outputs.append(helper.make_tensor_value_info("class", TensorProto.INT64, ["batch"]))
    height = INPUT_SHAPE[1] + 1 if fault == "wrong-shape" else INPUT_SHAPE[1]
    graph = helper.make_graph(
        [*nodes, *extra_nodes],
        "tiny",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", INPUT_SHAPE[0], height, INPUT_SHAPE[2]])],
        outputs,
        [numpy_helper.from_array(np.asarray(value), key) for key, value in {**tensors, **extra_tensors}.items()],
    )
    opsets = [helper.make_opsetid("", 99 if fault == "new-opset" else OPSET)]
    if fault == "unknown-operator":
        opsets.append(helper.make_opsetid("com.example", 1))
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="tiny")
    return model.SerializeToString(deterministic=True)


def _fault_nodes(fault: str | None) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    """Nodes from ``out`` to ``logits``."""
    zero = np.zeros((), np.float32)
    if fault == "nan":
        nodes = [
            helper.make_node("Mul", ["out", "zero"], ["zeros"], name="zeros"),
            helper.make_node("Div", ["zeros", "zeros"], ["logits"], name="zero_by_zero"),
        ]
        return nodes, {"zero": zero}
    if fault == "unknown-operator":
        return [helper.make_node("Teleport", ["out"], ["logits"], name="teleport", domain="com.example")], {}
    if fault == "huge":
        return _expanding_nodes("huge.shape"), {"zero": zero, "huge.shape": np.array([1 << 24, 1 << 24], np.int64)}
    if fault == "huge-batch":
        return [*_shape_nodes(), *_expanding_nodes("huge.shape")], {
            "zero": zero,
            "first": np.array([0, 0], np.int64),
            "exponent": np.array(10, np.int64),
        }
    if fault == "slow":
        return _slow_nodes()
    return [helper.make_node("Identity", ["out"], ["logits"], name="logits")], {}


def _expanding_nodes(shape: str) -> list[onnx.NodeProto]:
    """logits = out + max(zeros of the given shape); their value depends on the input, so nothing is folded."""
    return [
        helper.make_node("ReduceMin", ["out"], ["lowest"], name="lowest", keepdims=0),
        helper.make_node("Mul", ["lowest", "zero"], ["nothing"], name="nothing"),
        helper.make_node("Expand", ["nothing", shape], ["huge"], name="huge"),
        helper.make_node("ReduceMax", ["huge"], ["largest"], name="largest", keepdims=0),
        helper.make_node("Add", ["out", "largest"], ["logits"], name="add"),
    ]


def _shape_nodes() -> list[onnx.NodeProto]:
    """huge.shape = [N**10, N**10] at batch size N."""
    return [
        helper.make_node("Shape", ["input"], ["input.shape"], name="shape"),
        helper.make_node("Gather", ["input.shape", "first"], ["batch_twice"], name="batch_twice", axis=0),
        helper.make_node("Pow", ["batch_twice", "exponent"], ["huge.shape"], name="huge_shape"),
    ]


def _slow_nodes() -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    """logits = out carried through a loop of many small products with the identity matrix."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["go_on"], name="go_on"),
            helper.make_node("MatMul", ["state", "identity"], ["next"], name="step"),
        ],
        "body",
        [
            helper.make_tensor_value_info("trip", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
    )
    nodes = [helper.make_node("Loop", ["trips", "start", "out"], ["logits"], name="loop", body=body)]
    tensors = {
        "trips": np.array(5_000_000, np.int64),
        "start": np.array(True),
        "identity": np.eye(CLASSES, dtype=np.float32),
    }
    return nodes, tensors


def _recorded(logits: np.ndarray, fault: str | None) -> np.ndarray:
    return np.roll(logits, 1, axis=1) if fault == "wrong-logits" else logits


def _labels(logits: np.ndarray) -> np.ndarray:
    """The predicted class, but for every eighth image another: accuracies are neither 0 nor 1."""
    labels = logits.argmax(axis=1).astype(np.int64)
    labels[::8] = (labels[::8] + 1) % CLASSES
    return labels


def _perturb(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    signs = rng.choice([-1.0, 1.0], images.shape)
    return np.clip(images + EPS * signs, 0, 1).astype(np.float32)


def _accuracy(logits: np.ndarray, labels: np.ndarray) -> Proportion:
    hits = int((logits.argmax(axis=1) == labels).sum())
    return Proportion(value=hits / len(labels), successes=hits, count=len(labels))


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(0, 1 / np.sqrt(shape[-1]), shape).astype(np.float32)


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()
