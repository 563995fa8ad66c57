"""Cancelling a job: after a question, with the full token alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from support.agent_process import AgentProcess
from support.agents import FakeWorker
from support.browser import Page

from .conftest import FULL, READ
from .test_overview import submit

Look = Callable[..., Page]


@pytest.fixture
def jobs(guarded: AgentProcess, worker: FakeWorker, bundle: Path) -> tuple[str, str]:
    """A job that runs until it is cancelled, and one that waits."""
    worker.set_actions({"dense": "hang"})
    running = submit(guarded.client, bundle, '{"label": "the running one"}')
    worker.wait_until_reached()
    return running, submit(guarded.client, bundle, '{"label": "the waiting one"}')


def state(agent: AgentProcess, job_id: str) -> str:
    found: str = agent.get(f"/benchmark/{job_id}")["state"]
    return found


def test_a_running_job_is_cancelled_after_a_question(guarded: AgentProcess, jobs: tuple[str, str], look: Look) -> None:
    page = look(guarded.url, token=FULL)
    page.click(".running button", "Cancel")
    page.find("dialog", "Cancel the running one?")
    page.click("dialog button", "Keep it")
    page.gone("dialog")
    assert state(guarded, jobs[0]) == "running"

    page.click(".running button", "Cancel")
    page.click("dialog button", "Cancel the job")
    page.find(".results tr", "the running one")
    assert state(guarded, jobs[0]) == "cancelled"
    page.find(".running h3", "the waiting one")


def test_a_waiting_job_is_cancelled_from_the_keyboard(guarded: AgentProcess, jobs: tuple[str, str], look: Look) -> None:
    page = look(guarded.url, token=FULL)
    page.find(".queue button")
    page.script("document.querySelector('.queue button').focus()")
    page.press(Keys.ENTER)
    page.find("dialog", "It leaves the queue")
    assert page.focused().text == "Keep it"
    page.press(Keys.ESCAPE)
    page.gone("dialog")
    assert state(guarded, jobs[1]) == "queued"
    assert page.focused().text == "Cancel"

    page.press(Keys.ENTER)
    page.find("dialog")
    page.press(Keys.TAB)
    page.press(Keys.ENTER)
    page.find(".queue", "The queue is empty.")
    assert state(guarded, jobs[1]) == "cancelled"
    assert "the waiting one is cancelled" in page.script("return document.getElementById('announcement').textContent")


def test_a_job_is_cancelled_on_its_own_page(guarded: AgentProcess, jobs: tuple[str, str], look: Look) -> None:
    page = look(guarded.url, f"#/results/{jobs[0]}", token=FULL)
    page.find(".cell.now")
    page.click("main button", "Cancel")
    page.click("dialog button", "Cancel the job")
    page.find(".state", "cancelled")
    page.find("button", "Save result.json")


def test_with_the_read_only_token_buttons_do_nothing_and_say_why(
    guarded: AgentProcess, jobs: tuple[str, str], look: Look
) -> None:
    page = look(guarded.url, token=READ)
    page.find(".running", "Only the full token allows this")
    for button in (".running button", ".queue button"):
        found = page.find(button)
        assert found.get_attribute("aria-disabled") == "true"
        assert "Only the full token allows this" in str(found.get_attribute("aria-label"))
        page.click(button)
    assert page.texts("dialog") == []
    assert (state(guarded, jobs[0]), state(guarded, jobs[1])) == ("running", "queued")


def test_what_the_agent_refuses_is_told(guarded: AgentProcess, jobs: tuple[str, str], look: Look) -> None:
    page = look(guarded.url, token=FULL, allowed=("status of 404",))
    page.click(".queue button", "Cancel")
    page.script(
        "const real = window.fetch;"
        "window.fetch = (path, options) => real(options.method === 'DELETE' ? 'benchmark/nope' : path, options)"
    )
    page.click("dialog button", "Cancel the job")
    page.find("[role=alert]", "It was not cancelled: there is no job 'nope'")
