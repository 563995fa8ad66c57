from __future__ import annotations

import pytest

from gdws_agent.backends.cuda_context import PrimaryContext
from gdws_agent.backends.errors import RunFailed
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
    assert (len(gpu.stack), gpu.retained) == (0, 0)


def test_it_can_be_retained_anew():
    gpu = Gpu()
    primary = PrimaryContext(gpu.module()[1])
    for _ in range(2):
        primary.retain()
        primary.release()
    assert (len(gpu.stack), gpu.retained) == (0, 0)


def test_releasing_too_often():
    with pytest.raises(RunFailed, match="more often"):
        PrimaryContext(Gpu().module()[1]).release()
