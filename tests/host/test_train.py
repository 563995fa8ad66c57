"""Training on a toy: repeatable, resumable, and chosen on the validation split."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gdws import checkpoints
from gdws.datasets import Dataset, Split
from gdws.errors import CheckpointUnreadable, DataError, GdwsError, ModelError
from gdws.train import EpochRecord, TrainSettings, learning_rate, shift_images, state_path, train

SETTINGS = TrainSettings(
    net="mnist-preact-resnet",
    net_options={"width": 2, "classes": 2},
    epochs=3,
    batch_size=8,
    eps=0.1,
    iterations=2,
    validation_iterations=2,
    shift=1,
    seed=5,
)


def toy(count: int, seed: int) -> Split:
    """Two classes, bright on the left or on the right, with noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    images = 0.3 * torch.rand(count, 1, 8, 8, generator=generator)
    images[labels == 0, :, :, :4] += 0.6
    images[labels == 1, :, :, 4:] += 0.6
    return Split(images, labels)


class Forbidden:
    """A split that must not be looked at."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"the test split was asked for {name}")


DATA = Dataset("toy", 2, toy(24, 0), toy(8, 1), Forbidden())  # type: ignore[arg-type]


class InterruptAt:
    """A progress that is interrupted at one of its steps, as by Ctrl-C."""

    def __init__(self, step: int) -> None:
        self.left = step

    def start(self, total: int, description: str) -> None:
        pass

    def advance(self, n: int = 1, **figures: float | str) -> None:
        self.left -= n
        if self.left < 0:
            raise KeyboardInterrupt


def test_a_run_is_repeatable_and_leaves_nothing_but_the_weights(tmp_path):
    records: list[EpochRecord] = []
    result = train(SETTINGS, DATA, tmp_path / "a.safetensors", on_epoch=records.append)
    torch.rand(7)  # the global generator must not matter
    again = train(SETTINGS, DATA, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert result.history == again.history == tuple(records)
    assert [record.epoch for record in records] == [1, 2, 3]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors"]
    other = train(dataclasses.replace(SETTINGS, seed=6), DATA, tmp_path / "c.safetensors")
    assert other.history != result.history


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("step", [4, 7])  # in the second epoch, in the third
def test_a_run_that_was_interrupted_goes_on_to_the_same_weights(tmp_path, step, optimizer):
    settings = dataclasses.replace(SETTINGS, optimizer=optimizer, learning_rate=0.01)
    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    unbroken = train(settings, DATA, whole)
    with pytest.raises(KeyboardInterrupt):
        train(settings, DATA, broken, progress=InterruptAt(step))
    assert state_path(broken).exists()
    broken.unlink()  # the state alone must be enough
    resumed = train(settings, DATA, broken, resume=True)
    assert broken.read_bytes() == whole.read_bytes()
    assert resumed.history == unbroken.history
    assert not state_path(broken).exists()


def test_weights_are_there_before_the_run_ends(tmp_path):
    out = tmp_path / "w.safetensors"

    def interrupt(record: EpochRecord) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(SETTINGS, DATA, out, on_epoch=interrupt)
    assert checkpoints.load(out)(DATA.validation.images).shape == (8, 2)


def test_resuming_without_a_state_starts_from_the_beginning(tmp_path):
    train(SETTINGS, DATA, tmp_path / "a.safetensors", resume=True)
    train(SETTINGS, DATA, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


@pytest.fixture
def unfinished(tmp_path: Path) -> Path:
    out = tmp_path / "w.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(SETTINGS, DATA, out, progress=InterruptAt(4))
    return out


def test_an_unfinished_run_is_not_overwritten(unfinished):
    before = state_path(unfinished).read_bytes()
    with pytest.raises(GdwsError, match="unfinished run") as caught:
        train(SETTINGS, DATA, unfinished)
    assert "resume" in str(caught.value.hint)
    assert state_path(unfinished).read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 9}, "epochs was 3, is 9"),
        ({"eps": 0.3}, "eps was 0.1, is 0.3"),
        ({"net_options": {"width": 4, "classes": 2}}, "net_options"),
    ],
)
def test_another_run_is_not_resumed(unfinished, change, message):
    with pytest.raises(GdwsError, match=message):
        train(dataclasses.replace(SETTINGS, **change), DATA, unfinished, resume=True)


def test_other_data_are_not_resumed_on(unfinished):
    with pytest.raises(GdwsError, match="data was 'toy', is 'other'"):
        train(SETTINGS, dataclasses.replace(DATA, name="other"), unfinished, resume=True)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_damaged_state_is_told(unfinished, share):
    state = state_path(unfinished)
    content = state.read_bytes()
    state.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointUnreadable):
        train(SETTINGS, DATA, unfinished, resume=True)


@pytest.mark.parametrize("content", [{"version": 99}, {"version": 1}, [1], {"weight": torch.zeros(1)}])
def test_a_foreign_state_is_told(tmp_path, content):
    out = tmp_path / "w.safetensors"
    torch.save(content, state_path(out))
    with pytest.raises(CheckpointUnreadable, match="not the state of a training run"):
        train(SETTINGS, DATA, out, resume=True)


def test_the_best_epoch_is_kept(tmp_path, monkeypatch):
    """The highest robust accuracy, then the highest natural, then the latest."""
    robust, natural = [5, 6, 6, 6, 2], [7, 6, 8, 8, 8]
    shares = iter(zip(natural, robust, strict=True))
    from gdws import train as module
    from gdws.intervals import proportion

    real = module.evaluate

    def scripted(*args: object, **kwargs: object) -> object:
        n, r = next(shares)
        return dataclasses.replace(real(*args, **kwargs), natural=proportion(n, 8), robust=proportion(r, 8))

    monkeypatch.setattr(module, "evaluate", scripted)
    weights = []
    out = tmp_path / "w.safetensors"
    result = train(
        dataclasses.replace(SETTINGS, epochs=5),
        DATA,
        out,
        on_epoch=lambda record: weights.append(checkpoints.read(out).weights["linear.weight"].clone()),
    )
    assert result.best.epoch == 4
    assert [(record.natural * 8, record.robust * 8) for record in result.history] == [
        *zip(natural, robust, strict=True)
    ]
    final = checkpoints.read(out).weights["linear.weight"]
    assert torch.equal(final, weights[3])
    assert not torch.equal(final, weights[2])


def test_it_learns(tmp_path):
    settings = dataclasses.replace(SETTINGS, epochs=12, net_options={"width": 4, "classes": 2})
    result = train(settings, DATA, tmp_path / "w.safetensors")
    assert result.history[-1].loss < 0.5 * result.history[0].loss
    assert result.best.robust == 1.0


def test_natural_training_is_budget_zero(tmp_path):
    settings = dataclasses.replace(SETTINGS, eps=0.0)
    assert train(settings, DATA, tmp_path / "w.safetensors").best.epoch >= 1


def test_fewer_images_than_a_batch_are_one_batch(tmp_path):
    settings = dataclasses.replace(SETTINGS, batch_size=100, epochs=1)
    assert train(settings, DATA, tmp_path / "w.safetensors").history[0].loss > 0


def test_the_file_says_how_it_was_made(tmp_path):
    out = tmp_path / "w.safetensors"
    result = train(SETTINGS, DATA, out, command="gdws train --epochs 3")
    metadata = checkpoints.read(out).metadata
    assert (metadata["net"], metadata["data"], metadata["command"]) == (
        SETTINGS.net,
        "toy",
        "gdws train --epochs 3",
    )
    assert TrainSettings(**json.loads(metadata["training"])) == SETTINGS
    validation = json.loads(metadata["validation"])
    assert validation["robust"] == result.best.robust
    assert validation["attack"]["iterations"] == 2


def test_a_folder_in_the_place_of_the_file_is_told_at_once(tmp_path):
    with pytest.raises(GdwsError, match="cannot be written"):
        train(SETTINGS, DATA, tmp_path, progress=InterruptAt(0))
    assert list(tmp_path.iterdir()) == []


def test_divergence_is_told(tmp_path):
    with pytest.raises(ModelError, match=r"diverged|NaN"):
        train(dataclasses.replace(SETTINGS, learning_rate=1e30), DATA, tmp_path / "w.safetensors")
    assert not (tmp_path / "w.safetensors").exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (dataclasses.replace(DATA, classes=3), "2 classes"),
        (dataclasses.replace(DATA, train=Split(torch.rand(8, 3, 8, 8), torch.zeros(8).long())), "1 channels"),
        (dataclasses.replace(DATA, validation=DATA.validation.first(0)), "no images"),
    ],
)
def test_data_that_do_not_suit_the_network(tmp_path, data, message):
    with pytest.raises(DataError, match=message):
        train(SETTINGS, data, tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("iterations", 0),
        ("eps", -1.0),
        ("learning_rate", float("nan")),
        ("weight_decay", -1.0),
        ("momentum", 1.0),
        ("shift", -1),
        ("optimizer", "lbfgs"),
        ("schedule", "cosine"),
    ],
)
def test_illegal_settings_are_named(field, value):
    with pytest.raises(GdwsError, match=field):
        dataclasses.replace(SETTINGS, **{field: value})


def test_the_attack_follows_madrys_rule():
    settings = TrainSettings(net="preact-resnet18", eps=8 / 255, iterations=10)
    assert settings.attack(seed=1).step == pytest.approx(2 / 255)


@given(st.integers(1, 400))
def test_one_cycle_rises_then_falls(total):
    rates = [learning_rate(SETTINGS, step, total) for step in range(total)]
    assert all(0 < rate <= SETTINGS.learning_rate for rate in rates)
    top = rates.index(max(rates))
    assert all(a < b for a, b in itertools.pairwise(rates[: top + 1]))
    assert all(a > b for a, b in itertools.pairwise(rates[top:]))


def test_piecewise_falls_by_tens():
    settings = dataclasses.replace(SETTINGS, schedule="piecewise", learning_rate=0.1)
    rates = [learning_rate(settings, step, 200) for step in (0, 99, 100, 149, 150, 199)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


@given(st.integers(0, 3), st.integers(0, 1000))
def test_shifted_images_are_moved_whole(most, seed):
    images = torch.rand(5, 2, 6, 7, generator=torch.Generator().manual_seed(seed)) + 0.1
    moved = shift_images(images, most, torch.Generator().manual_seed(seed))
    assert moved.shape == images.shape
    for before, after in zip(images, moved, strict=True):
        candidates = []
        for down, right in itertools.product(range(-most, most + 1), repeat=2):
            shifted = torch.roll(before, (down, right), dims=(1, 2))
            rows, columns = torch.arange(6), torch.arange(7)
            outside = (((rows - down) % 6) != rows - down)[:, None] | (((columns - right) % 7) != columns - right)
            candidates.append(torch.where(outside, 0.0, shifted))
        assert any(torch.equal(after, candidate) for candidate in candidates)


def test_every_shift_occurs():
    images = torch.zeros(400, 1, 5, 5)
    images[:, :, 2, 2] = 1
    moved = shift_images(images, 1, torch.Generator().manual_seed(0))
    counts = moved.sum(dim=0)[0]
    assert float(counts.sum()) == 400
    assert float(counts[1:4, 1:4].min()) > 20
