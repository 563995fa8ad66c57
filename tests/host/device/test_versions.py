"""Neighbouring releases talk, or say what to update."""

from __future__ import annotations

import pytest

from gdws.device.versions import SHARING, require_revision, require_schema, require_version
from gdws.errors import DeviceProtocolError
from gdws_contract.rest import API_REVISION, API_VERSION, Health

URL = "http://jetson:8000"


def health(version: int = API_VERSION, revision: int = API_REVISION) -> Health:
    return Health(agent_version="0.0.9", api_version=version, api_revision=revision, queued_jobs=0)


def test_the_same_version_will_do_whatever_its_revision() -> None:
    for revision in (0, API_REVISION, API_REVISION + 1):
        require_version(health(revision=revision), URL)


@pytest.mark.parametrize(
    ("version", "words"), [(API_VERSION - 1, "gdws-agent on the device"), (API_VERSION + 1, "gdws on this machine")]
)
def test_another_version_is_refused_with_what_to_update(version: int, words: str) -> None:
    with pytest.raises(DeviceProtocolError, match=rf"0\.0\.9.*version {version} of the interface") as caught:
        require_version(health(version), URL)
    assert words in (caught.value.hint or "")


def test_what_an_older_agent_does_not_know_is_named() -> None:
    require_revision(health(), SHARING, "leases", URL)
    with pytest.raises(DeviceProtocolError, match="does not support leases") as caught:
        require_revision(health(revision=0), SHARING, "leases", URL)
    assert "update gdws-agent" in (caught.value.hint or "")


def test_a_bundle_that_an_older_agent_cannot_read_is_not_sent() -> None:
    require_schema(health(revision=0), 1, URL)
    require_schema(health(), 2, URL)
    with pytest.raises(DeviceProtocolError, match="does not support bundles of schema 2") as caught:
        require_schema(health(revision=3), 2, URL)
    assert "update gdws-agent" in (caught.value.hint or "")


def test_an_agent_of_the_first_release_says_no_revision() -> None:
    told = {"status": "ok", "agent_version": "0.1.0", "api_version": 1, "queued_jobs": 0}
    assert Health.model_validate(told).api_revision == 0
