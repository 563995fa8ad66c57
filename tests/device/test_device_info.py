import platform

import pytest

from gdws_agent.device_info import describe_device, read_board, read_cpu_model, read_l4t, read_os_name
from support.agents import available, missing

TEGRA_RELEASE = "# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64, DATE: Tue Aug  1\n"


def write(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture(params=["proc", "host"], ids=["on the board", "in a container"])
def jetson(request, tmp_path):
    tree = f"{request.param}/device-tree"
    write(tmp_path, f"{tree}/model", "NVIDIA Jetson Xavier NX Developer Kit\0")
    write(tmp_path, "etc/nv_tegra_release", TEGRA_RELEASE)
    write(tmp_path, "etc/os-release", 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 20.04.6 LTS"\n')
    write(tmp_path, "proc/cpuinfo", "processor\t: 0\nCPU implementer\t: 0x4e\n")
    write(tmp_path, f"{tree}/cpus/cpu@0/compatible", "nvidia,tegra194-carmel\0arm,armv8\0")
    return tmp_path


def test_a_jetson_is_described_by_its_own_files(jetson):
    sensors = [missing("none", "no sensor")]
    device = describe_device([available()], sensors, root=jetson)

    assert device.board == "NVIDIA Jetson Xavier NX Developer Kit"
    assert device.l4t == "35.4.1"
    assert device.os == "Ubuntu 20.04.6 LTS"
    assert device.cpu_model == "nvidia,tegra194-carmel"
    assert device.backends == [available()]
    assert device.power_sensors == sensors
    assert not device.simulated


def test_what_no_file_tells_is_unknown(tmp_path):
    device = describe_device([], [], root=tmp_path)

    assert (device.board, device.l4t, device.cpu_model) == (None, None, None)
    assert device.os == platform.system()


def test_this_machine_is_described():
    device = describe_device([], [])

    assert device.python == platform.python_version()
    assert device.kernel
    assert device.memory_total_bytes > device.memory_available_bytes > 0
    assert device.logical_cores >= 1


def test_another_board_is_no_jetson(tmp_path):
    write(tmp_path, "proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0")
    assert read_board(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("# R32 (release), REVISION: 7.4, GCID: 1", "32.7.4"),
        ("# R38 (release), REVISION: 2.0, GCID: 1", "38.2.0"),
        ("nonsense", None),
        ("", None),
    ],
)
def test_the_release_is_read_from_the_first_line(tmp_path, text, release):
    write(tmp_path, "etc/nv_tegra_release", text)
    assert read_l4t(tmp_path) == release


def test_the_processor_of_a_pc_is_named_in_cpuinfo(tmp_path):
    write(tmp_path, "proc/cpuinfo", "processor : 0\nmodel name\t: Intel(R) Xeon(R)\nmodel name\t: other\n")
    assert read_cpu_model(tmp_path) == "Intel(R) Xeon(R)"


@pytest.mark.parametrize("line", ["PRETTY_NAME=Alpine", 'PRETTY_NAME="Alpine"'])
def test_the_distribution_is_named_with_and_without_quotes(tmp_path, line):
    write(tmp_path, "etc/os-release", f"ID=x\n{line}\n")
    assert read_os_name(tmp_path) == "Alpine"


def test_a_simulated_board_says_so(tmp_path):
    assert describe_device([], [], simulated=True, root=tmp_path).simulated
    assert not describe_device([], [], root=tmp_path).simulated
