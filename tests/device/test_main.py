import contextlib
import http.client
import json
import logging
import os
import signal
import socket
import sqlite3
import subprocess
import sys

import httpx
import psutil
import pytest

from gdws_agent.__main__ import main
from gdws_agent.settings import Settings, option_name, variable_name
from gdws_agent.storage.folder import DataFolder
from gdws_agent.storage.store import Store
from gdws_contract.rest import Health, Job
from support.agent_process import running_agent
from support.agents import PATIENCE_S, eventually, states
from support.bundles import tiny_bundle

pytestmark = pytest.mark.timeout(2 * PATIENCE_S)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for field in Settings.model_fields:
        monkeypatch.delenv(variable_name(field), raising=False)


@pytest.fixture(autouse=True)
def _own_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(autouse=True)
def _own_logging():
    """Take off the handler that the command installs: it writes to a stream that ends with the test."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


# What stops it from starting


def failure(capsys, *options):
    """Run the command, which must not start, and return its exit code and what it says."""
    code = main(list(options))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1, "one line"
    assert said.err.startswith("gdws-agent: ")
    return code, said.err


def test_the_help_names_every_setting_with_its_variable(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])

    text = capsys.readouterr().out
    assert caught.value.code == 0
    for field in Settings.model_fields:
        assert option_name(field) in text
        assert variable_name(field) in text
    assert "exit codes" in text


def test_a_wrong_option_is_told_in_one_line(capsys, data):
    code, said = failure(capsys, "--port", "99999", "--data-dir", str(data))
    assert (code, "--port '99999'" in said) == (2, True)
    assert not data.exists()


def test_a_wrong_variable_is_told_in_one_line(capsys, data, monkeypatch):
    monkeypatch.setenv("GDWS_AGENT_MAX_UPLOAD_MB", "lots")
    code, said = failure(capsys, "--data-dir", str(data))
    assert (code, "GDWS_AGENT_MAX_UPLOAD_MB 'lots'" in said) == (2, True)


def test_a_port_in_use_is_told_in_one_line(capsys, data):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = failure(capsys, "--port", str(port), "--data-dir", str(data))

    assert code == 3
    assert f"port {port} of 127.0.0.1 is in use" in said
    assert "--port" in said


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "a" * 100])
def test_a_host_that_is_not_ours_is_told_in_one_line(capsys, data, host):
    code, said = failure(capsys, "--host", host, "--port", "0", "--data-dir", str(data))
    assert (code, host in said) == (3, True)


def test_a_data_folder_that_cannot_be_made_is_told_in_one_line(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    code, said = failure(capsys, "--port", "0", "--data-dir", str(tmp_path / "file"))
    assert (code, "cannot be used: File exists" in said) == (4, True)


def test_a_data_folder_in_use_is_told_in_one_line(capsys, data):
    with DataFolder(data):
        code, said = failure(capsys, "--port", "0", "--data-dir", str(data))
    assert (code, "in use by another agent" in said) == (4, True)


def test_the_data_of_a_newer_release_is_told_in_one_line(capsys, data):
    with DataFolder(data) as folder:
        Store(folder.database).close()
        connection = sqlite3.connect(str(folder.database))
        connection.execute("PRAGMA user_version = 99")
        connection.close()
    code, said = failure(capsys, "--port", "0", "--data-dir", str(data))
    assert (code, "schema version 99" in said, "upgrade" in said) == (4, True, True)


def test_a_database_that_cannot_be_opened_is_told_in_one_line(capsys, data):
    data.mkdir()
    (data / "agent.db").mkdir()
    code, said = failure(capsys, "--port", "0", "--data-dir", str(data))
    assert (code, "agent.db" in said) == (4, True)


# What it loads


def test_the_server_loads_no_numerics_and_no_runtime():
    script = (
        "import json, sys, gdws_agent.server; from gdws_agent.probes import system_probes;"
        "probes = system_probes(); probes.backends(); probes.power_sensors(); print(json.dumps(sorted(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True).stdout

    loaded = set(json.loads(found))
    assert not {"numpy", "onnxruntime", "onnx", "torch", "onnx2torch", "tensorrt", "torch2trt", "pycuda"} & loaded


# The real process


def test_it_says_where_it_listens_when_it_is_ready(data):
    with running_agent(data) as agent:
        health = Health.model_validate(agent.get("/healthz"))
        device = agent.get("/device")

    assert health.status == "ok"
    assert agent.url.startswith("http://127.0.0.1:")
    assert [backend["name"] for backend in device["backends"]]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_well(data, number):
    with running_agent(data) as agent:
        agent.get("/healthz")
        agent.process.send_signal(number)
        assert agent.wait() == 0
    assert "Traceback" not in agent.log.read_text()


def test_on_another_address_it_makes_tokens_prints_them_once_and_asks_for_them(data):
    printed = []
    for _ in range(2):
        with running_agent(data, None, "--host", "0.0.0.0", "--log-format", "json") as agent:
            port = agent.url.rsplit(":", 1)[1]
            client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S, trust_env=False)
            with client:
                token = (data / "token").read_text().strip()
                bearer = {"authorization": f"Bearer {token}"}
                assert client.get("/healthz").json() == {"status": "ok"}
                assert client.get("/device").status_code == 401
                assert client.get("/device", headers=bearer).status_code == 200
                assert client.get("/metrics", params={"token": token}, headers=bearer).status_code == 200
            printed.append(agent.log.read_text().count(token))
    assert printed == [1, 1], "the log holds both starts"


def test_a_token_that_is_given_is_asked_for_and_not_inherited_by_the_worker(worker, data, bundle, tmp_path):
    worker.set_actions({"dense": "hang"})
    token = "a-token-that-was-given"
    with running_agent(data, worker, environment={"GDWS_AGENT_TOKEN": token}) as agent:
        assert agent.client.get("/device").status_code == 401
        agent.client.headers["authorization"] = f"Bearer {token}"
        submit(agent, bundle)
        worker.wait_until_reached()
        (measuring,) = psutil.Process(agent.process.pid).children()
        assert "GDWS_AGENT_TOKEN" not in measuring.environ()
        assert token not in agent.log.read_text()
    assert not (data / "token").exists()


def test_a_token_that_is_none_is_told_in_one_line(capsys, data, monkeypatch):
    monkeypatch.setenv("GDWS_AGENT_TOKEN", "too short")
    code, said = failure(capsys, "--port", "0", "--data-dir", str(data))
    assert (code, "GDWS_AGENT_TOKEN has no valid token" in said, "too short" in said) == (2, True, False)


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux's")
def test_what_measures_keeps_its_priority_and_what_serves_gives_way(data, bundle, worker):
    worker.set_actions({"dense": "hang"})
    with running_agent(data, worker) as agent:
        submit(agent, bundle)
        worker.wait_until_reached()
        process = psutil.Process(agent.process.pid)
        (measuring,) = process.children()
        assert process.nice() > measuring.nice() == os.getpriority(os.PRIO_PROCESS, 0)


def test_it_ends_with_its_parent(data):
    with running_agent(data, None, "--exit-with-parent") as agent:
        agent.get("/healthz")
        agent.process.stdin.close()
        assert agent.wait() == 0


def test_it_outlives_the_end_of_its_input_when_not_asked_to_watch_it(data):
    with running_agent(data) as agent:
        agent.process.stdin.close()
        agent.get("/healthz")
        agent.process.send_signal(signal.SIGTERM)
        assert agent.wait() == 0


def submit(agent, bundle, **request):
    form = {"bundle": bundle, "request": (None, json.dumps(request))}
    return agent.client.post("/benchmark", files=form).raise_for_status().json()["id"]


def until_final(agent, job_id):
    return Job.model_validate(agent.get(f"/benchmark/{job_id}", params={"wait": PATIENCE_S}))


def test_after_kill_9_no_worker_is_left_and_the_job_goes_on(data, worker, bundle):
    worker.set_actions({"gdws@8": "hang"})
    with running_agent(data, worker) as agent:
        job_id = submit(agent, bundle, batch_sizes=[1, 8])
        worker.wait_until_reached()
        (measuring,) = psutil.Process(agent.process.pid).children()
        agent.process.kill()
        agent.wait()
        psutil.wait_procs([measuring], timeout=PATIENCE_S)
        assert not measuring.is_running() or measuring.status() == psutil.STATUS_ZOMBIE

    worker.set_actions({})
    with running_agent(data, worker) as agent:
        job = until_final(agent, job_id)

    assert job.state == "done"
    assert states(job) == {f"{variant}@{batch}": "done" for variant in ("dense", "gdws") for batch in (1, 8)}
    assert [order["batch_size"] for order in worker.orders()] == [1, 8, 8]
    assert f"job {job_id}: interrupted when the agent died" in agent.log.read_text()


def test_sigterm_lets_held_answers_go_ends_the_worker_and_keeps_the_job(data, worker, bundle):
    worker.set_actions({"gdws": "hang-deaf"})
    with running_agent(data, worker, "--cancel-grace-s", "0.2") as agent:
        job_id = submit(agent, bundle)
        worker.wait_until_reached()
        (measuring,) = psutil.Process(agent.process.pid).children()
        with contextlib.closing(http.client.HTTPConnection(*address(agent), timeout=PATIENCE_S)) as waiting:
            waiting.request("GET", "/healthz")
            waiting.getresponse().read()
            # On a connection that was accepted, what was sent first has been read when the next request is answered.
            waiting.request("GET", f"/benchmark/{job_id}?wait=3600")
            agent.get("/healthz")
            agent.process.send_signal(signal.SIGTERM)
            answer = waiting.getresponse()
            assert answer.status == 200
            assert json.loads(answer.read())["state"] == "running"
        assert agent.wait() == 0
        assert not measuring.is_running()

    worker.set_actions({})
    with running_agent(data, worker) as agent:
        assert until_final(agent, job_id).state == "done"


def connect(agent):
    connection = socket.create_connection(address(agent))
    connection.settimeout(PATIENCE_S)
    return connection


def address(agent):
    host, port = agent.url[len("http://") :].split(":")
    return host, int(port)


def test_an_upload_that_is_cut_off_leaves_nothing_behind(data, bundle):
    with running_agent(data) as agent:
        with connect(agent) as client:
            head = f"POST /models HTTP/1.1\r\nHost: x\r\nContent-Length: {len(bundle)}\r\n\r\n"
            client.sendall(head.encode() + bundle[: len(bundle) // 2])
            eventually(lambda: os.listdir(str(data / "uploads")) != [])
        eventually(lambda: os.listdir(str(data / "uploads")) == [])

        assert agent.get("/models")["models"] == []
        assert os.listdir(str(data / "models")) == []
    assert "Traceback" not in agent.log.read_text()


def test_an_answer_before_the_end_of_a_body_reaches_the_client(data):
    """A client that is still sending must read why it is refused, and not meet a broken connection."""
    with running_agent(data, None, "--max-upload-mb", "1") as agent:
        for body in (bytes(8 * 2**20), (bytes(2**16) for _ in range(128))):
            response = httpx.post(f"{agent.url}/models", content=body, timeout=PATIENCE_S, trust_env=False)
            assert response.status_code == 413
            assert response.json()["type"] == "urn:gdws:problem:body-too-large"


def test_a_real_worker_measures_a_real_network(data, tmp_path):
    pytest.importorskip("onnxruntime")
    bundle = tiny_bundle(tmp_path / "tiny.gdws").read_bytes()
    protocol = {"warmup_ms": 0.0, "warmup_max_ms": 10.0, "min_duration_ms": 20.0, "min_iterations": 10, "rounds": 2}
    with running_agent(data) as agent:
        job = until_final(agent, submit(agent, bundle, protocol=protocol))

    assert states(job) == {"dense@1": "done", "gdws@1": "done"}, job.cells
    assert all(measured.latency.median_ms > 0 for measured in job.cells)


def test_no_other_user_can_read_what_the_agent_keeps(data, bundle, worker):
    """Also where the umask of whoever starts it would let them."""
    with running_agent(data, worker, "--host=0.0.0.0") as agent:
        token = (data / "token").read_text().strip()
        headers = {"authorization": f"Bearer {token}"}
        url = agent.url.replace("0.0.0.0", "127.0.0.1")
        sent = {"bundle": ("tiny.gdws", bundle)}
        httpx.post(f"{url}/benchmark?wait=60", headers=headers, files=sent, trust_env=False).raise_for_status()
        found = {path: path.lstat().st_mode for path in [data, *data.rglob("*")]}
    names = {path.name for path in found}
    assert {"agent.db", "agent.db-wal", "agent.db-shm", "token", "read-token", "lock"} <= names
    assert any(name.endswith(".gdws") for name in names)
    assert {str(path): oct(mode) for path, mode in found.items() if mode & 0o077} == {}


@pytest.mark.skipif(sys.platform != "linux", reason="a call of Linux")
def test_its_memory_is_closed_to_its_user_and_that_of_its_children_is_not():
    dumpable = "import ctypes; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), flush=True)"
    code = (
        "import subprocess, sys; from gdws_agent import __main__ as module; module._keep_others_out()\n"
        f"{dumpable}\nsubprocess.run([sys.executable, '-c', {dumpable!r}], check=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert done.stdout.split() == [b"0", b"1"]
