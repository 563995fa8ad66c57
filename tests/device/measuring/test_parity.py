from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdws_agent.errors import RunFailed
from gdws_agent.measuring.parity import Expected, Replayed, Rule, compare, doubts, make_batch, replay
from gdws_agent.measuring.verification import Record
from gdws_contract.manifest import OutputSpec
from gdws_contract.task import Classification, Detection, Outputs, Segmentation

RULE = Rule(tolerance_rel=1e-3, tolerance_abs=1e-6, tolerance_accuracy=0.01)
LAX = RULE._replace(tolerance_rel=10.0)


def logits_for(classes, count=3, peak=10.0):
    """Logits whose predicted classes are the given."""
    logits = np.zeros((len(classes), count), np.float32)
    logits[np.arange(len(classes)), classes] = peak
    return logits


def classifier(labels, classes=3):
    return Expected(Classification(), [OutputSpec(name="logits", shape=[classes])], labels)


def pair(device, host):
    return Replayed((device,), (host,))


def same(logits):
    return pair(logits.copy(), logits)


LABELS = classifier(np.array([0, 1, 2, 0]))
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
        parity = compare(LABELS, pair(device, HOST), None, RULE)
        assert parity.max_abs_diff == pytest.approx(difference, rel=1e-4)
        assert parity.max_rel_diff == pytest.approx(difference / 10, rel=1e-4)
        assert parity.passed is passed
        assert bool(parity.reasons) is not passed

    def test_adversarial_logits_count_too(self):
        device = HOST.copy()
        device[0, 0] += 1
        parity = compare(LABELS, same(HOST), pair(device, HOST), RULE)
        assert not parity.passed
        assert parity.max_rel_diff == pytest.approx(0.1)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_outputs_that_are_no_numbers_fail_with_the_reason(self, bad):
        device = HOST.copy()
        device[1, 0] = bad
        parity = compare(LABELS, pair(device, HOST), same(HOST), RULE)
        assert not parity.passed
        assert parity.reasons == ["logits is NaN or infinite for 1 inputs"]
        assert (parity.max_abs_diff, parity.max_rel_diff) == (None, None)
        assert parity.natural.successes == 2
        assert parity.agreement.successes == 3

    def test_a_row_without_numbers_agrees_with_nothing(self):
        parity = compare(LABELS, pair(np.full_like(HOST, np.nan), HOST), None, RULE)
        assert parity.agreement.successes == 0
        assert parity.natural.successes == 0

    def test_accuracy_may_change_by_one_image(self):
        one_more_wrong = logits_for([1, 1, 2, 1])
        assert compare(LABELS, pair(one_more_wrong, HOST), None, LAX).passed
        two_more_wrong = logits_for([1, 0, 2, 1])
        parity = compare(LABELS, pair(two_more_wrong, HOST), None, LAX)
        assert not parity.passed
        assert "natural accuracy is 1 of 4 on the device, 3 on the host" in parity.reasons[0]

    @pytest.mark.parametrize(("wrong", "passed"), [(10, True), (11, False)])
    def test_accuracy_may_change_by_a_share_of_many_images(self, wrong, passed):
        host = logits_for([0] * 1000)
        device = logits_for([1] * wrong + [0] * (1000 - wrong))
        labels = classifier(np.zeros(1000, np.int64))
        assert compare(labels, pair(device, host), None, LAX).passed is passed

    def test_accuracy_on_adversarial_inputs_counts_and_a_gain_is_no_excuse(self):
        host, device = logits_for([1, 2, 0, 1]), logits_for([0, 1, 2, 0])
        parity = compare(LABELS, same(HOST), pair(device, host), LAX)
        assert not parity.passed
        assert parity.robust is not None
        assert parity.robust_host is not None
        assert (parity.robust.successes, parity.robust_host.successes) == (4, 0)
        assert "adversarial" in parity.reasons[0]

    def test_host_logits_of_zero(self):
        zeros = np.zeros_like(HOST)
        assert compare(LABELS, same(zeros), None, RULE).max_rel_diff == 0.0
        parity = compare(LABELS, pair(zeros + 1, zeros), None, RULE)
        assert (parity.passed, parity.max_abs_diff, parity.max_rel_diff) == (False, 1.0, None)
        assert "all zero" in parity.reasons[0]

    @pytest.mark.parametrize(
        ("device", "host", "passed", "doubted"),
        [
            (1.51e-5, 1.5e-5, True, False),  # off by 1e-7: what float32 leaves of a sigmoid far from an object
            (1.9e-5, 1.5e-5, False, False),
            (0.0, 9e-7, True, True),  # zeros would have passed as well
        ],
    )
    def test_an_output_near_zero_may_differ_by_an_absolute_floor(self, device, host, passed, doubted):
        expected = Expected(Outputs(), [OutputSpec(name="map", shape=[2])], None)
        found = compare(expected, pair(*(np.full((4, 2), each, np.float32) for each in (device, host))), None, RULE)
        assert found.passed is passed
        assert [flag.code for flag in doubts(found)] == ["near-zero-output"] * doubted

    def test_differences_beyond_float32_are_still_numbers(self):
        largest = np.float32(3e38)
        parity = compare(LABELS, pair(HOST * 0 - largest, HOST * 0 + largest), None, RULE)
        assert parity.max_rel_diff == pytest.approx(2.0)

    @given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60))
    @settings(deadline=None, max_examples=50)
    def test_counts_are_the_direct_counts(self, rows):
        labels, device, host = np.array(rows).T
        parity = compare(classifier(labels), pair(logits_for(device), logits_for(host)), None, RULE)
        assert parity.natural.successes == (device == labels).sum()
        assert parity.natural_host.successes == (host == labels).sum()
        assert parity.agreement.successes == (device == host).sum()


