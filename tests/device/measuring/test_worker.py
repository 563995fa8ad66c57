"""The worker as the agent sees it: a process with three pipes."""

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from gdws_agent.machine import MachineShort
from gdws_agent.measuring import worker as worker_module
from gdws_agent.measuring.messages import CellEvent, StageEvent, WorkOrder, parse_event
from gdws_agent.measuring.worker import EXIT_AGENT_GONE, EXIT_MACHINE_SHORT, EXIT_UNREADABLE, measure
from gdws_contract.archive_writer import write_bundle
from gdws_contract.rest import Protocol
from support.bundles import tiny_bundle, tiny_parts, write_unchecked

VARIANTS = ["dense", "gdws"]
PROTOCOL = Protocol(warmup_ms=1, warmup_max_ms=50, min_duration_ms=30, min_iterations=20, rounds=3)
PATIENCE_S = 60


def asked(path, **changes):
    fields = {
        "job_id": "job",
        "bundle_path": str(path),
        "cache_dir": str(path.parent),
        "backend": "onnxruntime",
        "precision": "fp32",
        "batch_size": 1,
        "variants": VARIANTS,
        "protocol": PROTOCOL,
        **changes,
    }
    return WorkOrder(**fields)


def order(path, **changes):
    return asked(path, **changes).model_dump_json().encode() + b"\n"


def measured(path, **changes):
    """Return {variant: cell} of an order that is measured in this process: what needs none of its own."""
    events = []
    measure(asked(path, **changes), events.append)
    return cells(events)


def failing_at(name):
    """A network that is well-formed, and fails where it is run, in a node of that name."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    seven = helper.make_tensor("shape", onnx.TensorProto.INT64, [2], [-1, 7])
    nodes = [
        helper.make_node("Reshape", ["input", "shape"], ["seven"], name=name),
        helper.make_node("ReduceSum", ["seven"], ["sum"], keepdims=0),
        helper.make_node("GlobalAveragePool", ["input"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Concat", ["flat", "flat"], ["four"], axis=1),
        helper.make_node("Add", ["four", "sum"], ["logits"]),
    ]
    ends = [
        helper.make_tensor_value_info(*end) for end in (("input", kind, ["b", 2, 8, 8]), ("logits", kind, ["b", 4]))
    ]
    graph = helper.make_graph(nodes, "fails", ends[:1], ends[1:], [seven])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


class Worker:
    """A running worker; the agent's ends of its pipes."""

    def __init__(self, prelude=None):
        reader, writer = os.pipe()
        entry = ["-m", "gdws_agent.measuring.worker"]
        if prelude is not None:
            entry = [
                "-c",
                f"{prelude}\nimport sys\nfrom gdws_agent.measuring import worker\nsys.exit(worker.main(sys.argv[1:]))",
            ]
        self.process = subprocess.Popen(
            [sys.executable, *entry, "--events-fd", str(writer)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(writer,),
        )
        os.close(writer)
        self.lines = os.fdopen(reader, "rb")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr, self.lines):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def send(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def next_event(self):
        return parse_event(self.lines.readline())

    def finish(self):
        """Return every event that is left, the exit status, and what was printed on both streams."""
        events = [parse_event(line) for line in self.lines]
        status = self.process.wait(PATIENCE_S)
        return events, status, self.process.stdout.read(), self.process.stderr.read()


def run(data, prelude=None):
    with Worker(prelude) as worker:
        worker.send(data)
        return worker.finish()


def cells(events):
    return {event.cell.key.variant: event.cell for event in events if isinstance(event, CellEvent)}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("worker") / "tiny.gdws")


class TestRun:
    def test_an_order_becomes_cells(self, path):
        pytest.importorskip("onnxruntime")
        events, status, printed, said = run(order(path))
        assert (status, printed, said) == (0, b"", b"")
        assert isinstance(events[0], StageEvent)
        assert {variant: cell.state for variant, cell in cells(events).items()} == dict.fromkeys(VARIANTS, "done")
        cell = cells(events)["gdws"]
        assert cell.parity is not None
        assert cell.parity.passed
        assert cell.latency is not None
        assert cell.latency.count >= 20
        assert cell.speedup is not None

    def test_each_fault_ends_its_cell_alone(self, tmp_path):
        pytest.importorskip("onnxruntime")
        faults = {
            "a": "wrong-logits",
            "b": "nan",
            "c": "huge",
            "d": "unknown-operator",
            "e": "not-onnx",
            "f": "wrong-shape",
            "g": "new-opset",
        }
        variants = ["dense", *faults, "gdws"]
        faulty = tiny_bundle(tmp_path / "faulty.gdws", variants=variants, faults=faults)
        events, status, _, said = run(order(faulty, variants=variants))
        assert status == 0
        ended = cells(events)
        states = {variant: cell.state for variant, cell in ended.items()}
        assert states == {
            **dict.fromkeys("ab", "parity_failed"),
            **dict.fromkeys("cdefg", "failed"),
            "dense": "done",
            "gdws": "done",
        }
        codes = {variant: ended[variant].error.code for variant in "cdefg"}
        assert codes == {
            "c": "out-of-memory",
            "d": "bundle-unsafe",
            "e": "bundle-unreadable",
            **dict.fromkeys("fg", "build-failed"),
        }
        assert b"Traceback" not in said

    def test_a_batch_too_large_for_memory(self, tmp_path):
        pytest.importorskip("onnxruntime")
        heavy = tiny_bundle(tmp_path / "heavy.gdws", faults={"gdws": "huge-batch"})
        ended = cells(run(order(heavy, batch_size=8))[0])
        assert ended["dense"].state == "done"
        assert ended["gdws"].error.code == "out-of-memory"
        assert "smaller batch" in ended["gdws"].error.hint


