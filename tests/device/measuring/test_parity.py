from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdws_agent.errors import RunFailed
from gdws_agent.measuring.parity import Logits, Rule, compare, make_batch, replay
from gdws_agent.measuring.verification import Record

RULE = Rule(tolerance_rel=1e-3, tolerance_accuracy=0.01)


def logits_for(classes, count=3, peak=10.0):
    """Logits whose predicted classes are the given."""
    logits = np.zeros((len(classes), count), np.float32)
    logits[np.arange(len(classes)), classes] = peak
    return logits


def same(logits):
    return Logits(logits.copy(), logits)


LABELS = np.array([0, 1, 2, 0])
HOST = logits_for([0, 1, 2, 1])


class TestCompare:
    def test_equal_logits_pass(self):
        parity = compare(LABELS, same(HOST), None, RULE)
        assert parity.passed
        assert parity.reasons == []
        assert (parity.max_abs_diff, parity.max_rel_diff) == (0.0, 0.0)
        assert (parity.natural.successes, parity.natural_host.successes, parity.count) == (3, 3, 4)
        assert parity.agreement.value == 1.0
        assert parity.robust is None
        assert parity.robust_host is None

    @pytest.mark.parametrize(("difference", "passed"), [(0.009, True), (0.011, False)])
    def test_the_difference_is_relative_to_the_largest_host_logit(self, difference, passed):
        device = HOST.copy()
        device[3, 2] -= difference
        parity = compare(LABELS, Logits(device, HOST), None, RULE)
        assert parity.max_abs_diff == pytest.approx(difference, rel=1e-4)
        assert parity.max_rel_diff == pytest.approx(difference / 10, rel=1e-4)
        assert parity.passed is passed
        assert bool(parity.reasons) is not passed

    def test_adversarial_logits_count_too(self):
        device = HOST.copy()
        device[0, 0] += 1
        parity = compare(LABELS, same(HOST), Logits(device, HOST), RULE)
        assert not parity.passed
        assert parity.max_rel_diff == pytest.approx(0.1)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_outputs_that_are_no_numbers_fail_with_the_reason(self, bad):
        device = HOST.copy()
        device[1, 0] = bad
        parity = compare(LABELS, Logits(device, HOST), same(HOST), RULE)
        assert not parity.passed
        assert "1 inputs are NaN or infinite" in parity.reasons[0]
        assert (parity.max_abs_diff, parity.max_rel_diff) == (None, None)
        assert parity.natural.successes == 2
        assert parity.agreement.successes == 3

    def test_a_row_without_numbers_agrees_with_nothing(self):
        parity = compare(LABELS, Logits(np.full_like(HOST, np.nan), HOST), None, RULE)
        assert parity.agreement.successes == 0
        assert parity.natural.successes == 0

    def test_accuracy_may_change_by_one_image(self):
        rule = Rule(tolerance_rel=10.0, tolerance_accuracy=0.01)
        one_more_wrong = logits_for([1, 1, 2, 1])
        assert compare(LABELS, Logits(one_more_wrong, HOST), None, rule).passed
        two_more_wrong = logits_for([1, 0, 2, 1])
        parity = compare(LABELS, Logits(two_more_wrong, HOST), None, rule)
        assert not parity.passed
        assert "natural accuracy is 1 of 4 on the device, 3 on the host" in parity.reasons[0]

    @pytest.mark.parametrize(("wrong", "passed"), [(10, True), (11, False)])
    def test_accuracy_may_change_by_a_share_of_many_images(self, wrong, passed):
        host = logits_for([0] * 1000)
        device = logits_for([1] * wrong + [0] * (1000 - wrong))
        labels = np.zeros(1000, np.int64)
        rule = Rule(tolerance_rel=10.0, tolerance_accuracy=0.01)
        assert compare(labels, Logits(device, host), None, rule).passed is passed

    def test_accuracy_on_adversarial_inputs_counts_and_a_gain_is_no_excuse(self):
        rule = Rule(tolerance_rel=10.0, tolerance_accuracy=0.01)
        host, device = logits_for([1, 2, 0, 1]), logits_for([0, 1, 2, 0])
        parity = compare(LABELS, same(HOST), Logits(device, host), rule)
        assert not parity.passed
        assert parity.robust is not None
        assert parity.robust_host is not None
        assert (parity.robust.successes, parity.robust_host.successes) == (4, 0)
        assert "adversarial" in parity.reasons[0]

    def test_host_logits_of_zero(self):
        zeros = np.zeros_like(HOST)
        assert compare(LABELS, same(zeros), None, RULE).max_rel_diff == 0.0
        parity = compare(LABELS, Logits(zeros + 1, zeros), None, RULE)
        assert (parity.passed, parity.max_abs_diff, parity.max_rel_diff) == (False, 1.0, None)
        assert "all zero" in parity.reasons[0]

    def test_differences_beyond_float32_are_still_numbers(self):
        largest = np.float32(3e38)
        parity = compare(LABELS, Logits(HOST * 0 - largest, HOST * 0 + largest), None, RULE)
        assert parity.max_rel_diff == pytest.approx(2.0)

    @given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60))
    @settings(deadline=None, max_examples=50)
    def test_counts_are_the_direct_counts(self, rows):
        labels, device, host = np.array(rows).T
        parity = compare(labels, Logits(logits_for(device), logits_for(host)), None, RULE)
        assert parity.natural.successes == (device == labels).sum()
        assert parity.natural_host.successes == (host == labels).sum()
        assert parity.agreement.successes == (device == host).sum()


