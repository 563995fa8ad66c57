"""The dashboard in a real browser. Without one these tests are skipped, and the end of the run says so in a line."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gdws_contract.rest import BenchmarkResult
from support.agent_process import AgentProcess, running_agent
from support.agent_thread import agent_in_a_thread
from support.agents import FakeWorker
from support.bundles import tiny_bundle
from support.stored_results import store_results

try:
    from support.browser import Page, browser, missing_browser

    MISSING = missing_browser()
except ModuleNotFoundError as error:
    MISSING = f"{error.name} is not installed"

FULL, READ = "full-" + "f" * 32, "read-" + "r" * 32
TOKENS = {"GDWS_AGENT_TOKEN": FULL, "GDWS_AGENT_READ_TOKEN": READ}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.skipif(MISSING is not None, reason=f"dashboard: {MISSING}"))
            item.add_marker(pytest.mark.timeout(180))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if MISSING is not None:
        terminalreporter.write_line(f"SKIPPED: the dashboard in a browser: {MISSING}")


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the browser saves files."""
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Iterator[Any]:
    with browser(tmp_path_factory.mktemp("profile"), downloads) as found:
        yield found


@pytest.fixture
def look(driver: Any) -> Iterator[Callable[..., Page]]:
    """Opens the dashboard of an agent; at the end nothing may have gone wrong in it, and no other host been asked."""
    opened: list[tuple[Page, tuple[str, ...]]] = []

    def open_page(url: str, route: str = "", token: str | None = None, allowed: tuple[str, ...] = ()) -> Page:
        page = Page(driver, url)
        opened.append((page, allowed))
        page.open(route)
        if token is not None:
            page.sign_in(token)
        return page

    yield open_page
    for page, allowed in opened:
        assert page.faults(allowed) == []
    driver.get("about:blank")


@pytest.fixture
def agents() -> Iterator[contextlib.ExitStack]:
    """What serves until the pages of a test are closed."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def show(tmp_path: Path, agents: contextlib.ExitStack, look: Callable[..., Page]) -> Callable[..., Page]:
    """Opens the view of stored results; ``route`` has places for their ids."""

    def open_view(
        *results: BenchmarkResult, route: str = "#/results/{}", manifests: bool = True, allowed: tuple[str, ...] = ()
    ) -> Page:
        ids = store_results(tmp_path / "data", results, manifests=manifests)
        return look(agents.enter_context(agent_in_a_thread(tmp_path / "data")), route.format(*ids), allowed=allowed)

    return open_view


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.gdws", net="linear")


@pytest.fixture
def worker(tmp_path: Path) -> FakeWorker:
    return FakeWorker(tmp_path / "worker")


@pytest.fixture
def device(tmp_path: Path, worker: FakeWorker) -> Iterator[AgentProcess]:
    """An agent on loopback, which asks for no token."""
    with running_agent(tmp_path / "data", worker) as agent:
        yield agent


@pytest.fixture
def guarded(tmp_path: Path, worker: FakeWorker) -> Iterator[AgentProcess]:
    """An agent that asks for a token; its client has the full one."""
    with running_agent(tmp_path / "guarded", worker, environment=TOKENS) as agent:
        agent.client.headers["authorization"] = f"Bearer {FULL}"
        yield agent
