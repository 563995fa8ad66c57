from __future__ import annotations

import random
import statistics
from dataclasses import replace

import pytest

from gdws.planning.search import latency_model
from gdws.planning.search.evidence import Timing
from gdws.planning.search.explorer import Explorer
from gdws.planning.search.latency_model import bases_of, fit
from support.simulated_device import SimulatedMeter, make_space


def _errors_on_mixtures(explorer: Explorer, meter: SimulatedMeter) -> list[float]:
    """Relative errors on networks that the model has not seen."""
    drawn = random.Random(7)
    found = []
    for _ in range(60):
        choice = tuple(drawn.randrange(len(layer.options)) for layer in meter.space.layers)
        found.append(abs(explorer.model.predict(choice)[0] / meter.law.of(choice) - 1))
    return sorted(found)


@pytest.mark.parametrize(
    "device",
    [{}, {"pair_term": 0.0}, {"noise": 0.01}, {"profile_scale": 0.7, "overhead_ms": 0.1}, {"has_profiles": False}],
    ids=["as usual", "no pair terms", "noisy", "profiles far off", "no profiles"],
)
def test_mixtures_are_predicted_to_a_few_percent(device: dict):
    meter = SimulatedMeter(make_space(layers=12), **device)
    explorer = Explorer(meter.space, meter)
    explorer.open()
    errors = _errors_on_mixtures(explorer, meter)
    assert statistics.median(errors) < 0.015
    assert errors[54] < 0.03  # the 90th percentile


@pytest.mark.parametrize(("pair_term", "expected"), [(0.0, False), (0.15, True)])
def test_pair_terms_are_there_only_if_timings_ask_for_them(pair_term: float, expected: bool):
    meter = SimulatedMeter(make_space(layers=12), pair_term=pair_term, noise=0.001)
    explorer = Explorer(meter.space, meter)
    explorer.open()
    assert explorer.model.has_pair_terms == expected
    assert bool(explorer.model.costs.pairs) == expected


def test_costs_add_up_to_the_prediction():
    meter = SimulatedMeter(make_space())
    explorer = Explorer(meter.space, meter)
    explorer.open()
    for choice in explorer.timings:
        assert explorer.model.costs.of(choice) == pytest.approx(explorer.model.predict(choice)[0])


def test_a_rest_that_timings_would_have_below_zero_shifts_no_prediction():
    """Large layers at a large batch leave next to nothing for the rest."""
    meter = SimulatedMeter(make_space(layers=12), pair_term=0.0)
    dense = meter.law.of(meter.space.dense)
    meter.law = replace(meter.law, rest=-0.15 * dense)
    explorer = Explorer(meter.space, meter)
    explorer.open()
    errors = [explorer.model.predict(choice)[0] / meter.law.of(choice) - 1 for choice in explorer.timings]
    assert abs(statistics.fmean(errors)) < 0.01
    assert statistics.median(_errors_on_mixtures(explorer, meter)) < 0.03
    costs = explorer.model.costs
    assert costs.rest >= 0
    assert min(min(layer) for layer in costs.layers) >= 0


def _with_luck(meter: SimulatedMeter, explorer: Explorer) -> list[list[Timing]]:
    """The timings of each measurement, whose dense network was slower or faster than in the others by a few percent."""
    factors = (1.06, 0.95, 1.02, 0.97)
    measured = zip(explorer.measurements, factors, strict=False)
    return [[replace(t, ratio=factor * t.ratio) for t in each.timings] for each, factor in measured]


def test_networks_that_took_turns_share_the_luck_of_one_dense_engine():
    meter = SimulatedMeter(make_space(layers=12, geometries=6), pair_term=0.0, noise=0.001)
    explorer = Explorer(meter.space, meter)
    explorer.open()
    bases = bases_of(meter.space, explorer.dense, explorer.profiles)
    timings = _with_luck(meter, explorer)
    assert len(timings) > 1
    together = fit(meter.space, explorer.dense, timings, bases)
    apart = fit(meter.space, explorer.dense, [[each] for group in timings for each in group], bases)
    drawn = random.Random(7)
    choices = [tuple(drawn.randrange(6) for _ in meter.space.layers) for _ in range(40)]
    errors = [
        statistics.median(abs(model.predict(choice)[0] / meter.law.of(choice) - 1) for choice in choices)
        for model in (together, apart)
    ]
    assert errors[0] < 0.8 * errors[1]
    assert errors[0] < 0.03


def test_residuals_are_those_of_models_without_the_network(monkeypatch: pytest.MonkeyPatch):
    """Under one prior, so that each model is the same but for what it has seen."""
    priors = {"_CORRECTIONS": (0.1,), "_PAIR_TERMS": (0.02,), "_MISFITS": (0.012,), "_LUCKS": (0.05,), "_HUBER": 1e9}
    for name, value in priors.items():
        monkeypatch.setattr(latency_model, name, value)
    meter = SimulatedMeter(make_space(layers=6))
    explorer = Explorer(meter.space, meter)
    explorer.open()
    bases = bases_of(meter.space, explorer.dense, explorer.profiles)
    timings = _with_luck(meter, explorer)
    residuals = fit(meter.space, explorer.dense, timings, bases).residuals
    for timing, residual in zip((each for group in timings for each in group), residuals, strict=True):
        others = [[each for each in group if each is not timing] for group in timings]
        predicted = fit(meter.space, explorer.dense, others, bases).predict(timing.choice)[0] / explorer.dense
        assert residual == pytest.approx(1 - predicted / timing.ratio, abs=1e-9)


def test_a_timing_that_no_sum_explains_hardly_moves_the_model():
    meter = SimulatedMeter(make_space(layers=12), noise=0.002)
    explorer = Explorer(meter.space, meter)
    explorer.open()
    bases = bases_of(meter.space, explorer.dense, explorer.profiles)
    timings = list(explorer.timings.values())
    timings[0] = replace(timings[0], ratio=3 * timings[0].ratio)
    disturbed = fit(meter.space, explorer.dense, [timings], bases)
    drawn = random.Random(3)
    changes = []
    for _ in range(30):
        choice = tuple(drawn.randrange(6) for _ in meter.space.layers)
        changes.append(abs(disturbed.predict(choice)[0] / meter.law.of(choice) - 1))
    assert statistics.median(changes) < 0.05


def test_costs_learned_from_one_network_save_the_next_its_measurements():
    meter = SimulatedMeter(make_space(layers=12))
    first = Explorer(meter.space, meter)
    first.open()
    smaller = make_space(layers=6, seed=4)  # other weights and depth, the same geometries
    again = SimulatedMeter(smaller)
    second = Explorer(smaller, again, known=first.learned())
    second.open()
    assert again.jobs == []
    again.law = replace(meter.law, space=smaller, layers=meter.law.layers[:6])
    assert statistics.median(_errors_on_mixtures(second, again)) < 0.03


def test_noise_makes_no_layer_take_less_than_no_time():
    meter = SimulatedMeter(make_space(layers=5), noise=0.4)
    explorer = Explorer(meter.space, meter)
    explorer.open()
    costs = explorer.model.costs
    assert costs.rest >= 0
    assert min(min(layer) for layer in costs.layers) >= 0
    assert explorer.model.predict(meter.space.dense)[0] == pytest.approx(costs.of(meter.space.dense))
