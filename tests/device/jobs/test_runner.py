import errno
import itertools
import json
import os
import resource
import sys
import threading

import psutil
import pytest

from gdws_agent.jobs.interrupt import Interrupt
from gdws_agent.jobs.runner import run_group
from gdws_agent.measuring.messages import CellEvent, StageEvent, WorkOrder
from gdws_contract.engines import EngineOptions
from gdws_contract.rest import Protocol
from support.agents import PATIENCE_S, FakeWorker, settings_for

pytestmark = pytest.mark.timeout(PATIENCE_S)


def order():
    return WorkOrder(
        job_id="job",
        bundle_path="/b.gdws",
        cache_dir="/c",
        backend="onnxruntime",
        precision="fp32",
        batch_size=1,
        variants=["dense", "gdws"],
        protocol=Protocol(min_duration_ms=0, warmup_max_ms=0),
    )


@pytest.fixture
def interrupt():
    made = Interrupt()
    yield made
    made.close()


@pytest.fixture
def run(tmp_path, interrupt):
    """Return a function that runs a worker with the given actions to its end."""
    numbers = itertools.count()

    def start(actions=None, on_event=lambda event: None, **settings):
        worker = FakeWorker(tmp_path / f"worker-{next(numbers)}", actions)
        return run_group(worker.command, order(), settings_for(tmp_path, **settings), interrupt, on_event)

    return start


def in_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_the_worker_is_told_where_the_jtop_service_is(tmp_path, interrupt):
    code = "import os, sys; print(os.environ['GDWS_AGENT_JTOP_SOCKET']); sys.exit(3)"
    settings = settings_for(tmp_path, jtop_socket="/host/run/jtop.sock")
    ending = run_group([sys.executable, "-c", code], order(), settings, interrupt, lambda event: None)

    assert "/host/run/jtop.sock" in ending.detail


@pytest.mark.parametrize("options", [{"builds": 3}, {"builds": 3, "batch_profile": "measured"}])
def test_a_worker_that_builds_several_engines_has_the_time_for_them(tmp_path, interrupt, options):
    worker = FakeWorker(tmp_path / "worker", {"gdws": "hang"})
    several = order().model_copy(update={"engine": EngineOptions(**options)})
    settings = settings_for(tmp_path, build_timeout_s=0.5)
    ending = run_group(worker.command, several, settings, interrupt, lambda event: None)

    engines = 6 if "batch_profile" in options else 3
    assert f"{0.55 * engines:g} s of silence during stage 'build'" in ending.detail


def test_a_request_may_give_its_builds_less_time_than_the_agent_does(tmp_path, interrupt):
    worker = FakeWorker(tmp_path / "worker", {"gdws": "hang"})
    impatient = order().model_copy(update={"engine": EngineOptions(build_timeout_s=0.2)})
    ending = run_group(worker.command, impatient, settings_for(tmp_path), interrupt, lambda event: None)

    assert "0.22 s of silence during stage 'build'" in ending.detail
    assert "engine.build_timeout_s" in ending.hint


def test_every_event_arrives_in_order(run):
    events = []

    ending = run(on_event=events.append)

    assert ending.kind == "completed"
    stages = [(event.stage, event.variant) for event in events if isinstance(event, StageEvent)]
    assert stages[:3] == [("load", None), ("build", "dense"), ("build", "gdws")]
    cells = [event.cell for event in events if isinstance(event, CellEvent)]
    assert [(cell.key.variant, cell.state) for cell in cells] == [("dense", "done"), ("gdws", "done")]
    assert cells[1].speedup.ratio == 2.0


def test_the_worker_gets_the_order_as_it_is(tmp_path, interrupt):
    worker = FakeWorker(tmp_path / "worker")
    run_group(worker.command, order(), settings_for(tmp_path), interrupt, lambda event: None)

    assert [WorkOrder.model_validate(taken) for taken in worker.orders()] == [order()]


