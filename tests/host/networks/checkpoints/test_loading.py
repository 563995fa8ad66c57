"""Reading weights: what is understood, what is refused and with which words."""

from __future__ import annotations

import functools
import io
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from gdws.errors import (
    CheckpointError,
    CheckpointMismatch,
    CheckpointUnreadable,
    CheckpointUnsafe,
    GdwsError,
    NonFiniteWeights,
    UnknownNetwork,
)
from gdws.networks import checkpoints
from gdws.networks import zoo as nets

NET = "mnist-preact-resnet"


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    return nets.build(NET, width=2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights"


def torch_bytes(content: object, *, zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def same(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_our_own_files_name_their_network(model, path):
    checkpoints.save(path, model.state_dict(), {"net": NET, "net_options": '{"width": 2}', "note": "x"})
    loaded = checkpoints.load(path)
    assert same(loaded, model)
    assert not loaded.training
    metadata = checkpoints.read(path).metadata
    assert (metadata["format"], metadata["note"]) == (checkpoints.FORMAT, "x")


def test_options_of_the_caller_come_before_those_of_the_file(model, path):
    checkpoints.save(path, model.state_dict(), {"net": NET, "net_options": '{"width": 4}'})
    assert same(checkpoints.load(path, width=2), model)
    assert same(checkpoints.load(path, NET, width=2), model)


def test_saving_copes_with_shared_and_strided_tensors(path):
    shared = torch.arange(6.0).reshape(2, 3)
    checkpoints.save(path, {"a": shared, "b": shared, "c": shared.t()}, {})
    assert torch.equal(checkpoints.read(path).weights["c"], shared.t())


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_torch_state_dicts(model, path, zipped, nested, prefix):
    state = {prefix + key: tensor for key, tensor in model.state_dict().items()}
    path.write_bytes(torch_bytes({"state_dict": state, "epoch": 3} if nested else state, zipped=zipped))
    assert same(checkpoints.load(path, NET, width=2), model)


def test_half_precision_becomes_float32(model, path):
    path.write_bytes(torch_bytes({key: tensor.half() for key, tensor in model.state_dict().items()}))
    loaded = checkpoints.load(path, NET, width=2)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    torch.testing.assert_close(loaded.state_dict(), model.state_dict(), atol=1e-3, rtol=1e-3, check_dtype=False)


def test_a_module_is_copied(model, path):
    torch.manual_seed(1)
    other = nets.build(NET, width=2)
    before = {key: tensor.clone() for key, tensor in other.state_dict().items()}
    path.write_bytes(torch_bytes(model.state_dict()))
    assert same(checkpoints.load(path, other), model)
    assert all(torch.equal(before[key], tensor) for key, tensor in other.state_dict().items())


def test_batch_counters_may_be_absent(model, path):
    state = {key: tensor for key, tensor in model.state_dict().items() if "num_batches" not in key}
    path.write_bytes(torch_bytes(state))
    assert same(checkpoints.load(path, NET, width=2), model)


def test_torchs_generator_is_left_alone(model, path):
    path.write_bytes(torch_bytes(model.state_dict()))
    before = torch.get_rng_state()
    checkpoints.load(path, NET, width=2)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_file_that_names_no_network(model, path):
    path.write_bytes(torch_bytes(model.state_dict()))
    with pytest.raises(CheckpointMismatch, match="does not name its network") as caught:
        checkpoints.load(path)
    assert NET in str(caught.value.hint)


def test_keys_that_do_not_fit_are_listed(model, path):
    state = dict(model.state_dict())
    del state["linear.bias"]
    state["extra.weight"] = torch.zeros(1)
    state["conv1.weight"] = torch.zeros(2, 3, 3, 3)
    path.write_bytes(torch_bytes(state))
    with pytest.raises(CheckpointMismatch) as caught:
        checkpoints.load(path, NET, width=2)
    error = caught.value
    assert (error.missing, error.unexpected, error.wrong_shape) == (
        ("linear.bias",),
        ("extra.weight",),
        ("conv1.weight",),
    )
    assert "conv1.weight (2, 3, 3, 3) instead of (2, 1, 3, 3)" in error.message


def test_another_network_altogether_is_told_shortly(model, path):
    path.write_bytes(torch_bytes(model.state_dict()))
    with pytest.raises(CheckpointMismatch) as caught:
        checkpoints.load(path, "preact-resnet18")
    assert len(caught.value.message) < 600
    assert len(caught.value.wrong_shape) > 20


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weights_that_are_not_finite(model, path, value):
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    state["linear.bias"][0] = value
    path.write_bytes(torch_bytes(state))
    with pytest.raises(NonFiniteWeights, match=r"linear\.bias has 1 ") as caught:
        checkpoints.load(path, NET, width=2)
    assert caught.value.layer == "linear.bias"
    with pytest.raises(NonFiniteWeights):
        checkpoints.save(path.with_name("copy"), state, {})
    assert not path.with_name("copy").exists()


def test_absent_files_and_folders(tmp_path):
    with pytest.raises(CheckpointUnreadable, match="No such file"):
        checkpoints.load(tmp_path / "absent.pt")
    with pytest.raises(CheckpointUnreadable, match="directory"):
        checkpoints.load(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"P",
        b"a text that is no checkpoint",
        b"\x00" * 100,
        b'{"a": 1}{"b": 2}',
        pickle.dumps({"a": 1}),
        torch_bytes({}),
        torch_bytes([torch.zeros(1)]),
        torch_bytes({"weight": "a text"}),
        torch_bytes({3: torch.zeros(1)}),
        torch_bytes(torch.zeros(3)),
    ],
)
def test_files_that_hold_no_weights(path, content):
    path.write_bytes(content)
    with pytest.raises(CheckpointUnreadable):
        checkpoints.load(path, NET)


@pytest.mark.parametrize("form", ["safetensors", "zip", "legacy"])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.99])
def test_truncated_files(model, path, form, share):
    state = model.state_dict()
    content = safetensors.torch.save(state) if form == "safetensors" else torch_bytes(state, zipped=form == "zip")
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointUnreadable):
        checkpoints.load(path, NET, width=2)


