from __future__ import annotations

from gdws.planning.search.carriers import carriers
from support.simulated_device import make_space


def test_as_few_networks_as_a_layer_has_options_run_them_all():
    space = make_space(layers=7)
    wanted = [list(range(1, 6))] * 7
    found = carriers(space, wanted)
    assert len(found) == 5
    for place in range(7):
        assert {choice[place] for choice in found} == set(range(1, 6))
    assert carriers(space, wanted) == found


def test_only_what_is_wanted_need_be_covered():
    space = make_space(layers=3)
    found = carriers(space, [[2, 4], [], [1]])
    assert len(found) == 2
    assert {choice[0] for choice in found} == {2, 4}
    assert 1 in {choice[2] for choice in found}
    assert carriers(space, [[], [], []]) == []
    assert len(carriers(space, [[2], [], []], count=6)) == 6
