from types import SimpleNamespace

import pytest

from gdws_agent.backends.torch.eager import EagerNetwork, Node
from gdws_agent.backends.torch.profile import Clock, cuda_clock, host_clock, profile_calls
from support.fake_cuda_torch import CudaTorch, Misuse

torch = pytest.importorskip("torch", reason="torch is not installed here")
fx = pytest.importorskip("torch.fx")


def network(*children):
    """A chain of modules, one call each, known by the nodes ``n0``, ``n1``, ..."""
    root, graph = torch.nn.Module(), fx.Graph()
    value = graph.placeholder("images")
    for index, child in enumerate(children):
        root.add_module(f"t{index}", child)
        value = graph.call_module(f"t{index}", (value,))
    graph.output(value)
    nodes = {f"t{index}": Node(f"n{index}", "Op") for index in range(len(children))}
    return EagerNetwork(fx.GraphModule(root, graph), nodes, ("logits",))


class Ticking:
    """A clock that goes on by one at each mark, and asks to be waited for."""

    def __init__(self):
        self.now, self.settled = 0, 0

    def clock(self):
        return Clock(mark=self.mark, settle=self.settle, between=lambda start, end: end - start)

    def mark(self):
        self.now += 1
        return self.now

    def settle(self):
        self.settled += 1


def test_each_call_is_timed_in_its_order_and_the_first_runs_are_not():
    ticking, runs = Ticking(), []
    called = network(torch.nn.Identity(), torch.nn.ReLU())

    def run():
        runs.append(ticking.now)
        called.module(torch.ones(1))

    timed = profile_calls(called, run, 5, ticking.clock())

    assert [(layer.name, layer.kind, layer.total_ms) for layer in timed] == [("n0", "Op", 5), ("n1", "Op", 5)]
    assert runs == [0, 0, 0, 0, 4, 8, 12, 16]
    assert ticking.settled == 5


def test_calls_of_a_nodeless_module_are_known_by_their_kind():
    called = network(torch.nn.ReLU())._replace(nodes={})
    (layer,) = profile_calls(called, lambda: called.module(torch.ones(1)), 1, Ticking().clock())

    assert (layer.name, layer.kind) == ("t0", "ReLU")


def test_hooks_are_gone_afterwards_also_after_a_failure():
    called = network(torch.nn.ReLU())
    runs = []

    def run():
        runs.append(1)
        if len(runs) > 4:
            raise RuntimeError("lost")
        called.module(torch.ones(1))

    with pytest.raises(RuntimeError, match="lost"):
        profile_calls(called, run, 5, Ticking().clock())
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in called.module.modules())


def test_the_hosts_clock_is_in_milliseconds():
    clock = host_clock()
    assert clock.between(1_000_000, 3_500_000) == 2.5
    assert clock.between(clock.mark(), clock.mark()) >= 0


def test_the_gpus_clock_must_be_waited_for():
    clock = cuda_clock(CudaTorch())
    start, end = clock.mark(), clock.mark()
    with pytest.raises(Misuse):
        clock.between(start, end)
    clock.settle()
    assert clock.between(start, end) >= 0


def test_the_gpus_events_are_made_with_timing():
    made = []
    cuda = SimpleNamespace(Event=lambda **options: made.append(options) or SimpleNamespace(record=lambda: None))
    cuda_clock(SimpleNamespace(cuda=cuda)).mark()
    assert made == [{"enable_timing": True}]
