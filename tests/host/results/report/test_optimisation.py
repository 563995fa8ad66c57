"""The report of an optimisation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gdws.errors import ResultError
from gdws.results.optimisation import LeastEnergy, load_optimisation, save_optimisation
from gdws.results.report.energy_plot import energy_plot
from gdws.results.report.optimisation import (
    energy_table,
    energy_words,
    headline,
    layer_table,
    network_table,
    render,
)
from gdws.results.report.optimisation_page import front_plot
from gdws_contract.optimisation import Rival
from support.optimisations import HOSTILE, least_energy, optimisation


def test_the_answer_is_one_sentence():
    assert headline(optimisation()) == (
        "delivered: 1.90 times as fast as dense (1.80 to 2.00), 2.00 ms in place of 3.80; natural accuracy −0.4 points "
        "(−1.0 to +0.2, 500 images); robust accuracy −0.4 points (−1.0 to +0.2, 500 images)."
    )
    declined = optimisation(status="declined", reason="none is faster", networks=())
    assert headline(declined) == "declined: the dense network stays. None is faster."


def test_the_gain_is_told_over_the_best_dense_form_too():
    rival = Rival(name="dense-int8", gain=1.21, gain_low=1.15, gain_high=1.27)
    assert "(1.80 to 2.00), 1.21 times as fast as dense-int8 (1.15 to 1.27), " in headline(optimisation(rival=rival))
    itself = Rival(name="dense-int8", gain=None, gain_low=None, gain_high=None)
    assert "and itself the fastest dense form" in headline(optimisation(rival=itself))
    assert "dense (1.80 to 2.00), 2.00 ms" in headline(optimisation(rival=rival.model_copy(update={"name": "dense"})))


def test_what_is_not_known_is_a_dash():
    columns, rows = layer_table(optimisation())
    assert rows[0][columns.index("ms")] == "0.200"
    assert [rows[1][columns.index(name)] for name in ("dense ms", "ms", "error")] == ["–", "–", "–"]
    assert network_table(optimisation())[1][1][-1] == "–"


@pytest.mark.parametrize("suffix", [".html", ".md", ".json"])
def test_each_format_has_the_figures_and_no_markup_of_others(suffix: str):
    text = render(optimisation(), suffix)
    assert "the machine was busy" in text
    assert "stacked-2" in text
    if suffix == ".html":
        assert "<script>" not in text
        assert text.count("<svg") == 2
    if suffix == ".md":
        assert HOSTILE not in text  # a bar would begin a new cell


def test_a_page_without_networks_has_no_plots():
    assert "<svg" not in render(optimisation(status="declined", networks=()), ".html")
    with pytest.raises(ResultError, match="no report format"):
        render(optimisation(), ".txt")


def test_the_front_shows_the_accuracy_that_fell_further_and_every_limit():
    found = optimisation(robust_limit_points=2.0)
    fell = found.networks[0].final_natural.model_copy(update={"points": 3.0})
    first = found.networks[0].model_copy(update={"final_natural": fell})
    plot = front_plot(found.model_copy(update={"networks": (first, found.networks[1])}))
    assert plot.alt.endswith("1.90 times and -3.0 points; 1.90 times and -0.4 points.")
    dashes = "stroke-dasharray"
    assert plot.svg.count(dashes) == front_plot(optimisation(robust_limit_points=None)).svg.count(dashes) + 1


def test_energies_are_told_in_every_power_mode_and_drawn():
    found = optimisation(energy=least_energy(), unit="mJ")
    assert headline(found).startswith("delivered: dense takes 1.90 times the energy (1.80 to 2.00), 2.00 mJ in place")
    assert energy_words(found) == (
        "run the optimised network in power mode MODE_15W: 200 (196 to 204) mJ an inference, 240 mJ with the rest "
        "of the period; 20.0 ms in the median and 22.0 ms at the 99th percentile, of 33.0 ms; the dense network takes "
        "600 (588 to 612) mJ at best, in power mode MAXN"
    )
    columns, rows = energy_table(found.energy)
    assert [row[columns.index("deadline")] for row in rows] == ["met", "missed", "met"]  # least energy first
    assert [row[columns.index("accuracy")] for row in rows] == ["within the limits"] * 3
    assert layer_table(found)[0][4:6] == ["dense mJ", "mJ"]
    for suffix in (".md", ".html"):
        assert "200 (196 to 204)" in render(found, suffix)
    plot = energy_plot(found.energy)
    assert "MODE_15W: at least 200 mJ" in plot.alt
    assert render(found, ".html").count("<svg") == 3


def test_a_plot_of_many_states_with_a_deadline_far_off_is_about_the_networks():
    found = least_energy(deadline_ms=33.0)
    [first, *_] = found.points
    states = [f"power mode MODE_{number}, clocks {how}" for number in range(8) for how in ("free", "fixed")]
    points = tuple(first.model_copy(update={"state": state, "chosen": False}) for state in states)
    far = LeastEnergy(deadline_ms=5_000.0, minimised=found.minimised, states=states, points=points)
    plot = energy_plot(far)
    labels = re.findall(r">([^<>]+)</text>", plot.svg)
    assert {state.removeprefix("power mode ") for state in states} <= set(labels)
    assert "deadline: 5000 ms, far right" in labels
    assert max(float(label) for label in labels if label.isdigit()) < 5_000


def test_without_a_network_that_meets_the_deadline_there_are_points_and_no_advice():
    missed = least_energy(deadline_ms=5.0)
    points = tuple(point.model_copy(update={"chosen": False, "period_mj": None}) for point in missed.points)
    found = optimisation(energy=missed.model_copy(update={"points": points}), networks=(), unit="mJ")
    assert energy_words(found) is None
    assert "MAXN: none meets the deadline" in energy_plot(found.energy).alt
    assert "missed" in render(found, ".html")
    assert energy_plot(missed.model_copy(update={"points": ()})) is None


def test_it_survives_its_file(tmp_path: Path):
    path = tmp_path / "found.json"
    save_optimisation(optimisation(), path)
    assert load_optimisation(path) == optimisation()
    path.write_text('{"format": "gdws.optimisation"}')
    with pytest.raises(ResultError, match="field required"):
        load_optimisation(path)


def test_the_page_says_once_what_became_of_it():
    page = render(optimisation(), ".html")
    assert '<p class="word">delivered</p>' in page
    assert '<p class="sentence">1.90 times as fast as dense' in page
