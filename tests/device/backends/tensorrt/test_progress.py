import pytest

from gdws_agent.backends.tensorrt.progress import Deadline, can_end_builds, monitor, timeout_in_words
from support.fake_pycuda import Gpu
from support.fake_tensorrt import make_tensorrt

OLD, NEW = make_tensorrt(Gpu(), "8.6.2"), make_tensorrt(Gpu(), "10.0.1")


class _Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_build_may_go_on_until_its_time_is_over():
    clock = _Clock()
    deadline = Deadline(30, clock)
    watcher = monitor(NEW, deadline)
    watcher.phase_start("Building engine", None, 3)
    clock.now = 130.0
    assert watcher.step_complete("Building engine", 0) is True
    assert not deadline.enforced
    clock.now = 130.1
    assert watcher.step_complete("Building engine", 1) is False
    assert deadline.enforced
    watcher.phase_finish("Building engine")


def test_the_error_has_the_limit_and_advice():
    error = Deadline(90).error()
    assert error.message == "the build was stopped after 90 s"
    assert "build_timeout_s" in (error.hint or "")


@pytest.mark.parametrize(("trt", "can"), [(OLD, False), (NEW, True)])
def test_releases(trt, can):
    assert can_end_builds(trt) is can
    assert (monitor(trt, Deadline(1)) is not None) is can


def test_in_words():
    assert timeout_in_words(NEW, 1800.0) == "build_timeout_s=1800"
    assert timeout_in_words(OLD, 1800.0).startswith("build_timeout_s=not kept by TensorRT 8.6.2")
