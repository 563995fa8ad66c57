import os
import socket
import threading

import pytest

from gdws_agent.power import jtop_client
from gdws_agent.power.jtop_client import (
    DEFAULT_SOCKET,
    SOCKET_VARIABLE,
    JtopFailed,
    check_socket,
    connect,
    explain,
    requirement,
    socket_path,
)


class JtopException(Exception):
    """As jetson-stats raises it."""


@pytest.fixture
def listening(tmp_path):
    path = tmp_path / "jtop.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        yield path


class TestSocket:
    def test_its_place_can_be_set(self, tmp_path):
        assert socket_path({}) == DEFAULT_SOCKET
        assert socket_path({SOCKET_VARIABLE: ""}) == DEFAULT_SOCKET
        assert socket_path({SOCKET_VARIABLE: str(tmp_path)}) == tmp_path

    def test_a_socket_will_do(self, listening):
        check_socket(listening)

    def test_none_there(self, tmp_path):
        with pytest.raises(
            JtopFailed, match=r"does not exist; .*systemctl restart jtop.*mount the host's /run"
        ) as caught:
            check_socket(tmp_path / "jtop.sock")
        assert SOCKET_VARIABLE in caught.value.hint

    def test_the_folder_that_docker_made(self, tmp_path):
        with pytest.raises(JtopFailed, match=r"is a folder, which Docker makes"):
            check_socket(tmp_path)

    def test_a_file(self, tmp_path):
        path = tmp_path / "jtop.sock"
        path.write_text("")
        with pytest.raises(JtopFailed, match="is not a socket"):
            check_socket(path)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
    def test_closed_to_the_user(self, tmp_path):
        for folder in [tmp_path, *tmp_path.parents]:
            if str(folder).startswith("/tmp/"):
                folder.chmod(0o755)
        path = tmp_path / "jtop.sock"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            path.chmod(0o660)
            os.chown(str(path), 0, 977)
            # os.access asks about the real user, so it must be in a process of its own.
            assert _in_child_as_nobody(lambda: check_socket(path)) == (
                f"{path} is closed to this user, who is not in group 977; "
                'give the container that group (group_add: ["977"]), or: sudo usermod -aG jtop $USER'
            )


def _in_child_as_nobody(action):
    """Return the text of the JtopFailed that ``action`` raises as user nobody."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            action()
        except JtopFailed as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    os.waitpid(child, 0)
    return text


class TestExplanations:
    @pytest.mark.parametrize(
        ("error", "message", "hint"),
        [
            (
                JtopException(
                    "Mismatch version jtop service: [4.2.12] and client: [4.3.2]. Please run:\n\nsudo systemctl restart"
                ),
                "the host's jtop service is of jetson-stats 4.2.12, the client here of 4.3.2",
                'pip install "jetson-stats==4.2.12"',
            ),
            (
                JtopException("Mismatch version jtop service: [7.2.1] and client: [4.3.2]. Please run:\nsudo jtop"),
                "jetson-stats 7.2.1",
                'pip install "jetson-stats~=7.2.0"',
            ),
            (JtopException("Mismatch of Python versions between library and service"), "Python", "JetPack"),
            (JtopException("Authentication with jetson-stats server failed"), "did not accept", "host's version"),
            (
                JtopException("I can't access jtop.service.\nPlease logout or reboot."),
                "closed to this user",
                "group jtop",
            ),
            (
                JtopException("The jtop.service is not active. Please run:\nsudo"),
                "no jtop service listens",
                "restart jtop",
            ),
            (ConnectionResetError(104, "Connection reset by peer"), "no jtop service listens", SOCKET_VARIABLE),
            (ModuleNotFoundError("No module named 'smbus2'"), "does not load: No module named 'smbus2'", "pip install"),
            (KeyError("interval"), "cannot be used: 'interval'", "restart jtop"),
            (EOFError(), "no jtop service listens", "restart jtop"),
        ],
    )
    def test_what_it_means_and_what_to_do(self, error, message, hint, tmp_path):
        failed = explain(error, tmp_path / "jtop.sock")
        assert message in failed.message
        assert hint in failed.hint
        assert str(failed) == f"{failed.message}; {failed.hint}"

    @pytest.mark.parametrize(
        ("service", "wanted"),
        [
            ("4.2.0", "jetson-stats==4.2.0"),
            ("4.2.12", "jetson-stats==4.2.12"),
            ("4.3.0", "jetson-stats~=4.3.0"),
            ("4.10.1", "jetson-stats~=4.10.0"),
            ("7.2.1", "jetson-stats~=7.2.0"),
            ("unknown", "jetson-stats"),
        ],
    )
    def test_what_pip_must_install(self, service, wanted):
        assert requirement(service) == wanted


class Client:
    def __init__(self, start):
        self.start = start
        self.closed = threading.Event()
        self.observers = []

    def attach(self, observer):
        self.observers.append(observer)

    def close(self):
        self.closed.set()


class TestConnecting:
    @pytest.fixture
    def serve(self, listening, monkeypatch):
        """Let a client whose start does ``start`` be made for the socket that is returned."""

        def serve(start):
            client = Client(start)
            monkeypatch.setattr(jtop_client, "installed_version", lambda: "4.3.2")
            monkeypatch.setattr(jtop_client, "make_client", lambda path: client)
            return client

        self.path = listening
        return serve

    def test_a_client_comes_back_started_and_attached(self, serve):
        client = serve(lambda: None)
        assert connect(self.path, print) is client
        assert client.observers == [print]

    def test_what_it_raises_is_explained(self, serve):
        def start():
            raise JtopException("The jtop.service is not active")

        serve(start)
        with pytest.raises(JtopFailed, match="no jtop service listens") as caught:
            connect(self.path, print)
        assert isinstance(caught.value.__cause__, JtopException)

    def test_a_service_that_hangs_is_given_up_and_a_late_client_let_go(self, serve):
        answer = threading.Event()
        client = serve(lambda: answer.wait(60))
        with pytest.raises(JtopFailed, match=r"did not answer within 0\.05 s"):
            connect(self.path, print, timeout_s=0.05)
        assert not client.closed.is_set()
        answer.set()
        assert client.closed.wait(60)

    def test_without_jetson_stats(self, monkeypatch, listening):
        monkeypatch.setattr(jtop_client, "installed_version", lambda: None)
        with pytest.raises(JtopFailed, match="jetson-stats is not installed here"):
            connect(listening, print)
