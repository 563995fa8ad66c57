"""What the measuring process can still do once it is confined. Each case runs in a process of its own."""

import os
import socket
import stat
import subprocess
import sys
import threading
import types

import pytest

from gdws_agent.measuring import confinement, landlock
from gdws_agent.measuring.confinement import outside
from gdws_agent.measuring.messages import WorkOrder
from gdws_contract.rest import Protocol
from support.agents import PATIENCE_S

pytestmark = [
    pytest.mark.timeout(PATIENCE_S),
    pytest.mark.skipif(sys.platform != "linux", reason="confinement is Linux's"),
]
with_landlock = pytest.mark.skipif(
    sys.platform != "linux" or landlock.interface() is None, reason="this kernel has no landlock"
)


@pytest.fixture
def places(tmp_path):
    """An agent's data folder with a bundle, a secret beside it, a worker's folder and an engine cache."""
    for name in ("data/models", "data/scratch/own", "data/cache", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "data/models/a.gdws").write_bytes(b"bundle")
    (tmp_path / "data/models/b.gdws").write_bytes(b"another")
    (tmp_path / "data/token").write_bytes(b"secret")
    (tmp_path / "elsewhere/file").write_bytes(b"public")
    return tmp_path


def confined(places, code, *, home=None, confined=True, **environment):
    """Run ``code`` in a confined process whose only data folder is that of ``places``; return what it printed."""
    order = WorkOrder(
        job_id="job",
        bundle_path=str(places / "data/models/a.gdws"),
        cache_dir=str(places / "data/cache"),
        backend="onnxruntime",
        precision="fp32",
        batch_size=1,
        variants=["dense"],
        protocol=Protocol(),
        private=[str(places / "data")],
        confined=confined,
    )
    script = (
        "import os, sys\nfrom gdws_agent.measuring import confinement\n"
        "from gdws_agent.measuring.messages import WorkOrder\n"
        f"home = {None if home is None else str(home)!r}\n"
        "if home is not None: confinement._homes = lambda: [home]\n"
        f"used = confinement.confine(WorkOrder.model_validate_json({order.model_dump_json()!r}))\n"
        f"p = {str(places)!r}\n"
        "def tried(action):\n"
        "    try: action()\n"
        "    except OSError as error: print(type(error).__name__)\n"
        "    else: print('done')\n"
        f"{code}\n"
    )
    own = str(places / "data/scratch/own")
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "TMPDIR": own, "HOME": own, **environment},
        stdout=subprocess.PIPE,
        check=True,
    )
    return done.stdout.decode().split()


def opened(*paths, mode="r"):
    return "\n".join(f"tried(lambda: open(p + '/{path}', {mode!r}).close())" for path in paths)


class TestEverywhere:
    def test_it_works_in_its_own_folder(self, places):
        assert confined(places, "print(os.getcwd())") == [str((places / "data/scratch/own").resolve())]

    def test_what_it_makes_is_its_own(self, places):
        confined(places, "open('made', 'w').close()")
        assert stat.S_IMODE((places / "data/scratch/own/made").stat().st_mode) == 0o600

    def test_programs_that_it_starts_gain_no_rights(self, places):
        code = "print([line.split()[1] for line in open('/proc/self/status') if line.startswith('NoNewPrivs')][0])"
        assert confined(places, code) == ["1"]

    @pytest.mark.skipif(os.geteuid() != 0, reason="others have none to give up")
    def test_root_keeps_no_more_than_to_use_files_of_others(self, places):
        code = "print(*[line.split()[1] for line in open('/proc/self/status') if line[:6] in ('CapPrm', 'CapEff')])"
        assert set(confined(places, code)) <= {"0000000000000002", "0000000000000000"}
        code = "import subprocess\nsys.stdout.flush()\nsubprocess.run(['grep', 'CapEff', '/proc/self/status'])"
        assert confined(places, code)[1] in ("0000000000000002", "0000000000000000")

    def test_no_other_thread_runs_yet(self, places):
        """One would not be bound."""
        code = "import gdws_agent.measuring.worker\nprint(len(os.listdir('/proc/self/task')))"
        assert confined(places, code) == ["1"]


