"""What jtop tells of fixed clocks, against what the kernel shows."""

from types import SimpleNamespace

import pytest

from gdws_agent.board.jtop_clocks import JtopClocks
from support.sysfs import put

MHZ = 1_000_000


def sighting(sysfs, believed):
    clocks = SimpleNamespace(get_enable=lambda: believed, get_status=lambda: "running")
    mode = SimpleNamespace(name="MAXN", is_running=lambda: False)
    beat = SimpleNamespace(wait=lambda: None)
    return JtopClocks(SimpleNamespace(nvpmodel=mode, jetson_clocks=clocks), beat, sysfs).look()


@pytest.mark.parametrize(
    ("node", "low", "believed", "fixed"),
    [
        ("gpu-gpc-0", 306, True, False),  # Thor, where jtop always believes so
        ("gpu-gpc-0", 1575, True, True),
        ("17000000.gv11b", 114, True, False),
        ("17000000.gv11b", 1575, False, False),  # the GPU alone is held, by somebody's hand
        (None, None, True, True),
        (None, None, False, False),
    ],
)
def test_clocks_are_fixed_where_jtop_says_so_and_the_kernel_does_not_deny_it(tmp_path, node, low, believed, fixed):
    if node is not None:
        put(tmp_path / f"class/devfreq/{node}/min_freq", low * MHZ)
        put(tmp_path / f"class/devfreq/{node}/max_freq", 1575 * MHZ)
    assert sighting(tmp_path, believed).state.jetson_clocks is fixed
