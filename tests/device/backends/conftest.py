"""Fixtures of the backends' tests."""

import functools

import pytest

from support.backend_cases import spec_in


@pytest.fixture
def spec(tmp_path):
    return functools.partial(spec_in, tmp_path)
