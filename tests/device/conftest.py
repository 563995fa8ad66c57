"""A small bundle, and a worker that does as it is told."""

import pytest

from support.agents import FakeWorker
from support.bundles import tiny_bundle


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.gdws", net="linear")


@pytest.fixture(scope="session")
def bundle(bundle_path):
    return bundle_path.read_bytes()


@pytest.fixture
def worker(tmp_path):
    return FakeWorker(tmp_path / "worker")
