"""A benchmark on a made-up agent: what is sent, what is stored, and that nothing measured is lost."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from gdws.device.benchmark import benchmark, failure, is_complete
from gdws.device.client import DeviceClient
from gdws.errors import DeviceProtocolError, DeviceRefused, DeviceUnreachable
from gdws.results.stored import load_result
from gdws_contract.attacks import AttackOptions, AttackRequest
from gdws_contract.problems import Problem
from gdws_contract.profiles import ProfileRequest
from gdws_contract.rest import BenchmarkRequest, BenchmarkResult, Job
from support.benchmark_results import DENSE, KEPT, cell, parity_failed_cell, result
from support.fake_agent import FakeAgent, make_bundle

FIRST = cell(DENSE, DENSE, 1)
SECOND = cell(KEPT, DENSE, 1)
GOES_WELL = [("running", []), ("running", [FIRST]), ("done", [FIRST, SECOND])]


def run(agent: FakeAgent, folder: Path, **options: object) -> BenchmarkResult:
    bundle = folder / "model.gdws"
    model_id = make_bundle(bundle)
    with DeviceClient(agent.url) as device:
        return benchmark(
            device, bundle, BenchmarkRequest(model_id=model_id), out=folder / "result.json", reconnect_s=0, **options
        )


def test_it_sends_submits_follows_and_stores(tmp_path: Path) -> None:
    seen: list[Job] = []
    with FakeAgent(GOES_WELL) as agent:
        measured = run(agent, tmp_path, on_progress=seen.append)
    assert agent.uploads == [(tmp_path / "model.gdws").read_bytes()]
    assert len(agent.requests) == 1
    assert [len(job.cells) for job in seen] == [0, 1, 2]
    assert load_result(tmp_path / "result.json") == measured
    assert not measured.partial
    assert is_complete(measured)
    assert measured.manifest.name == "mnist-preact-resnet"


def test_a_result_that_cannot_be_kept_is_told_once_and_ends_nothing(tmp_path: Path) -> None:
    told: list[OSError] = []
    (tmp_path / "result.json").mkdir()
    with FakeAgent(GOES_WELL) as agent:
        measured = run(agent, tmp_path, on_unwritable=told.append)
    assert is_complete(measured)
    assert [type(each) for each in told] == [IsADirectoryError]
    with FakeAgent(GOES_WELL) as agent, pytest.raises(IsADirectoryError):
        run(agent, tmp_path)


def test_a_disk_that_fills_up_meanwhile_ends_nothing_either(tmp_path: Path) -> None:
    told: list[OSError] = []

    def fill(job: Job) -> None:
        if len(job.cells) == 1:
            (tmp_path / "result.json").unlink(missing_ok=True)
            (tmp_path / "result.json").mkdir()

    with FakeAgent(GOES_WELL) as agent:
        measured = run(agent, tmp_path, on_unwritable=told.append, on_progress=fill)
    assert is_complete(measured)
    assert len(told) == 1
    assert agent.cancelled == []


@pytest.mark.parametrize("status", [404, 410])
def test_a_bundle_that_went_away_meanwhile_is_sent_again(tmp_path: Path, status: int) -> None:
    agent = FakeAgent(GOES_WELL)
    agent.refusal = Problem(type="urn:gdws:problem:model-not-found", title="No such model", status=status)
    agent.refuses_once = True
    with agent:
        assert is_complete(run(agent, tmp_path))
    assert len(agent.uploads) == 2


def test_cells_are_stored_as_they_end(tmp_path: Path) -> None:
    stored: list[tuple[int, bool]] = []

    def look(job: Job) -> None:
        if (tmp_path / "result.json").exists():
            found = load_result(tmp_path / "result.json")
            stored.append((len(found.job.cells), found.partial))

    with FakeAgent([*GOES_WELL[:2], GOES_WELL[1], GOES_WELL[2]]) as agent:
        run(agent, tmp_path, on_progress=look)
    assert (1, True) in stored


@pytest.mark.parametrize(("then", "error"), [("vanish", DeviceUnreachable), ("garbage", DeviceProtocolError)])
def test_an_agent_that_goes_away_leaves_what_is_known(tmp_path: Path, then: str, error: type[Exception]) -> None:
    with FakeAgent(GOES_WELL[:2], then=then) as agent, pytest.raises(error) as caught:
        run(agent, tmp_path)
    assert then == "garbage" or "lost the agent during job job-1" in str(caught.value)
    kept = load_result(tmp_path / "result.json")
    assert kept.partial
    assert kept.job.cells == [FIRST]


def test_an_interrupt_cancels_the_job_and_keeps_the_cells(tmp_path: Path) -> None:
    def interrupt(job: Job) -> None:
        if job.cells:
            raise KeyboardInterrupt

    with FakeAgent(GOES_WELL[:2]) as agent, pytest.raises(KeyboardInterrupt):
        run(agent, tmp_path, on_progress=interrupt)
    assert agent.cancelled == ["job-1"]
    kept = load_result(tmp_path / "result.json")
    assert (kept.partial, kept.job.state, kept.job.cells) == (True, "cancelled", [FIRST])


def test_an_interrupt_while_the_job_is_sent_does_not_leave_it_on_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = DeviceClient.submit

    def submit_and_interrupt(*args: Any, **options: Any) -> Job:
        job = submit(*args, **options)
        signal.raise_signal(signal.SIGINT)
        return job

    monkeypatch.setattr(DeviceClient, "submit", submit_and_interrupt)
    with FakeAgent(GOES_WELL) as agent, pytest.raises(KeyboardInterrupt):
        run(agent, tmp_path)
    assert agent.cancelled == ["job-1"]


def test_a_disk_that_fills_up_cancels_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(measured: BenchmarkResult, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gdws.device.benchmark.save_result", full)
    with FakeAgent(GOES_WELL[:2]) as agent, pytest.raises(OSError, match="No space"):
        run(agent, tmp_path)
    assert agent.cancelled == ["job-1"]


def test_a_result_that_could_not_be_written_is_known_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "result.json").mkdir()
    with FakeAgent(GOES_WELL) as agent, pytest.raises(IsADirectoryError):
        run(agent, tmp_path)
    assert agent.uploads == []


def test_a_refusal_leaves_a_former_result_alone(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text("former")
    agent = FakeAgent(GOES_WELL)
    agent.refusal = Problem(
        type="urn:gdws:problem:unknown-variant",
        title="Unknown",
        status=422,
        detail="no variant 'x'",
        hint="it has dense",
    )
    with agent, pytest.raises(DeviceRefused, match="no variant 'x'"):
        run(agent, tmp_path)
    assert (tmp_path / "result.json").read_text() == "former"


def test_another_interface_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with FakeAgent(GOES_WELL, api_version=2) as agent, pytest.raises(DeviceProtocolError, match="version 2"):
        run(agent, tmp_path)
    assert agent.uploads == []


def test_a_result_is_complete_only_if_every_cell_was_measured() -> None:
    assert is_complete(result([DENSE, KEPT]))
    assert not is_complete(result([DENSE, KEPT], cells=[FIRST, parity_failed_cell(KEPT, 1)]))
    assert not is_complete(result([DENSE, KEPT], cells=[]))
    assert not is_complete(result([DENSE, KEPT], state="interrupted"))


def test_a_job_that_did_not_run_to_its_end_is_a_failure_of_the_device() -> None:
    assert failure(result([DENSE]), "local") is None
    stopped = result([DENSE], state="failed")
    problem = Problem(
        type="urn:gdws:problem:x", title="Broken", status=500, detail="the worker died", hint="see the log"
    )
    stopped = stopped.model_copy(update={"job": stopped.job.model_copy(update={"error": problem})})
    found = failure(stopped, "local")
    assert found is not None
    assert (str(found), found.hint, found.exit_code) == ("the job is failed: the worker died", "see the log", 3)


def test_an_attack_goes_the_same_way(tmp_path: Path) -> None:
    bundle = tmp_path / "model.gdws"
    asked = AttackRequest(model_id=make_bundle(bundle), precisions=["int8"], options=AttackOptions(queries=7))
    with FakeAgent([("done", [FIRST])]) as agent, DeviceClient(agent.url) as device:
        measured = benchmark(device, bundle, asked, out=tmp_path / "a.json", reconnect_s=0)
    assert agent.attacks == [asked]
    assert load_result(tmp_path / "a.json") == measured


def test_an_agent_that_knows_no_attacks_is_not_sent_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "model.gdws"
    asked = AttackRequest(model_id=make_bundle(bundle))
    monkeypatch.setattr("support.fake_agent.API_REVISION", 4)
    refused = pytest.raises(DeviceProtocolError, match="does not support attacks")
    with FakeAgent([("done", [FIRST])]) as agent, DeviceClient(agent.url) as device, refused:
        benchmark(device, bundle, asked)
    assert agent.uploads == agent.attacks == []


def test_a_profile_goes_the_same_way(tmp_path: Path) -> None:
    bundle = tmp_path / "model.gdws"
    asked = ProfileRequest(model_id=make_bundle(bundle), variant="dense")
    with FakeAgent([("done", [FIRST])]) as agent, DeviceClient(agent.url) as device:
        measured = benchmark(device, bundle, asked, out=tmp_path / "p.json", reconnect_s=0)
    assert agent.profiles == [asked]
    assert agent.uploads == [bundle.read_bytes()]
    assert load_result(tmp_path / "p.json") == measured
