"""The view of the device: readings, the running job cell by cell, the queue, and an agent that goes away."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx

from gdws_agent.api.job_events import MAX_STREAMS
from gdws_agent.board.live import LiveBoard
from support.agent_process import AgentProcess, running_agent
from support.agent_thread import agent_in_a_thread
from support.agents import FakeWorker
from support.browser import Page
from support.sysfs import put, put_ina3221

Look = Callable[..., Page]
#: What the browser says of an agent that is gone.
GONE = ("net::ERR",)


def submit(client: httpx.Client, bundle: Path, request: str = "{}") -> str:
    answer = client.post("/benchmark", files={"bundle": bundle.read_bytes()}, data={"request": request})
    job_id: str = answer.raise_for_status().json()["id"]
    return job_id


def agent_on_a_board(folder: Path, sysfs: Path) -> contextlib.AbstractContextManager[str]:
    """The address of an agent that shows the files below ``sysfs``."""
    return agent_in_a_thread(folder, LiveBoard(sysfs, min_interval_s=0.0))


def test_an_agent_without_results_says_what_to_type(device: AgentProcess, bundle: Path, look: Look) -> None:
    page = look(device.url)
    line = page.find(".empty code", "curl").text
    assert page.find(".empty", "Nothing has been measured here yet")

    (bundle.parent / "model.gdws").write_bytes(bundle.read_bytes())
    command = line.replace("curl", "curl --fail-with-body --noproxy '*'", 1)
    subprocess.run(["bash", "-c", command], cwd=bundle.parent, check=True, capture_output=True)
    page.find(".results td", "tiny")


def test_what_a_machine_does_not_show_says_why(tmp_path: Path, look: Look) -> None:
    with agent_on_a_board(tmp_path / "data", tmp_path / "sys") as url:
        page = look(url)
        assert "no INA3221" in page.find(".tile", "Power").text
        assert "no thermal zone" in page.find(".tile", "Temperature").text
        assert "no clock" in page.find(".tile", "Clocks").text
        assert page.find(".tile", "Power").find_element("css selector", ".figure").text == "–"


def test_the_readings_of_a_board_follow_its_files(tmp_path: Path, look: Look) -> None:
    sysfs = tmp_path / "sys"
    put_ina3221(sysfs, "1-0040", {"VDD_IN": (5000, 2500), "VDD_SOC": (5000, 400)})
    put(sysfs / "class/thermal/thermal_zone0/type", "GPU-therm")
    put(sysfs / "class/thermal/thermal_zone0/temp", 41_500)
    put(sysfs / "class/thermal/cooling_device0/type", "gpu-throttle-alert")
    put(sysfs / "class/thermal/cooling_device0/cur_state", 1)
    put(sysfs / "class/devfreq/17000000.gv11b/cur_freq", 1_377_000_000)
    put(sysfs / "class/devfreq/17000000.gv11b/max_freq", 1_377_000_000)
    with agent_on_a_board(tmp_path / "data", sysfs) as url:
        page = look(url)
        assert "12.5 W" in page.find(".tile", "Power").text
        assert "module power, rail VDD_IN" in page.find(".tile", "Power").text
        assert "1,377 MHz" in page.find(".tile", "Clocks").text
        assert "gpu-throttle-alert" in page.find(".tile", "41.5 °C").text
        put(sysfs / "class/thermal/thermal_zone0/temp", 63_000)
        page.find(".tile", "63.0 °C")
        page.find(".sparkline")
        assert "Temperature over the last minutes: from 41.5 to 63.0 °C" in page.script(
            "return [...document.querySelectorAll('.sparkline')].map((each) => each.getAttribute('aria-label')).join()"
        )


def test_a_running_job_is_shown_cell_by_cell(
    device: AgentProcess, worker: FakeWorker, bundle: Path, look: Look
) -> None:
    worker.set_actions({"gdws@8": "hang"})
    job_id = submit(device.client, bundle, '{"batch_sizes": [1, 8], "label": "nightly"}')
    worker.wait_until_reached()
    page = look(device.url)

    page.find(".running h3", "nightly")
    page.find(".cell.now", "building the engine")
    assert page.texts(".cells thead th") == ["Network", "batch 1", "batch 8"]
    assert page.texts(".cells tbody tr") == [
        "dense 2.00 ms\n500 FPS\nwaits",
        "gdws 2.00 ms\n2.00× · 500 FPS\nbuilding the engine",
    ]
    page.find(".progress", "2 of 4 cells, gdws at batch 8: building the engine")
    assert page.script("return document.querySelector('progress').value") == 2

    device.client.delete(f"/benchmark/{job_id}")
    page.find(".results tr", "cancelled")
    page.find(".running", "The device is idle")
    assert "has ended" in page.script("return document.getElementById('announcement').textContent")


def test_cells_come_in_as_they_end_and_leave_the_focus_alone(
    device: AgentProcess, worker: FakeWorker, bundle: Path, look: Look
) -> None:
    worker.set_actions({"dense@1": "hang", "gdws@8": "hang"})
    submit(device.client, bundle, '{"batch_sizes": [1, 8]}')
    worker.wait_until_reached()
    page = look(device.url, allowed=GONE)
    page.find(".cell.now")
    page.script("document.querySelector('.running button').focus()")
    worker.set_actions({"gdws@8": "hang"})
    device.process.kill()
    device.process.wait()
    port = device.url.rpartition(":")[2]
    with running_agent(device.log.with_suffix(""), worker, f"--port={port}") as again:
        page.find(".progress", "2 of 4 cells")
        assert page.focused().text == "Cancel"
        told = "return document.getElementById('announcement').textContent"
        page.until(lambda: "2 of 4 cells have ended" in page.script(told), "the cells told to a screen reader")
        again.client.delete("/benchmark/" + again.get("/queue")["running"]["id"])


def test_the_queue_shows_places_times_and_who_holds_the_device(
    device: AgentProcess, worker: FakeWorker, bundle: Path, look: Look
) -> None:
    worker.set_actions({"dense": "hang"})
    submit(device.client, bundle)
    worker.wait_until_reached()
    submit(device.client, bundle, '{"label": "later"}')
    submit(device.client, bundle, '{"label": "first", "priority": 3}')
    page = look(device.url)
    page.find(".queue tr", "later")
    rows = page.texts(".queue tbody tr")
    assert [row.split("\n")[:2] for row in rows] == [["1", "first"], ["2", "later"]]
    assert "about" in page.find(".queue tr", "later").text

    device.client.post("/lease", json={"holder": "ada", "note": "looking for the heat", "ttl_s": 600})
    page.find(".lease", "ada (looking for the heat) holds the device")
    page.find(".queue tr", "after the lease")


def test_without_a_stream_the_job_is_asked_for(
    device: AgentProcess, worker: FakeWorker, bundle: Path, look: Look
) -> None:
    """All streams are taken by others, so the agent refuses one more with 429."""
    worker.set_actions({"gdws": "hang"})
    job_id = submit(device.client, bundle)
    worker.wait_until_reached()
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_STREAMS):
            client = stack.enter_context(httpx.Client(base_url=device.url, trust_env=False))
            stack.enter_context(client.stream("GET", f"/benchmark/{job_id}/events"))
        page = look(device.url, allowed=("status of 429",))
        page.find(".cell.now", "building the engine")
        device.client.delete(f"/benchmark/{job_id}")
        page.find(".results tr", "cancelled")


def test_an_agent_that_goes_away_is_missed_and_found_again(
    tmp_path: Path, worker: FakeWorker, bundle: Path, look: Look
) -> None:
    with running_agent(tmp_path / "data", worker) as agent_process:
        page = look(agent_process.url, allowed=GONE)
        page.find(".connection", "Connected")
        page.find("h2", "Queue")
        port = agent_process.url.rpartition(":")[2]
    page.find("#lost", "The agent does not answer")
    page.find(".connection", "Not answering")
    with running_agent(tmp_path / "data", worker, f"--port={port}") as again:
        page.gone("#lost")
        submit(again.client, bundle)
        page.find(".results tr", "done")
