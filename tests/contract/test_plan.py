import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gdws_contract.errors import PlanFormatError
from gdws_contract.parsing import first_fault
from gdws_contract.plan import LAYOUTS, LayerPlan, Plan


def converted(name="conv", shape=(4, 3, 3, 3), ranks=(2, 0, 4), layout="gather", **changes):
    fields = {"parameters_dense": 112, "grids": ((8, 8),), "e2": 0.5, "energy": 2.0, **changes}
    return LayerPlan(name=name, kind="conv2d", weight_shape=shape, ranks=ranks, layout=layout, **fields)


def left_alone(name="head", shape=(10, 4), **changes):
    fields = {"parameters_dense": 50, "grids": ((1, 1),), "left_alone": "linear", **changes}
    return LayerPlan(name=name, kind="linear", weight_shape=shape, **fields)


PLAN = Plan(
    layers=(left_alone("stem", (3, 3, 3, 3), left_alone="the first convolution"), converted(), left_alone()),
    constraint="beta",
    budget=0.5,
    weighted=True,
    input_shape=(3, 8, 8),
    other_parameters=8,
)


@st.composite
def layer_plans(draw, name):
    if draw(st.booleans()):
        return left_alone(name, left_alone=draw(st.text()), grids=draw(st.none() | st.just(((2, 3), (4, 5)))))
    M, C, Kh, Kw = shape = tuple(draw(st.integers(1, 4)) for _ in range(4))
    layout = draw(st.sampled_from(LAYOUTS))
    rank = st.integers(0, min(M, Kh * Kw))
    ranks = draw(st.lists(rank, min_size=C, max_size=C)) if layout == "gather" else [draw(rank)] * C
    numbers = {field: draw(st.floats(0, 1e9)) for field in ("e2", "energy")}
    shares = draw(st.none() | st.just("other"))
    return converted(name, shape, tuple(ranks), layout, parameters_dense=C * M * Kh * Kw, shares=shares, **numbers)


@st.composite
def plans(draw):
    names = draw(st.lists(st.text(), unique=True, max_size=4))
    return Plan(
        layers=tuple(draw(layer_plans(name)) for name in names),
        constraint=draw(st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)),
        budget=draw(st.none() | st.floats(0, 1e6)),
        weighted=draw(st.booleans()),
        input_shape=draw(st.none() | st.just((3, 32, 32))),
        other_parameters=draw(st.integers(0, 1000)),
    )


@given(plans())
@settings(deadline=None, max_examples=80)
def test_json_brings_the_same_plan_back(plan):
    assert Plan.from_json(plan.to_json()) == plan
    assert json.loads(plan.to_json()) == json.loads(json.dumps(plan.to_dict()))


def test_figures_of_a_layer():
    layer = converted()
    assert (layer.components, layer.mean_rank, layer.positions) == (6, 2, 64)
    assert (layer.macs_dense, layer.macs_gdws) == (64 * 108, 64 * 6 * (9 + 4))
    assert layer.parameters_gdws == 112 - 108 + 6 * 13


def test_figures_of_a_layer_left_alone_do_not_change():
    layer = left_alone()
    assert (layer.components, layer.mean_rank, layer.e2) == (None, None, None)
    assert (layer.macs_dense, layer.macs_gdws) == (40, 40)
    assert (layer.parameters_dense, layer.parameters_gdws) == (50, 50)


def test_unknown_size_gives_unknown_macs_not_zero():
    layer = converted(grids=None)
    assert (layer.positions, layer.macs_dense, layer.macs_gdws) == (None, None, None)


def test_every_call_counts_macs_and_none_counts_zero():
    assert converted(grids=((8, 8), (4, 2))).macs_dense == 72 * 108
    assert converted(grids=()).macs_gdws == 0


def test_a_shared_weight_is_counted_once():
    assert converted(shares="first", parameters_dense=4).parameters_gdws == 4