@with_landlock
class TestLandlock:
    def test_it_is_in_force(self, places):
        assert confined(places, "print(used)") == [str(landlock.interface())]

    def test_of_the_data_folder_it_reads_its_bundle_alone(self, places):
        read = opened("data/models/a.gdws", "data/models/b.gdws", "data/token")
        assert confined(places, read) == ["done", "PermissionError", "PermissionError"]
        assert confined(places, "tried(lambda: os.listdir(p + '/data'))") == ["PermissionError"]

    def test_it_writes_to_its_folder_and_the_cache_alone(self, places):
        written = opened("data/scratch/own/x", "data/cache/x", "data/x", "elsewhere/x", "data/models/a.gdws", mode="a")
        assert confined(places, written) == ["done", "done", *["PermissionError"] * 3]
        code = "tried(lambda: os.replace(p + '/data/cache/x', p + '/data/cache/y'))"
        (places / "data/cache/x").write_bytes(b"")
        assert confined(places, code) == ["done"]

    def test_it_removes_and_cuts_nothing_elsewhere(self, places):
        code = "tried(lambda: os.unlink(p + '/elsewhere/file'))\ntried(lambda: os.truncate(p + '/elsewhere/file', 0))"
        found = confined(places, code)
        assert found[0] == "PermissionError"
        if (landlock.interface() or 0) >= 3:
            assert (places / "elsewhere/file").read_bytes() == b"public"

    def test_public_files_can_be_read(self, places):
        assert confined(places, opened("elsewhere/file") + "\ntried(lambda: open('/proc/cpuinfo').close())") == [
            "done",
            "done",
        ]

    def test_of_a_home_it_reads_libraries_alone(self, places):
        home = places / "home"
        for name in (".ssh", "lib", "packages"):
            (home / name).mkdir(parents=True)
            (home / name / "file").write_bytes(b"")
        (home / "file").write_bytes(b"")
        read = opened("home/.ssh/file", "home/lib/file", "home/packages/file", "home/file")
        found = confined(places, read, home=home, LD_LIBRARY_PATH=str(home / "lib"), PYTHONPATH=str(home / "packages"))
        assert found == ["PermissionError", "done", "done", "PermissionError"]

    def test_a_home_on_the_path_of_python_stays_closed(self, places):
        home = places / "home"
        home.mkdir()
        (home / "key").write_bytes(b"")
        assert confined(places, opened("home/key"), home=home, PYTHONPATH=str(home)) == ["PermissionError"]

    def test_a_link_does_not_lead_to_what_is_closed(self, places):
        (places / "elsewhere/link").symlink_to(places / "data/token")
        (places / "elsewhere/folder").symlink_to(places / "data")
        assert confined(places, opened("elsewhere/link", "elsewhere/folder/token")) == ["PermissionError"] * 2

    def test_the_agent_s_environment_and_memory_are_closed(self, places):
        code = (
            "parent = os.getppid()\n"
            "tried(lambda: open('/proc/%d/environ' % parent).read())\n"
            "tried(lambda: open('/proc/%d/mem' % parent, 'rb').close())"
        )
        assert confined(places, code) == ["PermissionError", "PermissionError"]

    def test_its_devices_are_open(self, places):
        assert confined(places, "tried(lambda: open('/dev/null', 'r+b', 0).write(b'x'))") == ["done"]

    def test_threads_and_children_are_bound_too(self, places):
        code = (
            "import subprocess, threading\n"
            "read = lambda: tried(lambda: open(p + '/data/token').close())\n"
            "thread = threading.Thread(target=read); thread.start(); thread.join()\n"
            "sys.stdout.flush()\n"
            "subprocess.run(['cat', p + '/data/token'])"
        )
        assert confined(places, code) == ["PermissionError"]

    @pytest.mark.skipif((landlock.interface() or 0) < 4, reason="before interface 4 the network is not handled")
    def test_it_connects_nowhere(self, places):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            code = f"import socket\ntried(lambda: socket.create_connection(('127.0.0.1', {port}), 5).close())"
            assert confined(places, code) == ["PermissionError"]

    def test_sockets_of_services_on_this_machine_are_reached(self, places):
        """That of jtop tells power and temperatures."""
        path = str(places / "elsewhere/service")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            server.listen()
            code = f"import socket\ntried(lambda: socket.socket(socket.AF_UNIX).connect({path!r}))"
            assert confined(places, code) == ["done"]

    @pytest.mark.skipif((landlock.interface() or 0) < 6, reason="before interface 6 signals are not handled")
    def test_it_ends_no_other_process(self, places):
        assert confined(places, "tried(lambda: os.kill(os.getppid(), 0))") == ["PermissionError"]


