"""Several conversions of one network share what they find on the same images."""

import pytest
import torch

from gdws import pipeline
from gdws.compression import fitting as data_aware
from gdws.compression.fitting import Calibration, calibration
from gdws.errors import DataError
from gdws.pipeline import Recipe, Source
from gdws.planning.budget import MacSaving
from gdws.planning.conversion import convert
from support.networks import Sharing, SmallResNet, seeded


@pytest.fixture
def looked_at(monkeypatch):
    """The layers that are observed and the candidates that are weighed, in order."""
    seen = {"observe": [], "sensitivities": []}
    observe, sensitivities = calibration.observe, calibration.sensitivities

    def counting_observe(model, layers, *rest, **options):
        seen["observe"] += [layer.name for layer in layers]
        return observe(model, layers, *rest, **options)

    def counting_sensitivities(model, layers, images, observed, candidates, **options):
        seen["sensitivities"] += [(name, tuple(each)) for name, ranks in candidates.items() for each in ranks]
        return sensitivities(model, layers, images, observed, candidates, **options)

    monkeypatch.setattr(calibration, "observe", counting_observe)
    monkeypatch.setattr(calibration, "sensitivities", counting_sensitivities)
    return seen


def images(count=60):
    return torch.rand(count, 3, 12, 12, generator=torch.Generator().manual_seed(0))


WAYS = [
    {"mac_saving": 2},
    {"mean_rank": 1, "skip": "conv1"},
    {"mac_saving": 2.5},
    {"mean_rank": 2, "layout": "stacked"},
    {"mac_saving": 2, "layout": "stacked"},
    {"mean_rank": 1, "convert_first": True},
]


def test_what_is_shared_changes_nothing_and_is_looked_at_once(looked_at):
    model, x = seeded(SmallResNet), images()
    shared = Calibration(model, x)
    together = [convert(model, data=shared, **way) for way in WAYS]
    assert sorted(looked_at["observe"]) == ["conv1", "conv2", "stem"]
    assert len(looked_at["sensitivities"]) == len(set(looked_at["sensitivities"]))
    for way, (network, plan) in zip(WAYS, together, strict=True):
        alone, same = convert(model, data=x, **way)
        assert plan == same
        torch.testing.assert_close(network(x), alone(x), rtol=1e-5, atol=1e-6)


def test_layers_that_share_a_weight_are_observed_together(looked_at):
    model = seeded(Sharing)
    shared = Calibration(model, images())
    first, second = (convert(model, mean_rank=1, data=shared)[0] for _ in range(2))
    assert looked_at["observe"] == ["body", "strided"]
    torch.testing.assert_close(first(images(4)), second(images(4)))


def test_a_plan_is_followed_with_what_is_known(looked_at):
    model, x = seeded(SmallResNet), images()
    shared = Calibration(model, x)
    network, plan = convert(model, mean_rank=1, data=shared)
    again, _ = convert(model, plan=plan, data=shared)
    assert looked_at["observe"] == ["conv1", "conv2"]
    torch.testing.assert_close(again(x), network(x))
    assert plan.calibration == shared.identity == data_aware.identify(x)


def test_all_variants_of_a_command_share_it(looked_at):
    model = seeded(SmallResNet)
    source = Source("small", model, (3, 12, 12), {})
    recipes = [Recipe(MacSaving(saving), method="data-aware") for saving in (2, 2.5, 3)]
    variants = pipeline.convert_all(source, recipes, data=images())
    assert [variant.name for variant in variants] == [
        "dense",
        "data-mac-saving-2",
        "data-mac-saving-2.5",
        "data-mac-saving-3",
    ]
    assert looked_at["observe"] == ["conv1", "conv2"]
    assert len(looked_at["sensitivities"]) == len(set(looked_at["sensitivities"])) > 0


def test_a_calibration_of_another_network_is_refused():
    with pytest.raises(DataError, match="another network"):
        convert(seeded(SmallResNet), mean_rank=1, data=Calibration(seeded(SmallResNet, seed=1), images()))