@pytest.mark.parametrize(
    ("action", "kind", "told"),
    [
        ("kill", "crashed", "was killed by SIGKILL during stage 'build'; most likely the system ran out of memory"),
        ("abort", "crashed", "was killed by SIGABRT during stage 'build'; its last words: terminate called after"),
        ("exit", "crashed", "exited with status 3 during stage 'build'; its last words: the driver said no"),
        ("leave-early", "crashed", "exited with status 0"),
        ("chatter", "crashed", "exited with status 5 during stage 'build'; its last words: INFO: chatter"),
        ("garbage", "garbled", "Segmentation fault, not JSON"),
        ("foreign", "garbled", "not asked for"),
        ("close-events", "garbled", "closed its events before it was done"),
    ],
)
def test_a_worker_that_fails_is_judged_by_how(run, action, kind, told):
    ending = run({"gdws": action})

    assert (ending.kind, told in ending.detail) == (kind, True), ending


def test_a_worker_killed_for_memory_gets_the_hint_that_helps(run):
    assert "smaller batch" in (run({"gdws": "kill"}).hint or "")


def test_a_crash_after_the_last_result_is_no_failure(run, caplog):
    assert run({"gdws": "ok-then-die"}).kind == "completed"
    assert "was killed by SIGSEGV after its last result" in caplog.text


def test_a_worker_that_does_not_leave_after_its_last_result_is_ended(run):
    assert run({"gdws": "ok-then-linger"}).kind == "completed"
    assert children() == []


def test_a_worker_that_cannot_be_started_is_a_crash(tmp_path, interrupt):
    ending = run_group(["/nonexistent"], order(), settings_for(tmp_path), interrupt, lambda event: None)

    assert ending.kind == "crashed"
    assert "could not be started" in ending.detail


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors by Linux's files")
def test_a_machine_without_descriptors_is_no_crash_of_the_worker(run):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert run().kind == "completed"
    for spare in range(1, 12):
        used = {int(name) for name in os.listdir("/proc/self/fd")}
        free = (number for number in itertools.count() if number not in used)
        limit = next(itertools.islice(free, spare, None))
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        try:
            ending = run()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert ending.kind in ("unstarted", "completed"), (spare, ending)
        if spare <= 3:
            assert ending.kind == "unstarted"
            assert "Too many open files" in ending.detail
        assert children() == []


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOSPC])
def test_a_machine_without_processes_memory_or_disk_is_no_crash_either(run, monkeypatch, number):
    def refuse(*arguments, **options):
        raise OSError(number, os.strerror(number))

    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr("subprocess.Popen", refuse)
    assert run().kind == "unstarted"
    assert os.listdir("/proc/self/fd") == before


def test_a_worker_that_lacks_something_of_the_machine_says_so(run):
    ending = run({"gdws": "short"})
    assert ending.kind == "machine-short"
    assert "No space left on device" in ending.detail


def test_a_worker_finds_no_secret_and_no_descriptor_but_its_own(tmp_path, interrupt, monkeypatch):
    monkeypatch.setenv("GDWS_TOKEN", "gdws_secret")
    monkeypatch.setenv("CI_JOB_TOKEN", "secret")
    code = (
        "import json, os, sys\n"
        "found = {'fds': sorted(os.listdir('/proc/self/fd')), 'events': sys.argv[-1], 'home': os.environ['HOME'],\n"
        "    'names': [name for name in os.environ if 'TOKEN' in name], 'there': os.listdir(os.environ['TMPDIR'])}\n"
        f"open({str(tmp_path / 'found')!r}, 'w').write(json.dumps(found))"
    )
    with open(str(tmp_path / "open"), "w") as kept:
        os.set_inheritable(kept.fileno(), True)
        command = [sys.executable, "-c", code]
        run_group(command, order(), settings_for(tmp_path), interrupt, lambda event: None)
    found = json.loads((tmp_path / "found").read_text())
    assert (found["names"], found["there"]) == ([], [])
    assert found["home"].startswith(str(tmp_path / "scratch"))
    assert not os.path.exists(found["home"])
    listing = {"3", "4"} - {found["events"]}  # that of the folder of descriptors itself
    assert set(found["fds"]) <= {"0", "1", "2", found["events"], *listing}


