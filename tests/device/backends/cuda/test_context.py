import weakref

import pytest

from gdws_agent.backends.cuda import driver as cuda_driver
from gdws_agent.backends.cuda.context import PrimaryContext, let_go
from gdws_agent.errors import RunFailed
from support.fake_pycuda import Gpu


def test_it_is_pushed_once_and_popped_with_the_last_release():
    gpu = Gpu()
    primary = PrimaryContext(gpu.module()[1])
    for _ in range(3):
        assert primary.retain().compute_capability() == (7, 2)
        assert (len(gpu.stack), gpu.retained) == (1, 1)
    for _ in range(2):
        primary.release()
        assert (len(gpu.stack), gpu.retained) == (1, 1)
    primary.release()
    assert gpu.stack == []


def test_the_driver_s_context_is_retained_once_however_often_engines_come_and_go():
    """pycuda leaves a primary context current that it releases, so it is kept for the life of the process."""
    gpu = Gpu()
    cuda = gpu.module()[1]
    for _ in range(3):
        primary = PrimaryContext(cuda)
        for _ in range(2):
            primary.retain()
            primary.release()
            assert (len(gpu.stack), gpu.retained) == (0, 1)
        del primary
        assert (len(gpu.stack), gpu.retained) == (0, 1)


def test_the_double_leaves_a_context_current_that_it_releases_as_pycuda_does():
    gpu = Gpu()
    cuda = gpu.module()[1]
    cuda.init()
    context = cuda.Device(0).retain_primary_context()
    context.push()
    cuda.Context.pop()
    context.detach()
    assert (len(gpu.stack), gpu.retained) == (1, 0)


def test_how_the_cpu_waits_is_set_before_the_context_is_made(monkeypatch):
    gpu = Gpu()
    monkeypatch.setattr(cuda_driver, "load_driver", gpu.driver_library)
    cuda = gpu.module()[1]
    first = PrimaryContext(cuda)
    first.retain()
    assert (first.wait_in_words, gpu.context_flags) == ("cuda_wait=spin", 1)
    assert PrimaryContext(cuda).wait_in_words == "cuda_wait=spin"
    first.release()


def test_releasing_too_often():
    with pytest.raises(RunFailed, match="more often"):
        PrimaryContext(Gpu().module()[1]).release()


class _Held:
    pass


def test_an_error_that_is_kept_holds_nothing_once_let_go():
    seen = []

    def inner():
        held = _Held()
        seen.append(weakref.ref(held))
        raise ValueError("inner")

    def outer():
        held = _Held()
        seen.append(weakref.ref(held))
        try:
            inner()
        except ValueError as error:
            raise RunFailed("outer") from error

    try:
        outer()
    except RunFailed as error:
        kept = error
    assert all(held() is not None for held in seen)
    let_go(kept)
    assert all(held() is None for held in seen)
    assert kept.__traceback__ is not None
    assert str(kept.__cause__) == "inner"


def test_letting_go_of_an_error_that_causes_itself():
    error = ValueError()
    error.__cause__ = error
    let_go(error)
