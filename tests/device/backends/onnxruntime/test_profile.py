import json
from pathlib import Path

import pytest

from gdws_agent.backends.onnxruntime.profile import count_providers, node_events, profile_nodes
from gdws_agent.errors import RunFailed


def run_event(ts):
    return {"cat": "Session", "name": "model_run", "ts": ts, "dur": 9}


def node_event(ts, name, dur, index=0, **args):
    return {
        "cat": "Node",
        "name": f"{name}_kernel_time",
        "ts": ts,
        "dur": dur,
        "args": {"op_name": "Conv", "node_index": str(index), **args},
    }


NOISE = [
    {"cat": "Session", "name": "session_initialization", "ts": 0, "dur": 100},
    {"cat": "Session", "name": "SequentialExecutor::Execute", "ts": 11, "dur": 8},
    {"cat": "Node", "name": "a_fence_before", "ts": 12, "dur": 50, "args": {}},
]


def test_only_nodes_of_the_counted_runs_are_taken_in_their_order():
    events = [
        *NOISE,
        run_event(30),
        node_event(33, "b", 2000, 1),
        node_event(31, "a", 1000),
        run_event(10),
        node_event(12, "a", 9_000_000),
    ]
    found = node_events(events, skipped=1, runs=1)

    assert [(node.name, kind, ms) for node, kind, ms in found] == [("a", "Conv", 1.0), ("b", "Conv", 2.0)]


@pytest.mark.parametrize("runs", [0, 1, 3])
def test_a_profile_that_is_cut_off_is_refused(runs):
    with pytest.raises(RunFailed, match=f"{runs} runs of 2"):
        node_events([run_event(ts) for ts in range(runs)], skipped=1, runs=1)


class Session:
    """Writes a profile in which a node takes as many milliseconds as there were runs before."""

    def __init__(self, prefix, text=None, provider="CPUExecutionProvider"):
        self.path, self.text, self.provider, self.runs = Path(f"{prefix}.json"), text, provider, 0

    def run(self, outputs, feed):
        assert (outputs, feed) == (["logits"], {"input": 1})
        self.runs += 1

    def end_profiling(self):
        events = []
        for run in range(self.runs):
            events += [run_event(10 * run), node_event(10 * run + 1, "a", 1000 * run, provider=self.provider)]
        self.path.write_text(json.dumps(events) if self.text is None else self.text)
        return str(self.path)


def test_times_are_added_up_without_the_first_runs():
    timed = profile_nodes(Session, ["logits"], {"input": 1}, iterations=2)

    assert [(node.name, node.kind, node.total_ms) for node in timed] == [("a", "Conv", 3.0 + 4.0)]


def test_many_iterations_take_many_sessions():
    sessions = []

    def make(prefix):
        sessions.append(Session(prefix))
        return sessions[-1]

    profile_nodes(make, ["logits"], {"input": 1}, iterations=120)

    assert [session.runs for session in sessions] == [53, 53, 23]
    assert not any(session.path.exists() for session in sessions)


def test_providers_are_counted():
    counts = count_providers(lambda prefix: Session(prefix, provider="X"), ["logits"], {"input": 1})

    assert dict(counts) == {"X": 1}


@pytest.mark.parametrize("text", ["", "[{"])
def test_a_profile_that_cannot_be_read_is_an_error(text):
    with pytest.raises(RunFailed, match="cannot be read"):
        profile_nodes(lambda prefix: Session(prefix, text=text), ["logits"], {"input": 1}, iterations=1)