class TestSeveralOutputs:
    EXPECTED = Expected(
        Outputs(), [OutputSpec(name="map", shape=[2]), OutputSpec(name="class", dtype="int64", shape=[])], None
    )
    HOST = (np.arange(8, dtype=np.float32).reshape(4, 2), np.array([0, 1, 2, 3]))

    def compare(self, floats=0.0, classes=(0, 1, 2, 3), rule=RULE):
        device = (self.HOST[0] + np.float32(floats), np.array(classes))
        return compare(self.EXPECTED, Replayed(device, self.HOST), None, rule)

    def test_each_is_judged_by_itself(self):
        assert [(output.name, output.passed) for output in self.compare().outputs] == [("map", True), ("class", True)]
        parity = self.compare(floats=0.5, classes=(3, 2, 2, 3))
        assert [output.passed for output in parity.outputs] == [False, False]
        assert parity.reasons == [
            "map differs by up to 7.14e-02 of the host's largest value; 1.00e-03 is allowed",
            "class differs in 2 of 4 elements; 1.0% of them, or one, is allowed",
        ]
        assert (parity.max_abs_diff, parity.outputs[1].max_abs_diff) == (0.5, 3.0)

    def test_one_integer_may_be_another_whatever_its_distance(self):
        parity = self.compare(classes=(0, 1, 2, 900))
        assert (parity.passed, parity.outputs[1].agreement.successes) == (True, 3)

    def test_without_labels_and_classes_there_is_no_accuracy(self):
        parity = self.compare()
        assert (parity.agreement, parity.natural, parity.natural_host, parity.robust) == (None, None, None, None)

    def test_a_classifier_without_labels_has_an_agreement_alone(self):
        parity = compare(classifier(None), same(HOST), same(HOST), RULE)
        assert (parity.agreement.successes, parity.natural, parity.robust) == (4, None, None)

    @pytest.mark.parametrize("dtype", ["float32", "int64"])
    def test_segmentation_agrees_pixel_by_pixel(self, dtype):
        host = np.zeros((2, 3, 4, 4), np.float32)
        device = host.copy()
        device[0, 1, 0, 0] = 1e-7
        if dtype == "int64":
            host, device = host.argmax(axis=1), device.argmax(axis=1)
        expected = Expected(Segmentation(), [OutputSpec(name="out", dtype=dtype, shape=list(host.shape[1:]))], None)
        assert compare(expected, pair(device, host), None, RULE).agreement.successes == 31

    @pytest.mark.parametrize("layout", ["yolov8", "yolov5", "yolox", "boxes-scores"])
    def test_of_boxes_those_agree_that_are_the_same_object_on_both_sides(self, layout):
        """Of six boxes of two classes three are objects on the host, one more on the device, one of another class."""
        host = np.array([[[0.9, 0.1], [0.2, 0.8], [0.3, 0.0], [0.2, 0.2], [0.0, 0.1], [0.1, 0.0]]], np.float32)
        device = host.copy()
        device[0, 1] = 0.8, 0.2
        device[0, 3, 0] = 0.26
        boxes = np.ones((1, 6, 4), np.float32)

        def written(scores):
            if layout == "boxes-scores":
                return boxes, scores
            whole = np.concatenate([boxes, *([] if layout == "yolov8" else [boxes[..., :1]]), scores], axis=2)
            return (whole.transpose(0, 2, 1) if layout == "yolov8" else whole,)

        outputs = [
            OutputSpec(name=f"out{place}", shape=list(each.shape[1:])) for place, each in enumerate(written(host))
        ]
        expected = Expected(Detection(layout=layout), outputs, None)
        found = compare(expected, Replayed(written(device), written(host)), None, RULE).agreement
        assert (found.successes, found.count) == (2, 4)

    def test_without_an_object_or_the_layout_boxes_have_no_agreement(self):
        of_layout = Expected(Detection(layout="yolov8"), [OutputSpec(name="out", shape=[6, 5])], None)
        assert compare(of_layout, same(np.zeros((2, 6, 5), np.float32)), None, RULE).agreement is None
        other = Expected(Detection(layout="yolov8"), [OutputSpec(name="out", shape=[3])], None)
        assert compare(other, same(HOST), None, RULE).agreement is None


