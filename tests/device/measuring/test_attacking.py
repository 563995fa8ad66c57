import numpy as np
import pytest

from gdws_agent.errors import RunFailed
from gdws_agent.measuring import attacking
from gdws_agent.measuring.attacking import Labelled, Replays, attack_engine, attack_flags, attack_result
from gdws_contract.attacks import AttackedImage, AttackOptions

SHAPE = (2, 6, 6)
COUNT = 24
OPTIONS = AttackOptions(norm="linf", eps=0.05, queries=40, images=COUNT)
IMAGES = np.random.default_rng(0).random((COUNT, *SHAPE), dtype=np.float32)
WEIGHTS = np.random.default_rng(1).normal(size=(4, int(np.prod(SHAPE))))
WEIGHTS -= WEIGHTS.mean(axis=1, keepdims=True)


def linear(batch):
    # Row by row, so that no sum depends on the size of the batch.
    return np.stack([WEIGHTS @ row.ravel().astype(np.float64) for row in batch])


def rounded(batch):
    """The same network on rounded pixels, with rounded logits: its gradient is zero everywhere."""
    return np.round(linear(np.round(batch * 64) / 64), 1)


def saturated(batch):
    """The same network with probabilities that are 0 and 1 in floating point."""
    logits = 1e4 * linear(batch)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


DATA = Labelled(IMAGES, linear(IMAGES).argmax(axis=1))


class Engine:
    """Computes ``network`` on batches of one size, and fails at the step ``ends_at``."""

    def __init__(self, network=linear, batch_size=1, ends_at=None):
        self._network = network
        self._batch_size = batch_size
        self._ends_at = ends_at
        self.steps = 0
        self.rows = []

    def bind(self, inputs):
        assert inputs.shape == (self._batch_size, *SHAPE)
        assert inputs.flags.c_contiguous

        def step():
            self.steps += 1
            if self.steps == self._ends_at:
                raise RunFailed("killed")
            self.rows += list(inputs)
            return [self._network(inputs)]

        return step


def attack(engine, batch_size=1, done=(), options=OPTIONS, data=DATA):
    told, progress = [], []
    found = attack_engine(engine, data, options, batch_size, done, told.extend, progress.append)
    return found, told, progress


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_result_does_not_depend_on_the_batch(norm):
    options = OPTIONS.model_copy(update={"norm": norm, "eps": 0.05 if norm == "linf" else 0.4})
    alone = attack(Engine(), options=options)[0]
    assert 0 < sum(image.is_right for image in alone) < COUNT
    for size in (3, 8, 32):
        found, told, _ = attack(Engine(batch_size=size), size, options=options)
        assert found == alone
        assert sorted(told) == alone


@pytest.mark.parametrize("size", [1, 8])
def test_what_was_done_before_a_kill_is_not_done_again(size):
    whole, _, _ = attack(Engine(batch_size=size), size)
    killed, done = Engine(batch_size=size, ends_at=60 if size == 1 else 30), []
    with pytest.raises(RunFailed):
        attack_engine(killed, DATA, OPTIONS, size, [], done.extend, lambda progress: None)
    assert 0 < len(done) < COUNT

    rest = Engine(batch_size=size)
    found, told, _ = attack(rest, size, done)
    assert found == whole
    assert {image.position for image in told} == set(range(COUNT)) - {image.position for image in done}
    lost = killed.steps + rest.steps - steps_of_whole(size)
    assert 0 <= lost <= OPTIONS.queries + 2  # the images that were under way, and the end of a batch


def steps_of_whole(size):
    engine = Engine(batch_size=size)
    attack(engine, size)
    return engine.steps


def test_where_all_is_done_nothing_is_asked():
    whole, _, _ = attack(Engine())
    engine = Engine()
    assert attack(engine, done=whole)[0] == whole
    assert engine.steps == 0


