from __future__ import annotations

import pytest

from gdws.errors import PlanError
from gdws.planning.search.space import LayerOption, LayerOptions, Space, pareto, uniform
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


def test_uniform_networks_take_the_option_of_a_layout_that_is_nearest_in_rank():
    def layer(name: str, *options: LayerOption) -> LayerOptions:
        return LayerOptions(name, (name,), "", (LayerOption("dense", None, None, 9, 0.0), *options))

    def option(layout: str, rank: int) -> LayerOption:
        return LayerOption(f"{layout}-{rank}", (rank,) * 2, layout, rank, 1 / rank)  # type: ignore[arg-type]

    both = layer("a", option("stacked", 1), option("stacked", 3), option("gather", 1))
    space = Space((both, layer("b", option("stacked", 2)), layer("c")))
    assert [list(space.names(choice).values()) for choice in uniform(space)] == [
        ["gather-1", "dense", "dense"],
        ["stacked-1", "stacked-2", "dense"],
        ["stacked-3", "stacked-2", "dense"],
    ]
    assert uniform(Space(())) == []
