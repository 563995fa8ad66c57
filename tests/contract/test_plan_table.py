from dataclasses import replace

from gdws_contract.plan import LayerPlan, Plan

CONV = LayerPlan(
    name="layer1.conv",
    kind="conv2d",
    weight_shape=(64, 32, 3, 3),
    parameters_dense=18432,
    grids=((8, 8),),
    ranks=(1,) * 32,
    layout="gather",
    e2=0.00123,
    energy=1.0,
)
HEAD = LayerPlan(
    name="", kind="linear", weight_shape=(10, 64), parameters_dense=650, grids=((1, 1),), left_alone="linear"
)
PLAN = Plan(layers=(CONV, HEAD), constraint="beta", budget=0.005, input_shape=(3, 32, 32))


def row(plan, name):
    return next(line for line in str(plan).splitlines() if line.startswith(name))


def test_a_converted_layer_shows_what_it_becomes():
    cells = row(PLAN, "layer1.conv").split()
    assert cells == [
        "layer1.conv",
        "64×32×3×3",
        "32",
        "1.00",
        "gather",
        "1,179,648",
        "149,504",
        "18,432",
        "2,336",
        "0.00123",
    ]


def test_a_layer_left_alone_shows_the_reason_and_no_change():
    line = row(PLAN, "(the model itself)")
    assert "as it is: linear" in line
    assert line.split()[-2:] == ["640", "650"]


def test_totals_and_notes():
    assert row(PLAN, "total").split()[1:] == [
        "1", "of", "2", "converted", "1,180,288", "150,144", "19,082", "2,986", "0.00123",
    ]  # fmt: skip
    text = str(PLAN)
    assert "beta = 0.005, without alphas" in text
    assert "3×32×32" in text


def test_columns_are_aligned():
    rows = str(PLAN).splitlines()
    start = rows[0].index("layout")
    assert rows[2][start:].startswith("gather")
    assert rows[3][start:].startswith("as it is")


def test_unknown_macs_show_as_such():
    text = str(replace(PLAN, layers=(replace(CONV, grids=None),), input_shape=None))
    assert "?" in row(replace(PLAN, layers=(replace(CONV, grids=None),)), "layer1.conv")
    assert "unknown without an example input" in text


def test_a_shared_weight_names_its_holder():
    twin = replace(CONV, name="twin", shares="layer1.conv", parameters_dense=0)
    assert "gather (shares layer1.conv)" in row(replace(PLAN, layers=(CONV, twin)), "twin")


def test_nothing_to_convert_is_said():
    text = str(Plan(layers=(HEAD,)))
    assert "no layer can be converted" in text
    assert "ranks: given" in text


def test_a_plan_without_layers_prints():
    assert "0 of 0 converted" in str(Plan(layers=()))
