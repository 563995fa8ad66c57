from __future__ import annotations

from gdws.planning.search.attribution import attribute
from gdws.planning.search.evidence import LayerShare
from gdws.planning.search.space import LayerOption, LayerOptions, Space
from gdws_contract.profiles import LayerTime

_OPTIONS = (LayerOption("dense", None, None, 10, 0.0),)
SPACE = Space((LayerOptions("a", ("a",), "g", _OPTIONS), LayerOptions("b", ("b", "twin"), "g", _OPTIONS)))


def _row(name: str, source: str | None, ms: float) -> LayerTime:
    return LayerTime(name=name, source=source, mean_ms=ms, share=0.0)


def test_rows_belong_to_their_layers_and_nameless_ones_to_their_neighbours():
    rows = [
        _row("stem/Conv", "stem", 8.0),
        _row("ReorderOutput", None, 0.5),  # because of how a runs
        _row("a.depthwise/Conv", "a", 1.0),
        _row("ReorderInput", None, 0.25),  # within a
        _row("a.pointwise/Conv + relu/Relu", "a", 2.0),
        _row("b/Conv", "b", 4.0),
        _row("ReorderOutput_2", None, 0.125),  # the head is not of the space, b is
        _row("head/Gemm", "head", 16.0),
        _row("twin/Conv", "twin", 32.0),  # holds the weight of b
    ]
    profile = attribute(SPACE, (0, 0), rows)
    assert profile.shares == {"a": LayerShare(3.75, 4), "b": LayerShare(36.125, 3)}
    assert profile.rest == LayerShare(24.0, 2)
    assert profile.unmapped == ()


def test_what_was_fused_of_two_layers_is_named_and_counts_as_the_rest():
    profile = attribute(SPACE, (0, 0), [_row("a/Conv + b/Conv", "a + b", 3.0), _row("a/Add", "a + stem", 1.0)])
    assert profile.shares == {"a": LayerShare(1.0, 1)}
    assert profile.rest == LayerShare(3.0, 1)
    assert profile.unmapped == ("a/Conv + b/Conv",)
