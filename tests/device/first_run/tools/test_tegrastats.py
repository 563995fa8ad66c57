import pytest

from gdws_agent.first_run.report import CheckFailed
from gdws_agent.first_run.tools.tegrastats import Tegrastats, Turns, parse_rails
from support.agents import eventually
from support.fake_tegrastats import install_tegrastats

XAVIER = (
    "RAM 3045/31919MB (lfb 6418x4MB) SWAP 0/15959MB (cached 0MB) CPU [0%@1190,0%@1190,off,off] "
    "EMC_FREQ 0% GR3D_FREQ 0% AO@36C GPU@37C Tdiode@39.5C AUX@36C CPU@37.5C thermal@36.5C PMIC@50C "
    "GPU 0mW/12mW CPU 310mW/310mW SOC 1085mW/1085mW CV 0mW/0mW VDDRQ 155mW/155mW SYS5V 1890mW/1890mW"
)
ORIN = (
    "04-24-2023 00:01:24 RAM 1282/62795MB (lfb 15152x4MB) SWAP 0/31398MB (cached 0MB) CPU [0%@729,0%@729] "
    "EMC_FREQ 0%@2133 GR3D_FREQ 0%@[0,0] VIC_FREQ 729 APE 174 CV0@-256C CPU@42.593C GPU@-256C tj@42.593C "
    "VDD_GPU_SOC 2399mW/2300mW VDD_CPU_CV 400mW/400mW VIN_SYS_5V0 4032mW/4032mW NC 0mW/0mW "
    "VDDQ_VDD2_1V8AO 301mW/301mW NC 0mW/0mW"
)
NX = (
    "RAM 2246/6854MB IRAM 0/252kB(lfb 252kB) EMC_FREQ 4%@1600 "
    "VDD_IN 4536mW/4530mW VDD_CPU_GPU_CV 900mW/900mW VDD_SOC 1000mW/1mW"
)


@pytest.mark.parametrize(
    ("line", "rails"),
    [
        (XAVIER, {"GPU": 0.0, "CPU": 0.31, "SOC": 1.085, "CV": 0.0, "VDDRQ": 0.155, "SYS5V": 1.89}),
        (
            ORIN,
            {"VDD_GPU_SOC": 2.399, "VDD_CPU_CV": 0.4, "VIN_SYS_5V0": 4.032, "VDDQ_VDD2_1V8AO": 0.301},
        ),
        (NX, {"VDD_IN": 4.536, "VDD_CPU_GPU_CV": 0.9, "VDD_SOC": 1.0}),
        ("RAM 2246/3964MB POM_5V_IN 2591/2400 POM_5V_GPU 80/80", {"POM_5V_IN": 2.591, "POM_5V_GPU": 0.08}),
        ("GR3D_FREQ 45% tj@52.468C VDD_GPU_SOC 2171mW", {"VDD_GPU_SOC": 2.171}),
        ("RAM 3045/31919MB SWAP 0/15959MB IRAM 0/252kB(lfb 252kB)", {}),
        ("", {}),
    ],
)
def test_the_power_of_now_is_read_from_real_lines(line, rails):
    assert parse_rails(line) == rails


def test_means_are_over_the_lines_of_the_time_asked_for(tmp_path):
    found = Tegrastats(tmp_path / "tegrastats")
    found.lines = [
        Turns(1.0, {"A": 9.0}),
        Turns(2.0, {"A": 1.0, "B": 5.0}),
        Turns(3.0, {"A": 3.0}),
        Turns(4.0, {"A": 9.0}),
    ]
    assert found.means_w(2.0, 3.0) == {"A": 2.0, "B": 5.0}
    assert found.means_w(5.0, 6.0) == {}


def test_a_program_is_read_until_it_is_stopped(tmp_path):
    found = Tegrastats(install_tegrastats(tmp_path, {"VDD_IN": 4_536}))
    found.start()
    eventually(lambda: len(found.lines) >= 2)
    found.stop()
    assert found.lines[0].rails_w == {"VDD_IN": 4.536}
    assert "VDD_IN 4536mW/4536mW" in found.last
    found.stop()


def test_what_cannot_be_started_is_a_failure(tmp_path):
    with pytest.raises(CheckFailed, match="cannot be started"):
        Tegrastats(tmp_path / "none").start()
