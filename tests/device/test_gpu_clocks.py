import pytest

from gdws_agent.gpu_clocks import are_fixed, clock_folders, clock_limits, clock_name
from support.sysfs import put

MHZ = 1_000_000


@pytest.mark.parametrize(
    ("node", "name"),
    [
        ("57000000.gpu", "GPU"),  # Nano, and JetPack 6
        ("17000000.gp10b", "GPU"),
        ("17000000.gv11b", "GPU"),
        ("17000000.ga10b", "GPU"),
        ("gpu-gpc-0", "GPU"),
        ("gpu-nvd-0", "GPU nvd-0"),
        ("gpu-gpc-1", "GPU gpc-1"),
        ("15340000.vic", None),
        ("15480000.nvdec", None),
    ],
)
def test_the_clock_of_each_node(node, name):
    assert clock_name(node) == name


def put_clock(sysfs, node, low_mhz, high_mhz):
    put(sysfs / f"class/devfreq/{node}/min_freq", low_mhz * MHZ)
    put(sysfs / f"class/devfreq/{node}/max_freq", high_mhz * MHZ)


def test_the_limits_of_each_clock(tmp_path):
    put_clock(tmp_path, "gpu-nvd-0", 200, 1692)
    put_clock(tmp_path, "gpu-gpc-0", 306, 1575)
    put(tmp_path / "class/devfreq/gpu-gpc-1/min_freq", "n/a")
    assert clock_limits(tmp_path) == {"GPU": (306.0, 1575.0), "GPU nvd-0": (200.0, 1692.0)}


def test_two_nodes_of_one_name_stay_apart(tmp_path):
    for node in ("17000000.ga10b", "17000000.gpu"):
        put_clock(tmp_path, node, 306, 1300)
    assert list(clock_folders(tmp_path)) == ["GPU", "GPU 17000000.gpu"]


@pytest.mark.parametrize(("low", "fixed"), [(306, False), (1575, True)])
def test_clocks_are_fixed_where_their_limits_meet(tmp_path, low, fixed):
    put_clock(tmp_path, "gpu-nvd-0", 1692, 1692)  # the codecs' do not count
    put_clock(tmp_path, "gpu-gpc-0", low, 1575)
    assert are_fixed(tmp_path) is fixed


def test_where_the_kernel_shows_none_nothing_is_known(tmp_path):
    assert clock_limits(tmp_path) == {}
    assert are_fixed(tmp_path) is None
