import urllib.parse

import pytest

from gdws_agent import doctor
from gdws_agent.doctor import Finding
from gdws_agent.first_run.checks.health import check_device, check_doctor, check_token
from gdws_agent.first_run.report import CheckFailed, CheckSkipped
from support.agent_process import running_agent
from support.agents import PATIENCE_S, eventually
from support.first_run import canned_bench

pytestmark = pytest.mark.timeout(2 * PATIENCE_S)
TOKEN = "a-token-of-more-than-twenty-letters"


def bench_beside(agent, tmp_path, **environment):
    """A bench whose settings lead to ``agent``."""
    port = urllib.parse.urlsplit(agent.url).port
    made = canned_bench(tmp_path, environment=environment)
    made.settings = made.settings.model_copy(update={"port": port})
    return made


class TestDoctor:
    @pytest.mark.parametrize(
        ("levels", "status"), [(["ok", "note"], "ok"), (["ok", "warning"], "warning"), (["warning", "fatal"], "failed")]
    )
    def test_the_worst_finding_is_the_result(self, tmp_path, monkeypatch, levels, status):
        findings = [Finding(level, f"subject {level}", "message", f"fix {level}") for level in levels]
        monkeypatch.setattr(doctor, "examine", lambda root, probes: findings)
        outcome = check_doctor(canned_bench(tmp_path))
        assert outcome.status == status
        assert outcome.tables[0].rows == [[level, f"subject {level}", "message"] for level in levels]
        assert outcome.advice == [f"subject {level}: fix {level}" for level in levels if level in ("warning", "fatal")]


class TestToken:
    def test_without_an_agent_it_is_not_looked_at(self, tmp_path):
        with pytest.raises(CheckSkipped, match="no agent answers"):
            check_token(canned_bench(tmp_path))

    def test_an_agent_on_loopback_needs_none(self, tmp_path):
        with running_agent(tmp_path / "data") as agent:
            outcome = check_token(bench_beside(agent, tmp_path))
        assert (outcome.status, "without a token" in outcome.summary) == ("ok", True)

    def test_the_kept_token_is_accepted(self, tmp_path):
        with running_agent(tmp_path / "data", None, "--host=0.0.0.0") as agent:
            outcome = check_token(bench_beside(agent, tmp_path))
            assert outcome.status == "ok"
            (tmp_path / "data/token").chmod(0o644)
            assert check_token(bench_beside(agent, tmp_path)).status == "warning"
        assert (tmp_path / "data/token").read_text().strip() not in outcome.model_dump_json()

    def test_a_token_of_another_agent_is_a_failure(self, tmp_path):
        with running_agent(tmp_path / "data", environment={"GDWS_AGENT_TOKEN": TOKEN}) as agent:
            assert check_token(bench_beside(agent, tmp_path, GDWS_AGENT_TOKEN=TOKEN)).status == "ok"
            for given in ({"GDWS_AGENT_TOKEN": TOKEN + "x"}, {}):
                with pytest.raises(CheckFailed, match="wants a token"):
                    check_token(bench_beside(agent, tmp_path, **given))

    def test_a_token_that_may_not_be_read_is_a_failure_with_the_line_that_can(self, tmp_path, monkeypatch):
        def refuse(*_):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("gdws_agent.first_run.checks.health.find_token", refuse)
        with pytest.raises(CheckFailed, match="Permission denied") as caught:
            check_token(canned_bench(tmp_path))
        assert "exec -u gdws" in caught.value.outcome.advice[0]


class TestDevice:
    def test_without_an_agent_the_device_is_free(self, tmp_path):
        assert check_device(canned_bench(tmp_path)).status == "ok"

    def test_the_lease_of_the_agent_is_held_until_the_end_of_the_run(self, tmp_path):
        with running_agent(tmp_path / "data") as agent:
            made = bench_beside(agent, tmp_path)
            with made.held:
                assert check_device(made).status == "ok"
                assert agent.get("/lease")["lease"]["holder"] == "first-run"
            assert agent.get("/lease")["lease"] is None

    def test_a_job_waits_for_the_end_of_the_run(self, tmp_path, worker, bundle):
        with running_agent(tmp_path / "data", worker) as agent:
            made = bench_beside(agent, tmp_path)
            with made.held:
                check_device(made)
                job = agent.client.post("/benchmark", files={"bundle": ("b.gdws", bundle)}).json()["id"]
                assert agent.get(f"/benchmark/{job}")["waits_for_lease"]
            eventually(lambda: agent.get(f"/benchmark/{job}")["state"] == "done")

    def test_a_device_that_measures_is_not_disturbed_and_its_lease_not_kept(self, tmp_path, worker, bundle):
        worker.set_actions({"dense": "hang"})
        with running_agent(tmp_path / "data", worker) as agent:
            job = agent.client.post("/benchmark", files={"bundle": ("b.gdws", bundle)}).json()["id"]
            worker.wait_until_reached()
            with pytest.raises(CheckFailed, match=job) as caught:
                check_device(bench_beside(agent, tmp_path))
            assert f"/benchmark/{job}'" in caught.value.outcome.advice[0]
            assert agent.get("/lease")["lease"] is None
            assert agent.get(f"/benchmark/{job}")["state"] == "running"

    def test_a_device_that_somebody_else_holds_is_left_to_them(self, tmp_path):
        with running_agent(tmp_path / "data") as agent:
            agent.client.post("/lease", json={"holder": "erika@lab", "ttl_s": 600}).raise_for_status()
            made = bench_beside(agent, tmp_path)
            with pytest.raises(CheckFailed, match="somebody else holds its lease") as caught:
                check_device(made)
        found = caught.value.outcome
        assert f"127.0.0.1:{made.settings.port}/lease?force=true" in found.advice[-1]
        assert "erika" not in found.model_dump_json()

    def test_an_agent_that_does_not_let_itself_be_asked_is_a_failure(self, tmp_path):
        needs_token = running_agent(tmp_path / "data", environment={"GDWS_AGENT_TOKEN": TOKEN})
        with needs_token as agent, pytest.raises(CheckFailed, match="does not let this run ask"):
            check_device(bench_beside(agent, tmp_path))

    def test_what_answers_there_and_is_no_agent_is_none(self, tmp_path):
        import http.server
        import threading

        server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
        server.RequestHandlerClass.log_message = lambda *_: None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            made = canned_bench(tmp_path)
            made.settings = made.settings.model_copy(update={"port": server.server_address[1]})
            assert check_device(made).status == "ok"
        finally:
            server.shutdown()
            server.server_close()
