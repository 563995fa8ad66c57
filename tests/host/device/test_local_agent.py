"""The agent as a child process: started, found, and never left behind. The children are small scripts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from gdws.device.local_agent import local_agent
from gdws.errors import DeviceUnreachable


def command(tmp_path: Path, body: str) -> list[str]:
    """A child that runs ``body`` with its options in ``sys.argv``."""
    script = tmp_path / "agent.py"
    script.write_text("import json, os, signal, sys, time\n" + textwrap.dedent(body))
    return [sys.executable, str(script)]


GOOD = """
    open(sys.argv[-1] + ".pid", "w").write(str(os.getpid()))
    print(json.dumps({"url": "http://127.0.0.1:1234"}), flush=True)
    sys.stdin.read()
"""


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_agent_serves_within_the_block_and_ends_with_it(tmp_path: Path) -> None:
    with local_agent(tmp_path / "data", command=command(tmp_path, GOOD)) as url:
        assert url == "http://127.0.0.1:1234"
        pid = int((tmp_path / "data.pid").read_text())
        assert is_alive(pid)
    assert not is_alive(pid)


def test_it_is_told_where_to_listen_and_to_end_with_its_parent(tmp_path: Path) -> None:
    body = 'open(sys.argv[-1] + ".argv", "w").write(" ".join(sys.argv[1:]))' + GOOD.replace("\n    ", "\n")
    with local_agent(tmp_path / "data", command=command(tmp_path, body)):
        options = (tmp_path / "data.argv").read_text()
    assert options == f"--host 127.0.0.1 --port 0 --announce --exit-with-parent --data-dir {tmp_path / 'data'}"


def test_it_ends_also_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), local_agent(tmp_path / "data", command=command(tmp_path, GOOD)):
        raise KeyboardInterrupt
    assert not is_alive(int((tmp_path / "data.pid").read_text()))


def test_one_that_does_not_end_by_itself_is_made_to(tmp_path: Path) -> None:
    stubborn = """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open(sys.argv[-1] + ".pid", "w").write(str(os.getpid()))
        print(json.dumps({"url": "http://127.0.0.1:1234"}), flush=True)
        while True:
            signal.pause()
    """
    with local_agent(tmp_path / "data", command=command(tmp_path, stubborn), stop_timeout_s=0.2):
        pid = int((tmp_path / "data.pid").read_text())
    assert not is_alive(pid)


def test_the_interrupt_key_does_not_reach_it(tmp_path: Path) -> None:
    with local_agent(tmp_path / "data", command=command(tmp_path, GOOD)):
        pid = int((tmp_path / "data.pid").read_text())
        assert os.getpgid(pid) != os.getpgid(0)


def test_much_output_does_not_block_it(tmp_path: Path) -> None:
    noisy = """
        print(json.dumps({"url": "http://127.0.0.1:1234"}), flush=True)
        sys.stdout.write("x" * 1_000_000)
        sys.stdout.flush()
        open(sys.argv[-1] + ".done", "w").close()
        sys.stdin.read()
    """
    with local_agent(tmp_path / "data", command=command(tmp_path, noisy), stop_timeout_s=30):
        pass
    assert (tmp_path / "data.done").exists()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("sys.exit('error: fastapi is not installed')", "fastapi is not installed"),
        ("print('listening', flush=True); sys.stdin.read()", "unexpected output b'listening"),
        ("print('[1]', flush=True); sys.stdin.read()", "unexpected output"),
        ("print(json.dumps({'url': None}), flush=True); sys.stdin.read()", "unexpected output"),
    ],
)
def test_one_that_does_not_start_is_quoted(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(DeviceUnreachable, match=message) as caught, local_agent(command=command(tmp_path, body)):
        pytest.fail("it did not start")
    assert "pip install" in (caught.value.hint or "")


def test_one_that_stays_silent_is_given_up(tmp_path: Path) -> None:
    silent = command(tmp_path, "sys.stdin.read()")
    with pytest.raises(DeviceUnreachable, match="was not ready within"), local_agent(
        command=silent, start_timeout_s=0.3
    ):
        pytest.fail("it did not start")


def test_it_does_not_outlive_a_host_that_is_killed(tmp_path: Path) -> None:
    agent = command(tmp_path, GOOD)
    host = f"""
        from pathlib import Path
        from gdws.device.local_agent import local_agent
        with local_agent(Path({str(tmp_path / "data")!r}), command={agent!r}) as url:
            print(url, flush=True)
            sys.stdin.read()
    """
    script = tmp_path / "host.py"
    script.write_text("import sys\n" + textwrap.dedent(host))
    process = subprocess.Popen([sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.readline()
    pid = int((tmp_path / "data.pid").read_text())
    watch = os.pidfd_open(pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    import select

    ended, _, _ = select.select([watch], [], [], 30)
    os.close(watch)
    assert ended


def test_tokens_are_not_passed_on_to_the_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GDWS_TOKEN", "GDWS_AGENT_TOKEN", "GDWS_AGENT_TOKEN_FILE", "GDWS_AGENT_READ_TOKEN"):
        monkeypatch.setenv(name, "secret")
    body = 'open(sys.argv[-1] + ".env", "w").write(str(dict(os.environ)))' + GOOD.replace("\n    ", "\n")
    with local_agent(tmp_path / "data", command=command(tmp_path, body)):
        assert "secret" not in (tmp_path / "data.env").read_text()
