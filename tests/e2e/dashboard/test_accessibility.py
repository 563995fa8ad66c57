"""The dashboard for everybody: by keyboard, by screen reader, on a phone, in the dark, without motion."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from support.agent_process import AgentProcess, running_agent
from support.agents import FakeWorker
from support.benchmark_results import CUT, DENSE, KEPT, jetson_result, result
from support.browser import DESKTOP, PHONE, Page
from support.stored_results import store_results

from .test_overview import submit

Look = Callable[..., Page]
#: axe-core's script, where one has it: https://github.com/dequelabs/axe-core
AXE = os.environ.get("AXE_CORE")
#: Two colours of text on the page may not be closer than this (WCAG 2.2, 1.4.3).
CONTRAST = 4.5

NAMELESS = """
const named = (each) => (each.getAttribute('aria-label') || each.textContent || each.alt || each.title || '').trim()
  || (each.id && document.querySelector(`label[for="${each.id}"]`)) || each.closest('label');
return [...document.querySelectorAll('a, button, input, select, summary, progress, dialog, [role=img], [role=region]')]
  .filter((each) => !named(each)).map((each) => each.outerHTML);
"""
HEADINGS = "return [...document.querySelectorAll('h1, h2, h3')].map((each) => Number(each.tagName[1]))"
#: Contrast of each text with what is painted behind it.
FAINT = """
const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const rgba = (colour) => {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const linear = (v) => (v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
const luminance = (colour) => colour.slice(0, 3).map((v) => linear(v / 255))
  .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
const behind = (each) => {
  for (let at = each; at; at = at.parentElement) {
    const colour = rgba(getComputedStyle(at).backgroundColor);
    if (colour[3] === 255) return colour;
  }
  return [255, 255, 255, 255];
};
return [...document.querySelectorAll('body *')]
  .filter((each) => each.checkVisibility())
  .filter((each) => [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
  .map((each) => {
    const style = getComputedStyle(each);
    const [a, b] = [rgba(each instanceof SVGElement ? style.fill : style.color), behind(each)].map(luminance);
    return {text: each.textContent.trim().slice(0, 40), ratio: (Math.max(a, b) + .05) / (Math.min(a, b) + .05)};
  })
  .filter(({ratio}) => ratio < arguments[0]);
"""


@pytest.fixture
def busy(tmp_path: Path, worker: FakeWorker, bundle: Path) -> Iterator[tuple[AgentProcess, list[str]]]:
    """An agent with results, a job that runs, one that waits, and a device that is held."""
    made = [result([DENSE, KEPT, CUT], batch_sizes=(1, 8), label="a rather long label of a run"), result([DENSE, KEPT])]
    made.append(jetson_result([DENSE, KEPT], simulated=True))
    routes = store_results(tmp_path / "data", made)
    worker.set_actions({"gdws@8": "hang"})
    with running_agent(tmp_path / "data", worker) as agent:
        running = submit(agent.client, bundle, '{"batch_sizes": [1, 8], "label": "running"}')
        worker.wait_until_reached()
        submit(agent.client, bundle)
        agent.client.post("/lease", json={"holder": "ada"}).raise_for_status()
        a, b, jetson = routes
        yield (
            agent,
            [
                "",
                "#/results",
                f"#/results/{a}",
                f"#/results/{jetson}",
                f"#/results/{running}",
                f"#/compare?a={a}&b={b}",
            ],
        )


def loaded(page: Page) -> Page:
    """The page once its view is there."""
    page.find("h1")
    page.find("main .scroll")
    if page.texts("#running-head"):
        page.find(".cell.now")
        page.find(".tile")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_has_names_headings_and_contrast(
    busy: tuple[AgentProcess, list[str]], look: Look, scheme: str
) -> None:
    agent, routes = busy
    for route in routes:
        page = look(agent.url)
        page.emulate(scheme)
        loaded(page.open(route))
        assert page.script(NAMELESS) == [], route
        assert page.script(FAINT, CONTRAST) == [], route
        levels = page.script(HEADINGS)
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False)), (route, levels)
        assert page.script("return [...document.querySelectorAll('th')].every((each) => each.scope)"), route
        assert page.script("return [...document.querySelectorAll('table')].every((each) => each.caption)"), route
        assert page.script("return ['header', 'nav', 'main'].every((each) => document.querySelector(each))"), route
        ids = page.script("return [...document.querySelectorAll('[id]')].map((each) => each.id)")
        assert len(ids) == len(set(ids)), route


needs_axe = pytest.mark.skipif(AXE is None, reason="axe-core is not at hand: AXE_CORE=/path/to/axe.min.js names it")


def violations(page: Page) -> list[tuple[str, list[str]]]:
    """What axe-core finds: rule and elements."""
    page.script(Path(str(AXE)).read_text())
    found = page.driver.execute_async_script("axe.run().then(arguments[0])")
    return [(fault["id"], [node["html"] for node in fault["nodes"]]) for fault in found["violations"]]


@needs_axe
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(
    busy: tuple[AgentProcess, list[str]], look: Look, scheme: str, size: tuple[int, int]
) -> None:
    agent, routes = busy
    for route in routes:
        page = look(agent.url)
        page.emulate(scheme)
        page.resize(size)
        loaded(page.open(route))
        assert violations(page) == [], route


@needs_axe
def test_axe_finds_nothing_in_the_form_for_the_token(guarded: AgentProcess, look: Look) -> None:
    page = look(guarded.url)
    page.find("#token")
    assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_form_for_the_token_has_names_and_contrast(guarded: AgentProcess, look: Look, scheme: str) -> None:
    page = look(guarded.url)
    page.emulate(scheme)
    page.find("#token")
    assert page.script(NAMELESS) == page.script(FAINT, CONTRAST) == []


def test_nothing_is_wider_than_a_phone(busy: tuple[AgentProcess, list[str]], look: Look) -> None:
    agent, routes = busy
    for route in routes:
        page = look(agent.url)
        page.resize(PHONE)
        loaded(page.open(route))
        assert page.script("return document.documentElement.scrollWidth") == PHONE[0], route
        small = page.script(
            "return [...document.querySelectorAll('button, select, nav a')].filter((each) => each.checkVisibility())"
            ".map((each) => each.getBoundingClientRect()).filter((box) => box.height < 24).length"
        )
        assert small == 0, route


def test_everything_is_reached_with_the_keyboard(busy: tuple[AgentProcess, list[str]], look: Look) -> None:
    agent, _ = busy
    page = loaded(look(agent.url))
    reached = []
    for _ in range(40):
        page.press(Keys.TAB)
        focused = page.focused()
        if focused.tag_name == "body":
            break
        reached.append(focused.text or focused.get_attribute("aria-label"))
        outline = page.script("return getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", reached[-1]
    assert reached[:7] == ["Skip to content", "gdws", "Device", "Results", "Compare", "API", "Theme: system"]
    for name in ("running", "Cancel", "a rather long label of a run", "All results"):
        assert name in reached

    page.driver.execute_script("document.querySelector('.skip').focus()")
    page.press(Keys.ENTER)
    assert page.focused().tag_name == "main"
    assert page.driver.current_url.endswith("/")


def test_going_to_a_view_brings_the_reader_to_its_head(busy: tuple[AgentProcess, list[str]], look: Look) -> None:
    agent, _ = busy
    page = loaded(look(agent.url))
    page.find("nav a", "Results").send_keys(Keys.ENTER)
    page.find("h1", "Results")
    page.until(lambda: page.focused().text == "Results", "the focus on the heading")
    assert page.driver.title == "Results – gdws agent"
    assert page.script("return document.querySelector('nav [aria-current]').textContent") == "Results"


def test_progress_is_told_to_a_screen_reader(
    device: AgentProcess, worker: FakeWorker, bundle: Path, look: Look
) -> None:
    worker.set_actions({"gdws@8": "hang"})
    job_id = submit(device.client, bundle, '{"label": "nightly", "batch_sizes": [1, 8]}')
    worker.wait_until_reached()
    page = look(device.url)
    page.find(".cell.now")
    device.client.delete(f"/benchmark/{job_id}")
    page.until(lambda: told(page) == "nightly has ended.", "the end")
    assert page.script("return document.getElementById('announcement').role") == "status"


def told(page: Page) -> str:
    text: str = page.script("return document.getElementById('announcement').textContent")
    return text


def test_the_readers_choice_of_colours_outlives_the_visit(device: AgentProcess, look: Look) -> None:
    page = look(device.url)
    background = "return getComputedStyle(document.body).backgroundColor"
    page.find("#theme", "Theme: system")
    light = page.script(background)
    page.emulate("dark")
    dark = page.script(background)
    assert light != dark
    page.click("#theme")
    page.find("#theme", "Theme: light")
    assert page.script(background) == light
    page.click("#theme")
    page.emulate("light")
    page.refresh()
    page.find("#theme", "Theme: dark")
    assert page.script(background) == dark
    page.click("#theme")
    assert page.script("return localStorage.length") == 0


def test_nothing_moves_for_those_who_do_not_want_it(busy: tuple[AgentProcess, list[str]], look: Look) -> None:
    agent, _ = busy
    page = loaded(look(agent.url))
    moving = "return getComputedStyle(document.querySelector('.cell.now'), '::before').animationName"
    assert page.script(moving) == "pulse"
    page.emulate(motion="reduce")
    assert page.script(moving) == "none"