@pytest.mark.parametrize("action", ["hang", "hang-deaf"])
def test_a_silent_worker_is_ended_by_the_watchdog(run, action):
    ending = run({"gdws": action}, build_timeout_s=0.3)

    assert ending.kind == "hung"
    assert "0.33 s of silence during stage 'build'" in ending.detail
    assert "--build-timeout-s" in (ending.hint or "")
    assert children() == []


@pytest.mark.parametrize("action", ["hang", "hang-deaf"])
def test_an_interrupt_ends_the_worker(tmp_path, interrupt, action):
    worker = FakeWorker(tmp_path / "worker", {"gdws": action})
    endings, processes = [], []

    def work():
        endings.append(run_group(worker.command, order(), settings_for(tmp_path), interrupt, lambda event: None))

    thread = in_thread(work)
    worker.wait_until_reached()
    processes += children()
    interrupt.request("cancel")
    thread.join(PATIENCE_S)

    assert endings[0].kind == "interrupted"
    assert processes
    assert not any(process.is_running() for process in processes)


def test_no_child_of_the_worker_is_left(tmp_path, interrupt):
    worker = FakeWorker(tmp_path / "worker", {"gdws": "hang-with-child"})
    thread = in_thread(
        lambda: run_group(worker.command, order(), settings_for(tmp_path), interrupt, lambda event: None)
    )
    worker.wait_until_reached()
    grandchild = psutil.Process(int(worker.child_file.read_text()))
    interrupt.request("stop")
    thread.join(PATIENCE_S)

    psutil.wait_procs([grandchild], timeout=PATIENCE_S)
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE


def test_an_interrupt_before_the_start_is_heard(run, interrupt):
    interrupt.request("stop")
    assert run({"gdws": "hang"}).kind == "interrupted"


def test_an_error_while_an_event_is_taken_ends_the_worker(run):
    def refuse(event):
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError):
        run(on_event=refuse)

    assert children() == []


def test_no_descriptor_is_left_open(tmp_path):
    before = os.listdir("/proc/self/fd")
    for actions in ({}, {"gdws": "kill"}, {"gdws": "garbage"}):
        interrupt = Interrupt()
        worker = FakeWorker(tmp_path / "-".join(["worker", *actions.values()]), actions)
        run_group(worker.command, order(), settings_for(tmp_path), interrupt, lambda event: None)
        interrupt.close()

    assert os.listdir("/proc/self/fd") == before


def test_the_worker_is_what_the_kernel_ends_first(tmp_path, interrupt):
    worker = FakeWorker(tmp_path / "worker", {"gdws": "hang"})
    thread = in_thread(
        lambda: run_group(worker.command, order(), settings_for(tmp_path), interrupt, lambda event: None)
    )
    worker.wait_until_reached()
    (process,) = children()
    with open(f"/proc/{process.pid}/oom_score_adj") as file:
        score = int(file.read())
    interrupt.request("stop")
    thread.join(PATIENCE_S)

    assert score == 1000


def test_time_that_is_up_ends_a_wait_and_is_a_reason_like_others():
    interrupt = Interrupt(limit_s=0.01)
    interrupt.wait(10 * PATIENCE_S)
    assert interrupt.reason == "time-limit"
    interrupt.request("cancel")
    assert interrupt.reason == "time-limit"


def test_the_first_reason_of_an_interrupt_holds():
    interrupt = Interrupt()
    interrupt.request("cancel")
    interrupt.request("stop")
    assert interrupt.reason == "cancel"
    interrupt.close()
    interrupt.close()
    interrupt.request("stop")


def children():
    return [process for process in psutil.Process().children() if process.status() != psutil.STATUS_ZOMBIE]
