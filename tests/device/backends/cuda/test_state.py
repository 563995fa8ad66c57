from gdws_agent.backends.cuda import driver as cuda_driver
from gdws_agent.backends.cuda.state import GpuState, read_gpu_state
from gdws_agent.gpu_clocks import ClockLimits
from support.fake_pycuda import Gpu
from support.sysfs import put


def test_what_a_board_shows(monkeypatch, tmp_path):
    monkeypatch.setattr(cuda_driver, "load_driver", Gpu(multiprocessors=6).driver_library)
    put(tmp_path / "class/devfreq/17000000.gv11b/min_freq", 114_750_000)
    put(tmp_path / "class/devfreq/17000000.gv11b/max_freq", 1_109_250_000)
    state = read_gpu_state("MODE_15W", tmp_path)
    assert state == GpuState("MODE_15W", 6, {"GPU": ClockLimits(114.75, 1109.25)})
    assert state.in_words() == ["multiprocessors=6", "gpu_clocks_mhz=GPU 115 to 1109"]
    assert state.facts() == {"power_mode": "MODE_15W", "multiprocessors": 6, "clocks": {"GPU": [114.75, 1109.25]}}


def test_what_is_not_known_is_said():
    assert GpuState(None, None, {}).in_words() == [
        "multiprocessors=not known",
        "gpu_clocks_mhz=not shown by the kernel",
    ]
