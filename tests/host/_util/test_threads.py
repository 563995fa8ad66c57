from __future__ import annotations

import threading

import pytest
import torch
from threadpoolctl import threadpool_info

from gdws._util.threads import map_in_threads


def test_results_are_in_order():
    assert map_in_threads(lambda n: n * n, range(50)) == [n * n for n in range(50)]
    assert map_in_threads(str, []) == []


def test_the_first_exception_is_raised():
    with pytest.raises(ZeroDivisionError):
        map_in_threads(lambda n: 1 // (n - 3), range(9))


def test_as_many_threads_are_used_as_torch_uses(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    meeting = threading.Barrier(2, timeout=30)
    assert map_in_threads(lambda _: meeting.wait() >= 0, range(2)) == [True, True]


def test_numpy_keeps_to_one_thread_meanwhile():
    def blas_threads() -> set[int]:
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    before = blas_threads()
    assert map_in_threads(lambda _: blas_threads(), range(1)) == [{1}]
    assert blas_threads() == before