class TestHostileNetworks:
    """What no agent takes when it is uploaded is refused by the worker as well."""

    @pytest.mark.parametrize("backend", ["onnxruntime", "pytorch"])
    @pytest.mark.parametrize("location", ["absolute", "below", "above"])
    def test_external_data_outside_the_bundle_is_not_read(self, tmp_path, backend, location):
        pytest.importorskip("onnx")
        from support.hostile_onnx import reading

        (tmp_path / "secret").write_bytes(b"\x07")
        place = {"absolute": str(tmp_path / "secret"), "below": "secret", "above": f"../{tmp_path.name}/secret"}
        fields, members = tiny_parts()
        members["variants/gdws/model.onnx"] = reading(place[location], 1)
        write_unchecked(tmp_path / "evil.gdws", fields, members)
        ended = measured(tmp_path / "evil.gdws", backend=backend, variants=["gdws"])
        assert ended["gdws"].error.code == "bundle-unsafe"
        assert ended["gdws"].parity is None

    def test_this_runtime_reads_external_data_unless_prevented(self, tmp_path, monkeypatch):
        """Or else the test above shows nothing."""
        runtime = pytest.importorskip("onnxruntime")
        pytest.importorskip("onnx")
        from support.hostile_onnx import reading

        (tmp_path / "secret").write_bytes(b"\x07")
        monkeypatch.chdir(tmp_path)
        session = runtime.InferenceSession(reading("secret", 1), providers=["CPUExecutionProvider"])
        zeros = np.zeros((1, 2, 8, 8), np.float32)
        assert session.run(None, {"input": zeros})[0].tolist() == [[7.0] * 4]