class SumEngine:
    """Logits (sum, -sum); notes the batches it was given."""

    def __init__(self):
        self.batches = []

    def bind(self, inputs):
        def step():
            self.batches.append(inputs.copy())
            sums = inputs.reshape(len(inputs), -1).sum(axis=1)
            return [np.stack([sums, -sums], axis=1)]

        return step


def record(count):
    inputs = np.arange(count * 4, dtype=np.float32).reshape(count, 2, 2)
    return Record(inputs, (np.zeros((count, 2), np.float32),))


class TestReplay:
    @given(st.integers(1, 20), st.integers(1, 25))
    @settings(deadline=None, max_examples=50)
    def test_every_input_once_and_in_order_at_the_engines_batch_size(self, count, batch_size):
        engine, recorded, done = SumEngine(), record(count), []
        replayed = replay(engine, recorded, batch_size, done.append)
        assert np.array_equal(replayed.device[0][:, 0], recorded.inputs.sum(axis=(1, 2)))
        assert replayed.host is recorded.host
        assert {len(batch) for batch in engine.batches} == {batch_size}
        assert done[-1] == count

    @pytest.mark.parametrize(
        ("host", "words"),
        [
            ([np.zeros((3, 5), np.float32)], r"float32 \(2, 2\), not float32 \(2, 5\)"),
            ([np.zeros((3, 2), np.int64)], r"float32 \(2, 2\), not int64 \(2, 2\)"),
            ([np.zeros((3, 2), np.float32)] * 2, r"not float32 \(2, 2\), float32 \(2, 2\)"),
        ],
        ids=["shape", "type", "number"],
    )
    def test_other_outputs_than_recorded_are_an_error(self, host, words):
        with pytest.raises(RunFailed, match=words):
            replay(SumEngine(), Record(record(3).inputs, tuple(host)), 2)

    def test_a_runtime_may_use_another_width(self):
        recorded = Record(record(3).inputs, (np.zeros((3, 2), np.float16),))
        assert replay(SumEngine(), recorded, 2).device[0].dtype == np.float16


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
    assert Rule.of("fp16", 1e-3).tolerance_abs > Rule.of("fp32", 1e-3).tolerance_abs