def test_places_that_are_free_go_to_the_next_image():
    """An image that is fooled soon does not wait for those beside it."""
    single, shared = Engine(), Engine(batch_size=8)
    attack(single)
    attack(shared, 8)
    assert shared.steps <= -(-single.steps // 8) + OPTIONS.queries


def test_more_queries_fool_more_and_never_fewer():
    found = [attack(Engine(), options=OPTIONS.model_copy(update={"queries": n}))[0] for n in (1, 15, 100)]
    counts = [sum(not image.is_right for image in images) for images in found]
    assert counts == sorted(counts)
    assert counts[0] < counts[2]


def test_rounding_hides_nothing():
    plain, found = attack(Engine())[0], attack(Engine(rounded))[0]
    fooled = [sum(not image.is_right for image in images) for images in (plain, found)]
    assert fooled[0] >= COUNT // 3
    assert abs(fooled[1] - fooled[0]) <= 3


def test_an_attack_without_effect_on_saturated_outputs_is_flagged():
    found = attack(Engine(saturated))[0]
    still = [image for image in found if image.is_right and not image.moved]
    assert len(still) > COUNT // 2
    (flag,) = attack_flags(found)
    assert flag.code == "attack-without-effect"
    assert f"margin of {len(still)} of" in flag.detail


def test_a_constant_network_is_robust_to_nothing_that_was_tried():
    data = Labelled(IMAGES, np.arange(COUNT) % 4)
    found = attack(Engine(lambda batch: np.zeros((len(batch), 4))), data=data)[0]
    assert sum(image.is_right for image in found) == COUNT // 4  # the images of the class that it always gives
    (flag,) = attack_flags(found)
    assert flag.code == "attack-without-effect"
    assert "6 of the 6 images" in flag.detail


def test_outputs_that_are_nan_near_an_image_are_told():
    def fragile(batch):
        logits = linear(batch)
        logits[[not any(np.array_equal(row, image) for image in IMAGES) for row in batch]] = np.nan
        return logits

    found = attack(Engine(fragile))[0]
    assert all((image.fooled_after, image.finite) == (1, False) for image in found)
    assert [flag.code for flag in attack_flags(found)] == ["non-finite-outputs"]


def test_a_sound_attack_carries_no_flag():
    assert attack_flags(attack(Engine())[0]) == []


def test_progress_counts_images_and_queries(monkeypatch):
    monkeypatch.setattr(attacking, "_PROGRESS_INTERVAL_S", 0.0)
    engine = Engine(batch_size=4)
    found, _, progress = attack(engine, 4)
    assert [each.images for each in progress] == sorted(each.images for each in progress)
    first, last = progress[0], progress[-1]
    assert (first.images, first.images_total, first.queries, first.left_s) == (0, COUNT, 0, None)
    assert (last.images, last.correct) == (COUNT, sum(image.is_right for image in found))
    assert last.queries == sum(OPTIONS.queries if image.is_right else image.fooled_after for image in found)
    assert last.left_s == 0
    assert [each.queries for each in progress] == sorted(each.queries for each in progress)


def test_the_result_counts_right_answers_and_pairs_them_with_the_replay():
    images = [
        AttackedImage(0, 0),
        AttackedImage(1, 7),
        AttackedImage(2, None),
        AttackedImage(3, None),
    ]
    right = np.array([False, True, True, True, True])
    adversarial = np.array([False, True, False, True, True])
    found = attack_result(images, OPTIONS, Replays(right, adversarial, right, adversarial))
    assert [each.successes for each in (found.natural, found.robust, found.robust_to_both, found.host)] == [3, 2, 1, 2]
    assert {each.count for each in (found.natural, found.robust, found.robust_to_both, found.host)} == {4}
    assert found.host_wrong == [0, 2]
    assert found.queries == 7 + 2 * OPTIONS.queries
    assert (found.attack.norm, found.attack.eps, found.attack.iterations) == ("linf", 0.05, 40)
    assert found.robust.interval.method == "wilson"


def test_without_adversarial_inputs_nothing_is_said_of_them():
    right = np.ones(1, bool)
    found = attack_result([AttackedImage(0, None)], OPTIONS, Replays(right, None, right, None))
    assert (found.robust_to_both, found.host, found.host_wrong) == (None, None, None)