class SumEngine:
    """Logits (sum, -sum); notes the batches it was given."""

    def __init__(self):
        self.batches = []

    def bind(self, inputs):
        def step():
            self.batches.append(inputs.copy())
            sums = inputs.reshape(len(inputs), -1).sum(axis=1)
            return np.stack([sums, -sums], axis=1)

        return step


def record(count):
    inputs = np.arange(count * 4, dtype=np.float32).reshape(count, 2, 2)
    return Record(inputs, np.zeros((count, 2), np.float32))


class TestReplay:
    @given(st.integers(1, 20), st.integers(1, 25))
    @settings(deadline=None, max_examples=50)
    def test_every_input_once_and_in_order_at_the_engines_batch_size(self, count, batch_size):
        engine, recorded, done = SumEngine(), record(count), []
        logits = replay(engine, recorded, batch_size, done.append)
        assert np.array_equal(logits.device[:, 0], recorded.inputs.sum(axis=(1, 2)))
        assert logits.host is recorded.host_logits
        assert {len(batch) for batch in engine.batches} == {batch_size}
        assert done[-1] == count

    def test_outputs_of_another_shape_are_an_error(self):
        recorded = Record(record(3).inputs, np.zeros((3, 5), np.float32))
        with pytest.raises(RunFailed, match=r"\(2, 2\), not \(2, 5\)"):
            replay(SumEngine(), recorded, 2)


@pytest.mark.parametrize(("size", "start", "rows"), [(2, 0, [0, 1]), (2, 2, [2, 0]), (7, 1, [1, 2, 0, 1, 2, 0, 1])])
def test_make_batch_goes_round(size, start, rows):
    inputs = np.arange(3)[:, None].astype(np.float32)
    batch = make_batch(inputs, size, start)
    assert list(batch[:, 0]) == rows
    assert batch.flags.c_contiguous
    assert batch.flags.writeable


def test_a_narrow_precision_gets_the_tolerance_that_its_rounding_needs() -> None:
    assert Rule.of("fp32", 1e-3).tolerance_rel == 1e-3
    assert Rule.of("fp16", 1e-3).tolerance_rel > 1e-3
    assert Rule.of("fp16", 0.5).tolerance_rel == 0.5
    assert Rule.of("fp16", 1e-3).tolerance_accuracy > Rule.of("fp32", 1e-3).tolerance_accuracy
