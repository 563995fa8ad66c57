from __future__ import annotations

import pytest

from gdws.pipeline.optimize.energy_errors import energy_ratio_sd, energy_sd
from gdws_contract.measures import Interval, Power, RoundSummary
from gdws_contract.rest import Cell
from support.benchmark_results import DENSE, KEPT, cell


def _cell(*seconds: float, power_sd: float = 0.01, count: int = 100) -> Cell:
    """A cell whose rounds took so long, with an energy of 10 mJ."""
    margin = 1.96 * power_sd * 10
    power = Power(
        sensor="jtop",
        energy_per_inference_mj=10.0,
        energy_interval=Interval(low=10 - margin, high=10 + margin, method="readings"),
    )
    rounds = [
        RoundSummary(index=index, count=count, median_ms=1.0, duration_s=each) for index, each in enumerate(seconds)
    ]
    return cell(KEPT, DENSE, 1).model_copy(update={"power": power, "rounds": rounds})


def test_an_energy_is_as_sure_as_its_power_and_its_rounds():
    assert energy_sd(_cell(1.0, 1.0, 1.0)) == pytest.approx(0.01)
    # A standard deviation of 0.1 over four rounds is 0.05 in the mean; Student's t for three degrees is 3.18.
    spread = energy_sd(_cell(0.9, 0.9, 1.1, 1.1, power_sd=0.0))
    assert spread == pytest.approx(0.1155 / 2 * 3.182 / 1.96, rel=1e-3)
    assert energy_sd(_cell(1.0)) == pytest.approx(0.01)


def test_what_slowed_both_in_a_round_cancels_in_their_ratio():
    dense, slowed_with_it = _cell(1.0, 2.0, 1.0), _cell(0.5, 1.0, 0.5)
    assert energy_ratio_sd(slowed_with_it, dense) == pytest.approx(0.01 * 2**0.5)
    assert energy_ratio_sd(_cell(0.5, 0.5, 1.0), dense) > 0.1


def test_without_a_power_sensor_nothing_is_known():
    plain = cell(KEPT, DENSE, 1)
    assert (energy_sd(plain), energy_ratio_sd(plain, plain)) == (None, None)
