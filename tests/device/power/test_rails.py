import pytest

from gdws_agent.power.rails import total_rule

AGX_XAVIER = ["GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"]
AGX_ORIN = ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"]


@pytest.mark.parametrize(
    ("rails", "total", "scope"),
    [
        (["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"], "VDD_IN", "module power, rail VDD_IN"),
        (["POM_5V_CPU", "POM_5V_GPU", "POM_5V_IN"], "POM_5V_IN", "module power, rail POM_5V_IN"),
        (["VDD_GPU", "VIN", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"], "VIN", "board power, rail VIN"),
    ],
)
def test_a_rail_that_carries_everything_is_the_total(rails, total, scope):
    rule = total_rule(rails)
    assert rule.scope == scope
    assert rule.total_w({rail: 2.0 if rail == total else 1.0 for rail in rails}) == 2.0


def test_otherwise_the_rails_are_added_up_and_named():
    rule = total_rule(AGX_XAVIER)
    assert rule.total_w(dict.fromkeys(AGX_XAVIER, 1.5)) == 9.0
    assert rule.scope == "module power, sum of the rails CPU, CV, GPU, SOC, SYS5V, VDDRQ"


@pytest.mark.parametrize(
    "rails", [["VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"], AGX_XAVIER[1:], AGX_ORIN[:2]], ids=str
)
def test_a_sum_that_may_lack_some_of_the_power_says_so(rails):
    assert total_rule(rails).scope.startswith("part of the power, sum of the rails ")


def test_a_rail_behind_another_is_not_counted_twice():
    rule = total_rule(AGX_ORIN)
    assert rule.total_w(dict.fromkeys(AGX_ORIN, 1.0)) == 3.0
    assert "VDDQ_VDD2_1V8AO lies behind VIN_SYS_5V0 and is not added" in rule.scope


def test_an_inner_rail_counts_where_the_one_before_it_is_not_measured():
    assert total_rule(["VDDQ_VDD2_1V8AO", "VDD_CPU_CV"]).total_w({"VDDQ_VDD2_1V8AO": 1.0, "VDD_CPU_CV": 2.0}) == 3.0


def test_without_one_of_its_parts_there_is_no_total():
    assert total_rule(AGX_XAVIER).total_w(dict.fromkeys(AGX_XAVIER[1:], 1.0)) is None


def test_no_rails():
    with pytest.raises(ValueError, match="no power rails"):
        total_rule([])
