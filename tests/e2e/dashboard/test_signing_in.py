"""Who may see the dashboard, and where the token is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from support.agent_process import AgentProcess, running_agent
from support.agents import FakeWorker
from support.browser import Page

from .conftest import FULL, READ, TOKENS

Look = Callable[..., Page]


def test_an_agent_that_needs_no_token_asks_for_none(device: AgentProcess, look: Look) -> None:
    page = look(device.url)
    page.find("h2", "Right now")
    assert page.texts("#sign-out") == [""]


def test_a_token_is_asked_for_and_a_wrong_one_is_told(guarded: AgentProcess, look: Look) -> None:
    page = look(guarded.url)
    page.find("#token")
    assert page.focused().get_attribute("id") == "token"
    page.sign_in("not-the-token-of-this-agent")
    page.find("#token-problem", "not one of the agent's tokens")
    page.sign_in(READ)
    page.find("h2", "Right now")


def test_the_token_is_kept_for_the_tab_alone(guarded: AgentProcess, look: Look) -> None:
    page = look(guarded.url, token=FULL)
    page.find("h2", "Right now")
    assert page.script("return {...sessionStorage}") == {"gdws-token": FULL}
    assert page.script("return [Object.keys(localStorage), document.cookie, location.href.includes('full')]") == [
        [],
        "",
        False,
    ]
    page.refresh()
    page.find("h2", "Right now")
    assert not [address for address in page.asked() if FULL in address]

    page.click("#sign-out")
    page.find("h1", "needs an access token")
    assert page.script("return sessionStorage.length") == 0


def test_a_page_that_was_asked_for_is_shown_after_signing_in(guarded: AgentProcess, look: Look) -> None:
    page = look(guarded.url, "#/results", token=READ)
    page.find("h1", "Results")


def test_a_token_that_no_longer_holds_is_asked_for_anew(tmp_path: Path, worker: FakeWorker, look: Look) -> None:
    refused = "status of 401"
    with running_agent(tmp_path / "data", worker, environment=TOKENS) as agent:
        page = look(agent.url, token=FULL, allowed=(refused, "net::ERR"))
        page.find("h2", "Right now")
        port = agent.url.rpartition(":")[2]
    others = {"GDWS_AGENT_TOKEN": "x" * 32, "GDWS_AGENT_READ_TOKEN": "y" * 32}
    with running_agent(tmp_path / "data", worker, f"--port={port}", environment=others):
        page.find("#token-problem", "does not know this token any more")
        page.sign_in("x" * 32)
        page.find("h2", "Right now")
