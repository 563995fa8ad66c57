"""The list of results and the view of one, with its plots and its figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gdws.results.report import summarise
from gdws_contract.attacks import AttackOptions
from gdws_contract.findings import text
from gdws_contract.memory import Memory
from gdws_contract.pacing import PacedResult
from gdws_contract.profiles import ProfileOptions
from gdws_contract.rest import BenchmarkRequest, BenchmarkResult
from support.agent_process import AgentProcess, running_agent
from support.agents import eventually
from support.benchmark_results import (
    CUT,
    DENSE,
    KEPT,
    MODEL_ID,
    SLOW,
    attacked_cell,
    failed_cell,
    jetson_result,
    paced,
    parity_failed_cell,
    profiled_cell,
    result,
)
from support.benchmark_results import cell as measured_cell
from support.browser import Page
from support.optimisations import HOSTILE, least_energy, optimisation
from support.stored_results import store_results

Look = Callable[..., Page]
NETS = [DENSE, KEPT, CUT, SLOW]


def table_of(page: Page, heading: str) -> dict[str, dict[str, str]]:
    """The rows of the table below a heading: network -> column -> text."""
    page.find("h2", heading)
    rows = page.script(
        """
        const heads = [...document.querySelectorAll('h2')];
        const section = heads.find((each) => each.textContent === arguments[0]).parentElement;
        return [...section.querySelectorAll('tbody tr')].map((row) => [
          row.querySelector('th').firstChild.textContent,
          Object.fromEntries([...row.querySelectorAll('td')].map((cell) => [cell.dataset.head, cell.innerText])),
        ]);
        """,
        heading,
    )
    return dict(rows)


def test_results_come_in_pages_and_by_state(show: Look) -> None:
    ended = [result([DENSE, KEPT], label=f"run {number}") for number in range(27)]
    ended.append(result([DENSE, KEPT], label="gone wrong", state="failed", cells=[]))
    page = show(*ended, route="#/results")
    page.find("tbody tr", "gone wrong")
    assert len(page.texts("tbody tr")) == 25
    page.click(".pages a", "Older")
    page.find("tbody tr", "run 2")
    assert len(page.texts("tbody tr")) == 3
    page.click(".pages a", "Newest")
    page.find("tbody tr", "gone wrong")
    page.click("select option", "failed")
    page.until(lambda: page.texts("tbody th a") == ["gone wrong"], "the failed job alone")
    page.driver.back()
    page.until(lambda: len(page.texts("tbody tr")) == 25, "all states again")


def test_an_empty_list_says_what_to_type(device: AgentProcess, look: Look) -> None:
    assert "curl" in look(device.url, "#/results").find(".empty").text


def test_the_table_has_the_figures_of_the_report(show: Look) -> None:
    made = result(NETS, batch_sizes=(1, 8))
    page = show(made)
    for batch in (1, 8):
        rows = table_of(page, f"Batch {batch}, onnxruntime, fp32")
        assert list(rows) == [net.name for net in NETS]
        for cell in (cell for cell in made.job.cells if cell.key.batch_size == batch):
            row, variant = rows[cell.key.variant], made.manifest.variant(cell.key.variant)
            assert cell.latency is not None
            assert variant.evaluation is not None
            assert row["Median"] == text.milliseconds(cell.latency.median_ms)
            assert row["p95"] == text.milliseconds(cell.latency.p95_ms)
            assert row["p99"] == text.milliseconds(cell.latency.p99_ms)
            assert row["FPS"] == text.significant(cell.fps)
            assert row["MACs"].startswith(text.scaled(variant.macs))
            assert row["Parameters"] == text.scaled(variant.parameters)
            assert row["Natural"].startswith(text.percent(variant.evaluation.natural.value))
            assert row["Robust"].startswith(text.percent(variant.evaluation.robust.value))
            assert row["On the device"].split("\n") == ["parity passed", "natural 126/128", "robust 119/128"]
            if cell.speedup is not None:
                told = [text.ratio(cell.speedup.ratio), text.ratio_interval(cell.speedup.interval)]
                assert row["Speed-up"].split("\n") == told
    assert "no power sensor was found" in page.text(".note")


def test_the_verdicts_are_those_of_the_agent_and_of_the_report(tmp_path: Path, look: Look) -> None:
    unknown = replace(KEPT, name="not-evaluated", natural=None, robust=None)
    requests = [BenchmarkRequest(model_id=f"{number:064x}", batch_sizes=[1, 8]) for number in range(4)]
    made = [
        result([DENSE, *nets], batch_sizes=(1, 8), request=request)
        for nets, request in zip(([KEPT, CUT], [CUT], [SLOW], [unknown]), requests, strict=True)
    ]
    ids = store_results(tmp_path / "data", made)
    kinds = set()
    with running_agent(tmp_path / "data") as agent:
        for job_id, each in zip(ids, made, strict=True):
            expected = summarise(each).verdicts
            page = look(agent.url, f"#/results/{job_id}")
            page.find(".verdict")
            assert page.texts(".verdict") == [f"{verdict.title}. {verdict.sentence}" for verdict in expected]
            kinds |= {verdict.kind for verdict in expected}
    assert kinds == {"gain", "trade", "no-gain", "unknown"}


def test_the_plots_say_in_words_what_they_show(show: Look) -> None:
    page = show(result(NETS, batch_sizes=(1, 8)))
    page.find("figure svg")
    accuracy, latency = page.script(
        "return [...document.querySelectorAll('figure svg')].map((each) => each.getAttribute('aria-label'))"
    )
    assert accuracy.startswith("Plot of robust accuracy against images per second at batch 1: dense 490 FPS and 93.9 %")
    assert "batch 8: dense" in latency
    assert len(page.texts(".plot .mark")) == len(NETS)
    assert len(page.texts(".plot .bar")) == 2 * len(NETS)
    inside = page.script(
        """
        return [...document.querySelectorAll('.plot')].every((plot) => {
          const frame = plot.getBoundingClientRect();
          return [...plot.querySelectorAll('text')].every((each) => {
            const box = each.getBoundingClientRect();
            return box.left >= frame.left - 1 && box.right <= frame.right + 1;
          });
        });
        """
    )
    assert inside


def test_what_a_jetson_tells_is_shown_and_marked_as_simulated(show: Look) -> None:
    page = show(jetson_result([DENSE, KEPT], simulated=True))
    rows = table_of(page, "Batch 1, tensorrt, fp16, MAXN")
    assert rows["dense"]["Energy"] == "57.1 mJ\n28.0 W"
    assert page.text("h1 .mark") == "simulated"
    assert page.texts("tbody th .mark") == ["simulated", "simulated"]
    assert "Energy: module power, rail VDD_IN, by ina3221." in page.text("main")
    page.click("summary", "dense, batch 1")
    page.find("dd", "GPU-therm 46.0 to 52.0 °C")


def test_deadlines_and_memory_are_among_the_details(show: Look) -> None:
    found = PacedResult(run=paced(arrivals=2_000, missed=3), waits_by="spins")
    memory = Memory(host_peak_bytes=100 * 2**20, device_reason="the backend runs on the CPU")
    kept = measured_cell(KEPT, DENSE, 1).model_copy(update={"paced": found, "memory": memory})
    made = result([DENSE, KEPT], cells=[measured_cell(DENSE, DENSE, 1), kept])
    page = show(made)
    page.find("h2", "How it was measured")
    told = page.script("return [...document.querySelectorAll('dd')].map((each) => each.textContent)")
    [deadlines] = [words for words in told if "missed" in words]
    assert deadlines.startswith("3 of 2,000 arrivals at 30.0 Hz missed 33.3 ms (0.150 %); 3 in a row at most")
    assert "host 100 MiB at most; device: the backend runs on the CPU" in told


def test_what_was_not_timed_says_why(show: Look) -> None:
    cells = [
        measured_cell(DENSE, DENSE, 1),
        parity_failed_cell(KEPT, 1),
        failed_cell(CUT, 1, "2 GiB asked, 1 GiB free"),
    ]
    rows = table_of(show(result(NETS, cells=cells, state="cancelled")), "Batch 1, onnxruntime, fp32")
    assert rows[KEPT.name]["On the device"].startswith("parity failed")
    assert rows[KEPT.name]["Times"] == "logits differ by 0.31 of the largest, more than 0.001"
    assert rows[CUT.name]["Times"] == "2 GiB asked, 1 GiB free"
    assert rows[SLOW.name]["Times"] == "the job was cancelled first"


def test_without_its_bundle_a_result_still_has_its_times(show: Look) -> None:
    page = show(result([DENSE, KEPT]), manifests=False, allowed=("status of 404",))
    rows = table_of(page, "Batch 1, onnxruntime, fp32")
    assert "The bundle is no longer stored" in page.text("main")
    assert (rows["dense"]["Robust"], rows["dense"]["Median"]) == ("–", "2.00 ms")
    assert rows[KEPT.name]["Speed-up"].startswith("1.33×")


def test_a_profile_shows_its_layers(show: Look) -> None:
    profiled = result([DENSE], cells=[profiled_cell(DENSE)])
    asked = profiled.job.request.model_copy(update={"profile": ProfileOptions(iterations=50)})
    profiled = profiled.model_copy(update={"job": profiled.job.model_copy(update={"request": asked})})
    rows = table_of(show(profiled), "dense at batch 1, onnxruntime, fp32")
    assert rows["conv1/Conv"] == {"From": "conv1", "Kind": "Conv", "Time": "0.750 ms", "Share": "75.0 %"}


def test_an_attack_shows_what_engines_withstand(show: Look) -> None:
    cells = [attacked_cell(DENSE, 20), attacked_cell(KEPT, 45), failed_cell(CUT, 1, "2 GiB asked, 1 GiB free")]
    request = BenchmarkRequest(model_id=MODEL_ID, attack=AttackOptions(queries=1000))
    page = show(result([DENSE, KEPT, CUT], cells=cells, request=request))
    rows = table_of(page, "Attacks at batch 1, onnxruntime, fp32")
    shown = page.text("main")
    assert "at most this share of 100 images is robust" in shown
    assert "2 GiB asked, 1 GiB free" in shown
    assert rows["dense"]["Under the attack"] == "≤ 80.0 %\n71.1 % to 86.7 %"
    assert rows["dense"]["Against"] == "–"
    assert rows[KEPT.name]["Against"].startswith("dense: −25.0")


def test_a_result_is_saved_as_the_report_reads_it(tmp_path: Path, downloads: Path, look: Look) -> None:
    made = result([DENSE, KEPT])
    (job_id,) = store_results(tmp_path / "data", [made])
    with running_agent(tmp_path / "data") as agent:
        page = look(agent.url, f"#/results/{job_id}")
        page.click("button", "Save result.json")
        saved = downloads / f"result-{job_id}.json"
        eventually(saved.exists)
        found = BenchmarkResult.model_validate_json(saved.read_text())
        assert (
            found.job.model_dump()
            == BenchmarkResult.model_validate(
                {**found.model_dump(), "job": agent.get(f"/benchmark/{job_id}")}
            ).job.model_dump()
        )
        assert found.manifest == made.manifest


def test_a_real_measurement_is_shown_as_it_is(tmp_path: Path, bundle: Path, look: Look) -> None:
    """With the real worker: what the page shows is what the interface answers."""
    with running_agent(tmp_path / "data") as agent:
        form = {"request": '{"protocol": {"min_duration_ms": 20, "warmup_ms": 1, "min_iterations": 20}}'}
        job = agent.client.post("/benchmark?wait=100", files={"bundle": bundle.read_bytes()}, data=form).json()
        assert job["state"] == "done", job
        rows = table_of(look(agent.url, f"#/results/{job['id']}"), "Batch 1, onnxruntime, fp32")
    medians = {cell["key"]["variant"]: text.milliseconds(cell["latency"]["median_ms"]) for cell in job["cells"]}
    assert {name: row["Median"] for name, row in rows.items()} == medians


@pytest.mark.parametrize(
    "route", ["#/results/nope", f"#/results/{MODEL_ID}", "#/results/a/b", "#/elsewhere", "#/results/%zz"]
)
def test_an_address_of_nothing_says_so(device: AgentProcess, look: Look, route: str) -> None:
    page = look(device.url, route, allowed=("status of 404", "status of 422"))
    page.until(lambda: page.texts("h1")[:1] in (["This did not work"], ["There is no such page"]), "an error")
    page.click("main a", "To the device")
    page.find("h2", "Right now")


def test_energy_against_latency_is_drawn_for_every_power_mode(show: Look) -> None:
    measured = result([DENSE, KEPT])
    found = optimisation(unit="mJ", energy=least_energy())
    manifest = measured.manifest.model_copy(update={"optimisation": found})
    page = show(measured.model_copy(update={"manifest": manifest}))
    page.find("[data-key=optimisation] .legend li", "power mode MODE_15W")
    label = page.script("return document.querySelector('[data-key=optimisation] svg').getAttribute('aria-label')")
    assert label.endswith("Chosen: plan-aa in power mode MODE_15W.")
    assert "dense in power mode MAXN 22.0 ms, 600 mJ" in label
    assert len(page.texts("[data-key=optimisation] svg:first-of-type .limit")) >= 1
    page.find("figcaption", "the gain in energy")


def test_a_bundle_that_was_planned_shows_the_search(show: Look) -> None:
    measured = result([DENSE, KEPT])
    found = optimisation(summary=["delivered: 1.90 times as fast as dense."])
    manifest = measured.manifest.model_copy(update={"optimisation": found})
    page = show(measured.model_copy(update={"manifest": manifest}))
    rows = table_of(page, f"Planned for: {found.goal}")
    assert rows[HOSTILE]["Why"] == "saves 0.3 ms"
    assert (rows["b"]["Now, ms"], rows["b"]["Error"]) == ("–", "–")
    page.find("p", "delivered: 1.90 times as fast as dense.")
    label = page.script("return document.querySelector('[data-key=optimisation] svg').getAttribute('aria-label')")
    assert "aa 1.90×, −0.4 points" in label
