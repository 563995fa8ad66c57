import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdws_agent.measuring.square import Search, _eta, window_side
from gdws_contract.attacks import AttackOptions

EPS = {"linf": 0.1, "l2": 0.8}
NORMS = pytest.mark.parametrize("norm", ["linf", "l2"])


def options(norm, **fields):
    return AttackOptions(**{"norm": norm, "eps": EPS[norm], "queries": 60, **fields})


def length(delta, norm):
    return float(np.abs(delta).max() if norm == "linf" else np.sqrt((delta.astype(float) ** 2).sum()))


def image(shape=(3, 8, 8), seed=0):
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def run(search, logits):
    """Drive ``search`` to its end; return all it asked."""
    asked = []
    while search.result is None:
        asked.append(search.query())
        search.take(logits(asked[-1]))
    return asked


def linear(shape, classes=3, seed=1):
    """Return a network without a constant class, as a function of one image."""
    weights = np.random.default_rng(seed).normal(size=(classes, int(np.prod(shape))))
    weights -= weights.mean(axis=1, keepdims=True)
    return lambda x: weights @ x.ravel()


@NORMS
@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 17), st.integers(1, 17)),
    eps=st.floats(1e-3, 3.0),
    seed=st.integers(0, 2**32 - 1),
    extreme=st.booleans(),
)
def test_everything_it_asks_is_in_the_ball_and_in_the_range(norm, shape, eps, seed, extreme):
    x = image(shape, seed)
    x = x.round() if extreme else x  # at the ends of the range
    network = linear(shape)
    asked = run(Search(x, int(network(x).argmax()), 0, options(norm, eps=eps, queries=25, seed=seed)), network)
    for each in asked:
        assert each.dtype == np.float32
        assert each.shape == x.shape
        assert 0 <= each.min() <= each.max() <= 1
        assert length(each - x, norm) <= eps * (1 + 1e-6) + 1e-6


@NORMS
def test_the_image_as_it_is_comes_first_and_is_not_counted(norm):
    x, network = image(), linear((3, 8, 8))
    search = Search(x, int(network(x).argmin()), 7, options(norm))
    asked = run(search, network)
    assert len(asked) == 1
    assert np.array_equal(asked[0], x)
    assert (search.result.position, search.result.fooled_after, search.queries) == (7, 0, 0)


@NORMS
def test_no_more_is_asked_than_the_budget(norm):
    x = image()
    search = Search(x, 0, 0, options(norm, queries=5))
    asked = run(search, lambda x: np.array([9.0, x.mean()]))
    assert len(asked) == 1 + 5
    assert (search.result.fooled_after, search.result.moved) == (None, True)


@NORMS
def test_it_stops_at_the_first_query_that_fools(norm):
    x, network = image(), linear((3, 8, 8))
    search = Search(x, int(network(x).argmax()), 0, options(norm, eps=3.0, queries=500))
    asked = run(search, network)
    assert search.result.fooled_after == len(asked) - 1
    right = [int(network(each).argmax()) == search._label for each in asked]
    assert right == [True] * (len(asked) - 1) + [False]


@NORMS
def test_draws_depend_on_seed_and_index_alone(norm):
    x, network = image(), linear((3, 8, 8))

    def asked(index, seed):
        return np.stack(run(Search(x, int(network(x).argmax()), index, options(norm, eps=1e-3, seed=seed)), network))

    np.random.seed(0)
    state = np.random.get_state()[1].copy()
    first = asked(3, 5)
    assert np.array_equal(first, asked(3, 5))
    assert not np.array_equal(first, asked(4, 5))
    assert not np.array_equal(first, asked(3, 6))
    assert np.array_equal(state, np.random.get_state()[1])


@NORMS
def test_a_query_that_is_no_better_is_not_kept(norm):
    """The margin never falls below that of the start, so each query changes one window of the start."""
    x = image((1, 12, 12))
    search = Search(x, 0, 0, options(norm))
    margins = iter([5.0, 4.0, *range(6, 1_000)])  # as it is, the start, and then ever worse
    asked = run(search, lambda x: np.array([next(margins), 0.0]))
    assert np.array_equal(search._best, asked[1])


@NORMS
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_not_finite_are_no_answer(norm, bad):
    x = image()
    broken = Search(x, 1, 0, options(norm))
    run(broken, lambda x: np.array([0.0, 1.0, bad]))
    assert (broken.result.fooled_after, broken.result.finite) == (0, False)
    later = Search(x, 1, 0, options(norm))
    run(later, lambda y: np.array([0.0, 1.0, 0.0 if np.array_equal(x, y) else bad]))
    assert (later.result.fooled_after, later.result.finite) == (1, False)


@NORMS
def test_outputs_that_do_not_depend_on_the_input_are_told(norm):
    search = Search(image(), 2, 0, options(norm))
    run(search, lambda x: np.array([0.0, 1.0, 2.0]))
    assert (search.result.fooled_after, search.result.moved) == (None, False)


@NORMS
def test_a_tie_is_decided_as_the_engine_decides_it(norm):
    """The first of equal logits is the class, as for parity."""
    for label, fooled_after in ((0, None), (1, 0)):
        search = Search(image(), label, 0, options(norm))
        run(search, lambda x: np.array([1.0, 1.0]))
        assert search.result.fooled_after == fooled_after


def test_a_label_that_is_no_class_is_never_right():
    search = Search(image(), 9, 0, options("linf"))
    run(search, lambda x: np.array([1.0, 0.0]))
    assert search.result.fooled_after == 0


def test_norm_and_radius_must_be_known():
    with pytest.raises(ValueError, match="not resolved"):
        Search(image(), 0, 0, AttackOptions())


def test_windows_shrink():
    sides = [window_side(spent, 28, 28) for spent in (0, 0.002, 0.01, 0.05, 0.3, 0.9)]
    assert sides == sorted(sides, reverse=True)
    assert (sides[0], sides[-1]) == (25, 1)


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 9])
def test_a_bump_has_length_one_and_two_halves_against_each_other(side):
    bump = _eta(side)
    assert np.sqrt((bump**2).sum()) == pytest.approx(1)
    assert (bump[: side // 2] >= 0).all()
    assert (bump[side // 2 :] <= 0).all()