class TestOutside:
    def test_a_folder_without_anything_private_is_one_path(self, tmp_path):
        (tmp_path / "a").mkdir()
        assert list(outside(str(tmp_path), {"/somewhere/else"})) == [str(tmp_path)]

    def test_siblings_are_named_on_the_way_to_what_is_private(self, tmp_path):
        for name in ("a/b/private", "a/c", "d"):
            (tmp_path / name).mkdir(parents=True)
        found = list(outside(str(tmp_path), {str(tmp_path / "a/b/private")}))
        assert found == [str(tmp_path / "a/c"), str(tmp_path / "d")]

    def test_a_private_folder_and_what_is_in_it_have_nothing_outside(self, tmp_path):
        assert list(outside(str(tmp_path), {str(tmp_path)})) == []
        assert list(outside(str(tmp_path / "a"), {str(tmp_path)})) == []

    def test_a_folder_whose_name_begins_alike_is_outside(self, tmp_path):
        (tmp_path / "data2").mkdir()
        assert list(outside(str(tmp_path / "data2"), {str(tmp_path / "data")})) == [str(tmp_path / "data2")]


@pytest.mark.parametrize(
    ("home", "private"),
    [("/srv/jetson", ["/srv/jetson"]), ("/", []), ("/usr/sbin", []), ("/bin", []), ("/dev", []), ("/sys", [])],
)
def test_a_folder_of_the_system_is_nobody_s_home(monkeypatch, home, private):
    monkeypatch.setattr("pwd.getpwuid", lambda _: types.SimpleNamespace(pw_dir=home))
    assert confinement._homes() == private


def test_a_user_without_a_name_has_no_home(monkeypatch):
    def unknown(_):
        raise KeyError("uid not found")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert confinement._homes() == []


def test_a_working_folder_that_is_gone_is_no_reason_to_stop(places, monkeypatch):
    gone = places / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert confined(places, "print(os.getcwd())") == [str((places / "data/scratch/own").resolve())]


def test_without_landlock_the_rest_holds(places):
    code = "print(used, os.getcwd() == os.environ['TMPDIR'])"
    script_landlock_off = "from gdws_agent.measuring import landlock; landlock.interface = lambda: None"
    own = places / "data/scratch/own"
    (own / "sitecustomize.py").write_text(script_landlock_off)
    assert confined(places, code, PYTHONPATH=str(own)) == ["None", "True"]


def test_it_can_be_left_off(places):
    assert confined(places, "print(used)\n" + opened("data/token"), confined=False) == ["None", "done"]


def test_a_kernel_that_refuses_is_told_and_no_reason_to_stop(places, capfd):
    own = places / "data/scratch/own"
    (own / "sitecustomize.py").write_text(
        "from gdws_agent.measuring import landlock\n"
        "def refuse(**paths): raise OSError(7, 'Argument list too long')\n"
        "landlock.restrict = refuse"
    )
    assert confined(places, "print(used)", PYTHONPATH=str(own)) == ["None"]
    assert "this process keeps rights that it does not need" in capfd.readouterr().err


def test_this_process_is_not_confined_by_its_tests():
    assert threading.active_count() >= 1
    with open("/proc/self/status") as status:
        assert "NoNewPrivs:\t0" in status.read()