class TestCannotBegin:
    @pytest.mark.parametrize(
        ("changes", "code"),
        [({"backend": "warp"}, "unknown-backend"), ({"power_sensor": "dynamo"}, "internal-error")],
    )
    def test_an_unknown_name(self, path, changes, code):
        found = measured(path, **changes)
        assert {variant: cell.error.code for variant, cell in found.items()} == dict.fromkeys(VARIANTS, code)

    def test_a_file_that_is_no_bundle(self, tmp_path):
        bad = tmp_path / "bad.gdws"
        bad.write_bytes(b"PK not really")
        found = measured(bad)
        assert {cell.error.code for cell in found.values()} == {"bundle-unreadable"}
        assert set(found) == set(VARIANTS)

    def test_a_file_that_is_gone(self, tmp_path):
        assert all("FileNotFoundError" in cell.error.detail for cell in measured(tmp_path / "gone.gdws").values())

    @pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOSPC])
    def test_a_machine_that_lacks_something_ends_no_cell(self, path, monkeypatch, number):
        def refuse(path):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(worker_module, "open_bundle", refuse)
        events = []
        with pytest.raises(MachineShort, match=os.strerror(number)):
            measure(asked(path), events.append)
        assert events == []

    @pytest.mark.parametrize("stage", ["build", "bind"])
    def test_a_shortage_during_a_sweep_ends_no_cell(self, path, stage):
        pytest.importorskip("onnxruntime")
        prelude = (
            "import os\nfrom gdws_agent.backends.onnxruntime import cpu as module\n"
            "def refuse(*_): raise OSError(28, os.strerror(28))\n"
            f"owner = module.OnnxRuntimeBackend if {stage!r} == 'build' else module.OnnxRuntimeEngine\n"
            f"owner.{stage} = refuse"
        )
        events, status, _, said = run(order(path), prelude)
        assert (cells(events), status) == ({}, EXIT_MACHINE_SHORT)
        assert b"dense: [Errno 28] No space left on device" in said

    def test_a_network_that_only_speaks_of_such_a_lack_fails_by_itself(self, tmp_path):
        pytest.importorskip("onnxruntime")
        fields, members = tiny_parts(net="linear")
        entry = fields["variants"][1]
        members[entry.onnx] = failing_at("No space left on device")
        write_bundle(tmp_path / "talks.gdws", fields, members)
        found = measured(tmp_path / "talks.gdws")
        assert {name: cell.state for name, cell in found.items()} == {"dense": "done", "gdws": "failed"}
        assert "No space left on device" in found["gdws"].error.detail

    @pytest.mark.parametrize("data", [b"garbage\n", b"{}\n", b"\xff\xfe\n", b"[" * 100_000 + b"\n"])
    def test_an_order_that_cannot_be_read(self, data):
        events, status, _, said = run(data)
        assert (events, status) == ([], EXIT_UNREADABLE)
        assert b"the order cannot be read" in said

    def test_no_order_at_all(self):
        with Worker() as worker:
            worker.process.stdin.close()
            events, status, _, said = worker.finish()
        assert (events, status) == ([], EXIT_UNREADABLE)
        assert b"the order cannot be read" in said

    @pytest.mark.parametrize("arguments", [[], ["--events-fd", "1"], ["--events-fd", "x"]])
    def test_a_wrong_command_line(self, arguments):
        command = [sys.executable, "-m", "gdws_agent.measuring.worker", *arguments]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == EXIT_UNREADABLE
        assert b"--events-fd" in done.stderr

    def test_a_descriptor_that_is_not_open(self):
        command = [sys.executable, "-m", "gdws_agent.measuring.worker", "--events-fd", "99"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == EXIT_UNREADABLE
        assert b"99" in done.stderr


class TestTheAgentGoes:
    def test_while_an_inference_hangs(self, tmp_path):
        pytest.importorskip("onnxruntime")
        slow = tiny_bundle(tmp_path / "slow.gdws", faults={"gdws": "slow"})
        with Worker() as worker:
            worker.send(order(slow))
            while (worker.next_event().stage, worker.process.poll()) != ("parity", None):
                pass
            worker.process.stdin.close()
            assert worker.process.wait(PATIENCE_S) == EXIT_AGENT_GONE

    def test_it_ends_when_nobody_reads_the_events(self, path):
        pytest.importorskip("onnxruntime")
        with Worker() as worker:
            worker.lines.close()
            with contextlib.suppress(BrokenPipeError):
                worker.send(order(path))
            assert worker.process.wait(PATIENCE_S) == EXIT_AGENT_GONE


class TestTheProcess:
    def test_what_is_printed_does_not_reach_the_events(self, path):
        prelude = (
            "import os\nfrom gdws_agent.measuring import worker\n"
            "measure = worker.measure\n"
            "def noisy(order, emit, gauge):\n"
            "    print('from python', flush=True)\n    os.write(1, b'from an SDK')\n    measure(order, emit, gauge)\n"
            "worker.measure = noisy"
        )
        events, status, printed, said = run(order(path, backend="warp"), prelude)
        assert (status, printed) == (0, b"")
        assert b"from python" in said
        assert b"from an SDK" in said
        assert set(cells(events)) == set(VARIANTS)

    def test_its_children_do_not_hold_the_events_open(self, path):
        prelude = (
            "import os, sys\nfrom gdws_agent.measuring import worker\n"
            "def check(order, emit, gauge):\n    print(os.get_inheritable(int(sys.argv[-1])), flush=True)\n"
            "worker.measure = check"
        )
        assert run(order(path), prelude)[3] == b"False\n"

    def test_an_interrupt_from_the_terminal_is_left_to_the_agent(self, path):
        pytest.importorskip("onnxruntime")
        with Worker() as worker:
            worker.send(order(path))
            first = worker.next_event()
            worker.process.send_signal(signal.SIGINT)
            events, status, _, _ = worker.finish()
        assert status == 0
        assert set(cells([first, *events])) == set(VARIANTS)

    @pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
    def test_memory_beyond_what_is_free_is_refused(self):
        code = (
            "import types, psutil, numpy\nfrom gdws_agent.measuring import worker\n"
            "psutil.virtual_memory = lambda: types.SimpleNamespace(available=64 * 2**20)\n"
            "worker._limit_memory()\n"
            "numpy.ones(2**20)\n"
            "try:\n    numpy.ones(16 * 2**20)\nexcept MemoryError:\n    print('refused')"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=PATIENCE_S, check=True)
        assert done.stdout == b"refused\n"

    def test_every_line_is_json_without_nan(self, tmp_path):
        pytest.importorskip("onnxruntime")
        faulty = tiny_bundle(tmp_path / "nan.gdws", faults={"gdws": "nan"})
        with Worker() as worker:
            worker.send(order(faulty))
            lines = worker.lines.readlines()
        assert len(lines) > 3

        def refuse(text):
            raise AssertionError(text)

        for line in lines:
            json.loads(line, parse_constant=refuse)
