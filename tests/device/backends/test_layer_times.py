import pytest

from gdws_agent.backends.layer_times import Timed, layer_times


def test_totals_become_means_and_shares_in_the_same_order():
    layers = layer_times([Timed("b", "Conv", 3.0), Timed("a", None, 1.0)], 2)

    assert [(layer.name, layer.kind, layer.mean_ms, layer.share) for layer in layers] == [
        ("b", "Conv", 1.5, 0.75),
        ("a", None, 0.5, 0.25),
    ]


@pytest.mark.parametrize("timed", [[], [Timed("a", None, 0.0)]])
def test_without_any_time_there_are_no_shares(timed):
    assert [layer.share for layer in layer_times(timed, 1)] == [0.0] * len(timed)
