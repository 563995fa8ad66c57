from __future__ import annotations

import pytest

from gdws.errors import PlanError
from gdws.planning.search.space import pareto
from support.simulated_device import make_space


def test_a_choice_goes_through_its_names_and_back():
    space = make_space(layers=3)
    choice = (0, 3, 5)
    names = space.names(choice)
    assert names == {"conv0": "dense", "conv1": "stacked-4", "conv2": "gather-3"}
    assert space.choice(names) == choice
    with pytest.raises(PlanError, match="'conv1' has no option 'stacked-9'"):
        space.choice({**names, "conv1": "stacked-9"})


def test_only_options_that_nothing_beats_are_kept():
    costs, errors = [1.0, 2.0, 3.0, 4.0, 2.5], [9.0, 7.0, 1.0, 0.0, 8.0]
    assert pareto(costs, errors) == [0, 1, 2, 3]
