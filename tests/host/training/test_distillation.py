"""Distillation on a toy: it brings decisions back without a label, and keeps what it should keep."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the customary name)

import gdws
from gdws.compression.layers import GDWSConv2d
from gdws.datasets import LazyImages
from gdws.errors import CheckpointUnreadable, DataError, GdwsError, ModelError
from gdws.evaluation.attacks import AttackSpec
from gdws.evaluation.attacks.pgd import pgd
from gdws.evaluation.attacks.protocols import one_step
from gdws.training import DistillSettings, distill, distillation
from gdws.training.dense_twin import dense_twin, pass_gradients
from support.networks import SmallResNet, seeded
from support.toy import InterruptAt

ATTACK = one_step(AttackSpec(eps=0.05))
SETTINGS = DistillSettings(steps=40, batch_size=16, attack=ATTACK, learning_rate=0.01, precision="fp32")


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(48, 3, 12, 12, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def teacher() -> nn.Module:
    return seeded(SmallResNet)


@pytest.fixture(scope="module")
def network(teacher: nn.Module) -> nn.Module:
    return gdws.convert(teacher, mean_rank=1, layout="stacked", example_input=(3, 12, 12))[0]


@pytest.fixture(scope="module")
def distilled(network: nn.Module, teacher: nn.Module, images: torch.Tensor) -> nn.Module:
    return distill(network, teacher, images, SETTINGS)


def divergence(network: nn.Module, teacher: nn.Module, images: torch.Tensor) -> float:
    with torch.no_grad():
        mine, theirs = (F.log_softmax(each(images), dim=1) for each in (network, teacher))
        return float(F.kl_div(mine, theirs, reduction="batchmean", log_target=True))


def test_decisions_come_nearer_on_images_that_it_never_saw_and_on_attacked_ones(network, distilled, teacher):
    unseen = torch.rand(64, 3, 12, 12, generator=torch.Generator().manual_seed(2))
    attacked = pgd(teacher, unseen, teacher(unseen).argmax(dim=1), ATTACK)
    for inputs in (unseen, attacked):
        assert divergence(distilled, teacher, inputs) < 0.2 * divergence(network, teacher, inputs)


def test_the_networks_given_and_their_modes_stay(network, teacher, images):
    before = {key: tensor.clone() for each in (network, teacher) for key, tensor in each.state_dict().items()}
    network.train()
    try:
        distill(network, teacher, images, dataclasses.replace(SETTINGS, steps=1))
        assert network.training
    finally:
        network.eval()
    after = {key: tensor for each in (network, teacher) for key, tensor in each.state_dict().items()}
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert all(parameter.grad is None for each in (network, teacher) for parameter in each.parameters())


def test_ranks_and_statistics_stay_and_filters_have_norm_one(network, distilled):
    for before, after in zip(network.modules(), distilled.modules(), strict=True):
        if isinstance(before, nn.BatchNorm2d):
            assert torch.equal(before.running_mean, after.running_mean)
            assert torch.equal(before.running_var, after.running_var)
        if isinstance(before, GDWSConv2d):
            assert before.ranks == after.ranks
            norms = torch.cat([each.weight.flatten(1).norm(dim=1) for each in after.depthwise_convolutions()])
            torch.testing.assert_close(norms, torch.ones_like(norms))


def test_the_same_settings_give_the_same_weights_and_another_seed_others(network, distilled, teacher, images):
    again = distill(network, teacher, images, SETTINGS).state_dict()
    other = distill(network, teacher, images, dataclasses.replace(SETTINGS, seed=1)).state_dict()
    assert all(torch.equal(tensor, again[key]) for key, tensor in distilled.state_dict().items())
    assert any(not torch.equal(tensor, other[key]) for key, tensor in distilled.state_dict().items())


def test_fewer_images_than_a_batch_are_used_again(network, teacher, images):
    few = images[:5]
    assert divergence(distill(network, teacher, few, SETTINGS), teacher, few) < divergence(network, teacher, few)


def test_of_images_in_files_only_those_of_a_step_are_read_for_it(network, teacher, images):
    read: list[int] = []

    def image(place: int) -> torch.Tensor:
        read.append(place)
        return images[place]

    settings = dataclasses.replace(SETTINGS, steps=2)
    files = LazyImages(image, range(len(images)), images.shape[1:])
    distilled = distill(network, teacher, files, settings)
    assert len(set(read)) == len(read) == settings.images_of(len(images)) == 2 * settings.batch_size
    expected = distill(network, teacher, images, settings).state_dict()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in distilled.state_dict().items())


@pytest.fixture
def unfinished(network, teacher, images, tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr(distillation, "_STATE_INTERVAL_S", 0.0)
    state = tmp_path / "state.pt"
    with pytest.raises(KeyboardInterrupt):
        distill(network, teacher, images, SETTINGS, state=state, progress=InterruptAt(25))
    assert state.exists()
    return state


def test_one_that_was_interrupted_goes_on_to_the_same_weights(network, teacher, images, distilled, unfinished):
    left = InterruptAt(SETTINGS.steps)  # counts those that are done, too
    resumed = distill(network, teacher, images, SETTINGS, state=unfinished, progress=left).state_dict()
    assert left.left == 0
    assert all(torch.equal(tensor, resumed[key]) for key, tensor in distilled.state_dict().items())


def test_one_that_is_done_is_not_done_again(network, teacher, images, distilled, tmp_path):
    state = tmp_path / "state.pt"
    distill(network, teacher, images, SETTINGS, state=state)
    again = distill(network, teacher, images, SETTINGS, state=state, progress=InterruptAt(SETTINGS.steps)).state_dict()
    assert all(torch.equal(tensor, again[key]) for key, tensor in distilled.state_dict().items())


def test_no_other_goes_on_from_its_state(network, teacher, images, unfinished):
    other = dataclasses.replace(SETTINGS, seed=1)
    expected = distill(network, teacher, images, other).state_dict()
    found = distill(network, teacher, images, other, state=unfinished).state_dict()
    assert all(torch.equal(tensor, found[key]) for key, tensor in expected.items())
    unfinished.write_bytes(unfinished.read_bytes()[:100])
    with pytest.raises(CheckpointUnreadable) as damaged:
        distill(network, teacher, images, SETTINGS, state=unfinished)
    assert damaged.value.hint == "remove it to start from the beginning"


def test_frozen_weights_descend_and_are_frozen_again(teacher, images, network):
    frozen = distill(network, teacher, images, dataclasses.replace(SETTINGS, steps=1)).requires_grad_(False)
    after = distill(frozen, teacher, images, SETTINGS)
    assert not any(parameter.requires_grad for parameter in after.parameters())
    assert divergence(after, teacher, images) < divergence(frozen, teacher, images)


def test_what_cannot_be_distilled_is_refused(network, teacher, images):
    with pytest.raises(ModelError, match="no GDWS layer"):
        distill(teacher, teacher, images, SETTINGS)
    with pytest.raises(DataError, match="needs images"):
        distill(network, teacher, images[:0], SETTINGS)
    with pytest.raises(ModelError, match="not finite"):
        distill(network, teacher, images, dataclasses.replace(SETTINGS, learning_rate=1e30))


@pytest.mark.parametrize("field", [{"steps": 0}, {"batch_size": 0}, {"learning_rate": 0.0}])
def test_settings_name_the_field_that_is_wrong(field):
    with pytest.raises(GdwsError, match=next(iter(field))):
        DistillSettings(**field)


def test_the_gradients_of_the_dense_twin_are_those_of_the_factors(network, images):
    direct, by_twin = (copy.deepcopy(network).requires_grad_(True) for _ in range(2))
    direct(images).square().sum().backward()
    twin = dense_twin(by_twin)
    twin(images).square().sum().backward()
    pass_gradients(twin, by_twin)
    for (name, expected), found in zip(direct.named_parameters(), by_twin.parameters(), strict=True):
        assert expected.grad is not None
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-3, atol=1e-4, msg=name)


def test_in_bfloat16_it_comes_as_near(network, teacher, images):
    mixed = distill(network, teacher, images, dataclasses.replace(SETTINGS, precision="bf16"))
    assert all(parameter.dtype == torch.float32 for parameter in mixed.parameters())
    assert divergence(mixed, teacher, images) < 0.2 * divergence(network, teacher, images)
