from __future__ import annotations

import pytest

from gdws_agent.errors import SettingsInvalid
from gdws_agent.first_run import agent_link
from gdws_agent.first_run.agent_link import AgentLink, AgentRefused, find_token
from gdws_contract.queueing import LEASE_HEADER
from support.agents import eventually, settings_for

LEASE = {"id": "abc", "holder": "first-run", "since": "now", "ttl_s": 120, "expires_in_s": 120}


class Recorded(AgentLink):
    """An agent that gives its lease, and a record of what it was asked."""

    asked: list

    def _ask(self, method, path, body=None, headers=()):
        self.asked.append((method, dict(headers)))
        return LEASE if method == "POST" else None


def test_a_lease_is_renewed_while_it_is_held_and_then_given_back(tmp_path, monkeypatch):
    monkeypatch.setattr(agent_link, "_RENEW_S", 0.01)
    link = Recorded(settings_for(tmp_path))
    link.asked = []
    with link.holding_device():
        eventually(lambda: sum(method == "PUT" for method, _ in link.asked) >= 3)
    methods = [method for method, _ in link.asked]
    assert (methods[0], methods[-1]) == ("POST", "DELETE")
    assert all(headers == {LEASE_HEADER: "abc"} for method, headers in link.asked if method != "POST")


def test_an_agent_that_ended_meanwhile_does_not_matter(tmp_path):
    class Gone(Recorded):
        def _ask(self, method, path, body=None, headers=()):
            super()._ask(method, path, body, headers)
            if method == "DELETE":
                raise AgentRefused(409, "no lease with this id is in force")
            return LEASE

    link = Gone(settings_for(tmp_path))
    link.asked = []
    with link.holding_device():
        pass
    assert link.asked[-1][0] == "DELETE"


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("0.0.0.0", "127.0.0.1:8000"),
        ("127.0.0.1", "127.0.0.1:8000"),
        ("::", "[::1]:8000"),
        ("10.0.0.5", "10.0.0.5:8000"),
    ],
)
def test_an_agent_that_listens_everywhere_is_asked_over_loopback(tmp_path, host, place):
    assert AgentLink(settings_for(tmp_path, host=host)).place == place


def test_a_token_that_is_given_goes_before_the_one_that_is_kept(tmp_path):
    settings = settings_for(tmp_path)
    assert find_token(settings, {}) is None
    (tmp_path / "token").write_text("the-kept-token-of-this-agent\n")
    assert find_token(settings, {}) == "the-kept-token-of-this-agent"
    assert (
        find_token(settings, {"GDWS_AGENT_TOKEN": "the-given-token-of-this-agent"}) == "the-given-token-of-this-agent"
    )
    with pytest.raises(SettingsInvalid):
        find_token(settings, {"GDWS_AGENT_TOKEN": "short"})
