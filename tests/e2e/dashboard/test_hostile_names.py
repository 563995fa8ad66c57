"""Names and texts that others chose are shown as they are, and nothing in them is markup."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gdws_contract.measures import Flag
from gdws_contract.problems import Problem, problem_type
from gdws_contract.rest import Cell
from support.agent_process import AgentProcess, running_agent
from support.agents import FakeWorker
from support.benchmark_results import DENSE, Net, cell, result
from support.browser import Page
from support.stored_results import store_results

from .test_overview import submit

Look = Callable[..., Page]
HOSTILE = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>\'"&amp;${1}'
ROUTES = ("", "#/results", "#/results/{a}", "#/compare?a={a}&b={b}")


def hostile_cell(net: Net) -> Cell:
    measured = cell(net, DENSE, 1, flags=(Flag(code="x-flag", detail=HOSTILE),))
    return measured.model_copy(update={"environment": {HOSTILE: HOSTILE}, "power_mode": HOSTILE})


def test_texts_of_bundles_and_requests_stay_texts(tmp_path: Path, look: Look) -> None:
    gdws = Net("gdws", method=HOSTILE)
    problem = Problem(type=problem_type("x"), title=HOSTILE, status=500, detail=HOSTILE, hint=HOSTILE)
    first = result([DENSE, gdws], cells=[hostile_cell(DENSE), hostile_cell(gdws)], label=HOSTILE, description=HOSTILE)
    failed = first.job.model_copy(update={"state": "failed", "error": problem})
    second = result([DENSE, gdws], label=HOSTILE).model_copy(update={"job": failed})
    a, b = store_results(tmp_path / "data", [first, second])
    with running_agent(tmp_path / "data") as agent:
        for route in ROUTES:
            page = look(agent.url, route.format(a=a, b=b))
            page.find("main", "onerror")
            assert page.script(
                "return [window.owned ?? null, document.querySelectorAll('main img, main script').length]"
            ) == [
                None,
                0,
            ], route
    assert HOSTILE in page.text("select option:checked") or HOSTILE in page.text("main")


def test_the_name_of_who_holds_the_device_stays_a_text(
    device: AgentProcess, worker: FakeWorker, bundle: Path, look: Look
) -> None:
    worker.set_actions({"dense": "hang"})
    submit(device.client, bundle)
    worker.wait_until_reached()
    holder = HOSTILE[:100]
    device.client.post("/lease", json={"holder": holder, "note": holder}).raise_for_status()
    page = look(device.url)
    assert holder in page.find(".lease").text
    assert page.script("return window.owned ?? null") is None


def test_the_check_for_markup_would_see_it(device: AgentProcess, look: Look) -> None:
    """The policy refuses what these tests look for, so that one slip in a script is not enough."""
    page = look(device.url, allowed=("TrustedHTML", "violates", "requires"))
    page.find("h2", "Queue")
    refused = page.script(
        "try { document.body.innerHTML = arguments[0]; return null } catch (error) { return error.name }",
        HOSTILE,
    )
    assert refused == "TypeError"


def test_the_check_for_other_hosts_would_see_them(device: AgentProcess, look: Look) -> None:
    page = look(device.url, allowed=("elsewhere.example",))
    page.find("h2", "Queue")
    page.driver.execute_async_script(
        "const image = document.createElement('img'); image.onerror = () => arguments[0]();"
        "image.src = 'http://elsewhere.example/x.png'; document.body.append(image)"
    )
    assert [line for line in page.faults() if "elsewhere.example" in line and "Content Security Policy" in line]