class Touches:
    """Makes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle", "pickle-0"])
def test_files_with_code_are_refused_and_the_code_does_not_run(tmp_path, path, form):
    trap = tmp_path / "ran"
    content = {"state_dict": {"a": torch.zeros(1)}, "x": Touches(trap)} if "pickle" not in form else Touches(trap)
    path.write_bytes(
        pickle.dumps(content, protocol=0 if form == "pickle-0" else 4)
        if "pickle" in form
        else torch_bytes(content, zipped=form == "zip")
    )
    with pytest.raises(CheckpointUnsafe, match=r"posix\.mkdir|nt\.mkdir") as caught:
        checkpoints.load(path, NET)
    assert not trap.exists()
    assert "state_dict" in str(caught.value.hint)


def test_whole_modules_are_refused(model, path):
    path.write_bytes(torch_bytes(model))
    with pytest.raises(CheckpointUnsafe, match="PreActResNet"):
        checkpoints.load(path, NET)


def test_numpy_objects_are_refused(path):
    path.write_bytes(torch_bytes({"state_dict": {"a": torch.zeros(1)}, "accuracy": np.float64(0.5)}))
    with pytest.raises(CheckpointUnsafe, match="numpy"):
        checkpoints.load(path, NET)


def test_metadata_may_be_hostile(model, path):
    def load_with(**metadata: str) -> None:
        checkpoints.save(path, model.state_dict(), metadata)
        checkpoints.load(path)

    with pytest.raises(UnknownNetwork):
        load_with(net="../secret")
    for malformed in ("{", "[1]", "3", "null"):
        with pytest.raises(CheckpointUnreadable, match="net_options"):
            load_with(net=NET, net_options=malformed)
    with pytest.raises(GdwsError):
        load_with(net=NET, net_options='{"colour": 1}')
    with pytest.raises(CheckpointMismatch):  # 10^13 weights: told without making them
        load_with(net=NET, net_options=json.dumps({"width": 1_000_000}))


@functools.cache  # the legacy form holds addresses, so its bytes differ from one time to the next
def sound_file(form: str) -> bytes:
    state = {"weight": torch.arange(4.0).reshape(2, 2), "bias": torch.ones(2)}
    return safetensors.torch.save(state) if form == "safetensors" else torch_bytes(state, zipped=form == "zip")


@pytest.mark.parametrize("form", ["safetensors", "zip", "legacy"])
@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_files_load_or_fail_with_our_errors(path, form, data):
    content = bytearray(sound_file(form))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        loaded = checkpoints.load(path, nn.Linear(2, 2))
    except (CheckpointError, NonFiniteWeights):
        return
    assert loaded.weight.shape == (2, 2)
