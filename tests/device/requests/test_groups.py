import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdws_agent.requests.groups import Group, count_cells, plan_groups, to_blame, variants_to_run
from gdws_contract.rest import BenchmarkRequest
from support.agents import cell, resolved

MODEL = "0" * 64
GROUP = Group("onnxruntime", "fp32", 1, ("dense", "a", "b"))


def test_groups_are_the_product_of_all_but_the_variants():
    request = resolved(MODEL, backends=["x", "y"], precisions=["fp32", "fp16"], batch_sizes=[1, 8])

    groups = list(plan_groups(request))

    assert [group[:3] for group in groups[:3]] == [("x", "fp32", 1), ("x", "fp32", 8), ("x", "fp16", 1)]
    assert len(groups) == 8
    assert all(group.variants == ("dense", "gdws") for group in groups)
    assert count_cells(request) == 16


def test_a_request_that_is_not_resolved_has_no_groups():
    with pytest.raises(ValueError, match="resolved"):
        list(plan_groups(BenchmarkRequest(model_id=MODEL)))


def test_states_are_those_of_the_groups_own_cells():
    cells = [cell("dense"), cell("a", "failed"), cell("b", batch_size=8), cell("b", backend="other")]

    assert GROUP.states(cells) == {"dense": "done", "a": "failed"}


@pytest.mark.parametrize(
    ("states", "given_up", "expected"),
    [
        ({}, (), ["dense", "a", "b"]),
        ({"dense": "done", "a": "done", "b": "done"}, (), []),
        ({"dense": "failed", "a": "parity_failed", "b": "done"}, (), []),
        # What failed is not repeated; what was measured is, to be compared with what was not.
        ({"dense": "done", "a": "failed"}, (), ["dense", "b"]),
        ({"dense": "parity_failed"}, (), ["a", "b"]),
        ({"dense": "done"}, ("dense",), ["a", "b"]),
        ({"dense": "done", "a": "done"}, ("b",), []),
    ],
)
def test_what_is_left_of_a_group(states, given_up, expected):
    assert variants_to_run(states, GROUP, given_up) == expected


def test_blame_falls_on_the_variant_named_last():
    assert to_blame(["dense", "a", "b"], {"dense"}, "b") == ["b"]


@pytest.mark.parametrize("last_named", [None, "dense"])
def test_blame_falls_on_all_that_are_left_when_no_such_variant_is_named(last_named):
    assert to_blame(["dense", "a", "b"], {"dense"}, last_named) == ["a", "b"]


@settings(deadline=None, max_examples=200)
@given(data=st.data(), names=st.lists(st.text("abc", min_size=1), min_size=1, max_size=5, unique=True))
def test_failing_the_blamed_always_comes_to_an_end(data, names):
    """However the workers die, each death settles at least one variant: a group is run at most len(names) times."""
    group = Group("x", "fp32", 1, tuple(names))
    states = data.draw(st.dictionaries(st.sampled_from(names), st.sampled_from(["done", "failed", "parity_failed"])))
    given_up = set()
    for _ in range(len(names) + 1):
        running = variants_to_run(states, group, given_up)
        if not running:
            break
        ended = data.draw(st.lists(st.sampled_from(running), max_size=len(running) - 1, unique=True))
        blamed = to_blame(running, ended, data.draw(st.none() | st.sampled_from(names)))
        assert blamed
        states.update(dict.fromkeys(ended, "done"))
        states.update({name: "failed" for name in blamed if name not in states})
        given_up.update(blamed)
    assert variants_to_run(states, group, given_up) == []
    assert set(states) == set(names)


@pytest.mark.parametrize("given_up", [(), ("a",)])
def test_what_takes_no_turns_is_not_repeated(given_up):
    group = GROUP._replace(interleaved=False)
    first, *others = group.variants
    states = {first: "done"}
    assert variants_to_run(states, group, given_up) == [each for each in others if each not in given_up]
    assert variants_to_run(dict.fromkeys(group.variants, "done"), group) == []