def test_totals_cover_the_whole_network():
    totals = PLAN.totals
    assert (totals.layers, totals.converted) == (3, 1)
    assert totals.macs_dense == 81 + 64 * 108 + 40
    assert totals.macs_gdws == 81 + 64 * 78 + 40
    assert totals.parameters_dense == 8 + 50 + 112 + 50
    assert totals.parameters_gdws == 8 + 50 + 82 + 50
    assert totals.e2 == 0.5
    assert PLAN.converted == (PLAN.layers[1],)


def test_one_unknown_makes_the_total_unknown():
    assert Plan(layers=(left_alone(), converted(grids=None))).totals.macs_dense is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"ranks": None}, "ranks"),
        ({"layout": None}, "layout"),
        ({"e2": None}, "e2"),
        ({"left_alone": "no reason"}, "ranks"),
        ({"ranks": (1, 2)}, "ranks"),
        ({"ranks": (1, 2, 5)}, "ranks[2]"),
        ({"ranks": (-1, 2, 4)}, "ranks[0]"),
        ({"layout": "diagonal"}, "layout"),
        ({"layout": "stacked"}, "ranks"),
        ({"layout": "grouped"}, "ranks"),
        ({"shape": (4, 3)}, "weight_shape"),
    ],
)
def test_layers_that_contradict_themselves_are_refused(changes, field):
    with pytest.raises(ValidationError) as caught:
        converted(**changes)
    assert first_fault(caught.value)[0] == field


def test_names_are_unique():
    with pytest.raises(ValidationError) as caught:
        Plan(layers=(converted(), converted()))
    assert first_fault(caught.value)[0] == "layers[1].name"


def edited(path, value):
    """The JSON of a plan with one value replaced; ``del`` removes it."""
    content = json.loads(PLAN.to_json())
    *parents, last = path
    place = content
    for key in parents:
        place = place[key]
    if value is del_:
        del place[last]
    else:
        place[last] = value
    return json.dumps(content)


del_ = object()


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (["format"], "zip", "format"),
        (["format"], del_, "format"),
        (["version"], 3, "version"),
        (["version"], del_, "version"),
        (["layers"], {}, "layers"),
        (["layers"], del_, "layers"),
        (["layers", 1], 7, "layers[1]"),
        (["layers", 1, "name"], del_, "layers[1].name"),
        (["layers", 1, "name"], 3, "layers[1].name"),
        (["layers", 1, "rank"], 3, "layers[1].rank"),
        (["layers", 1, "ranks", 2], 5, "layers[1].ranks[2]"),
        (["layers", 1, "ranks", 2], -1, "layers[1].ranks[2]"),
        (["layers", 1, "ranks", 2], 1.5, "layers[1].ranks[2]"),
        (["layers", 1, "ranks", 2], True, "layers[1].ranks[2]"),
        (["layers", 1, "ranks"], [1], "layers[1].ranks"),
        (["layers", 1, "grids", 0], [1, 2, 3], "layers[1].grids[0]"),
        (["layers", 1, "e2"], float("nan"), "layers[1].e2"),
        (["layers", 1, "e2"], -1, "layers[1].e2"),
        (["layers", 1, "e2"], "0", "layers[1].e2"),
        pytest.param(["layers", 1, "e2"], 10**400, "layers[1].e2", id="too large a number"),
        (["layers", 1, "weight_shape"], [4, 0, 3, 3], "layers[1].weight_shape"),
        (["layers", 1, "left_alone"], "because", "layers[1].ranks"),
        (["layers", 2, "name"], "conv", "layers[2].name"),
        (["constraint"], "Luck!", "constraint"),
        (["weighted"], 1, "weighted"),
        (["other_parameters"], None, "other_parameters"),
        (["time_ms"], 1, "time_ms"),
    ],
)
def test_malformed_json_names_the_field(path, value, field):
    with pytest.raises(PlanFormatError) as caught:
        Plan.from_json(edited(path, value))
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", b"\xff\xfe\x00", "[" * 100_000])
def test_what_is_no_plan_is_refused(text):
    with pytest.raises(PlanFormatError):
        Plan.from_json(text)


def test_optional_fields_may_be_absent():
    content = {"format": "gdws.plan", "version": 1, "layers": []}
    assert Plan.from_dict(content) == Plan(layers=())
