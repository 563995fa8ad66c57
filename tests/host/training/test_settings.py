"""Settings refuse what cannot be, and the presets are the published recipes."""

import dataclasses

import pytest

from gdws.errors import GdwsError
from gdws.training import PRESETS, FinetuneSettings, TrainSettings

SETTINGS = TrainSettings(net="mnist-preact-resnet")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("iterations", 0),
        ("eps", -1.0),
        ("learning_rate", float("nan")),
        ("weight_decay", -1.0),
        ("momentum", 1.0),
        ("shift", -1),
        ("optimizer", "lbfgs"),
        ("schedule", "cosine"),
        ("precision", "fp16"),
        ("validation_images", 0),
        ("step", -0.1),
    ],
)
def test_illegal_settings_are_named(field, value):
    with pytest.raises(GdwsError, match=field):
        dataclasses.replace(SETTINGS, **{field: value})


def test_the_attack_follows_madrys_rule():
    settings = TrainSettings(net="preact-resnet18", eps=8 / 255, iterations=10)
    assert settings.attack(seed=1).step == pytest.approx(2 / 255)


def test_a_step_of_its_own_is_for_training_alone():
    settings = TrainSettings(net="preact-resnet18", eps=8 / 255, iterations=10, step=1 / 255)
    assert settings.attack(seed=1).step == 1 / 255
    assert settings.validation_attack.step == pytest.approx(2 / 255)


def test_unknown_ways_of_batch_normalisation_are_named():
    with pytest.raises(GdwsError, match="batch_norm"):
        FinetuneSettings(batch_norm="frozen")


def test_the_recipes_of_rice_et_al():
    cifar, svhn = PRESETS["cifar10-rice"].settings, PRESETS["svhn-rice"].settings
    assert (cifar.epochs, cifar.batch_size, cifar.optimizer, cifar.learning_rate) == (200, 128, "sgd", 0.1)
    assert (cifar.momentum, cifar.weight_decay, cifar.schedule) == (0.9, 5e-4, "piecewise")
    attack = cifar.attack(seed=0)
    assert (attack.eps, attack.step, attack.iterations) == (8 / 255, 2 / 255, 10)
    assert (cifar.shift, cifar.flip) == (4, True)
    assert dataclasses.replace(svhn, learning_rate=0.1, flip=True) == cifar
    assert svhn.learning_rate == 0.01


def test_fast_adversarial_training_is_one_long_step_from_a_random_start():
    preset = PRESETS["fashion-mnist-fast"]
    attack = preset.settings.attack(seed=0)
    assert (attack.iterations, attack.eps, attack.random_start) == (1, 0.1, True)
    assert attack.step == pytest.approx(1.25 * attack.eps)
    assert preset.settings.validation_attack.iterations == 10  # shows overfitting to the one step
    assert preset.settings.validation_attack.step == pytest.approx(0.025)
