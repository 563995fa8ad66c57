from __future__ import annotations

import os

import pytest

from gdws._util.openmp import as_the_user_set, wait_asleep


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch):
    """Nothing is set, and what is set in a test is gone after it."""
    for name in ("OMP_WAIT_POLICY", "GDWS_OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_threads_sleep_here_and_wait_as_ever_in_processes_that_measure():
    before = dict(os.environ)
    wait_asleep()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    assert as_the_user_set(os.environ) == before


@pytest.mark.parametrize(("name", "value"), [("OMP_WAIT_POLICY", "ACTIVE"), ("GOMP_SPINCOUNT", "0")])
def test_what_the_user_set_stays(name: str, value: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(name, value)
    before = dict(os.environ)
    wait_asleep()
    assert dict(os.environ) == before
    assert as_the_user_set(os.environ) == before
