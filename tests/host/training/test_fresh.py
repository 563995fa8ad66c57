"""Training on a toy: repeatable, resumable, and chosen on the validation split."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from gdws.datasets import LazyImages, Split
from gdws.errors import CheckpointUnreadable, DataError, GdwsError, ModelError
from gdws.networks import checkpoints
from gdws.training import EpochRecord, TrainSettings, run, state_path, train
from support.toy import DATA, InterruptAt
from support.toy import TRAINING as SETTINGS


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


def test_images_in_files_are_read_once_an_epoch(tmp_path):
    read: list[int] = []

    def image(place: int) -> torch.Tensor:
        read.append(place)
        return DATA.train.images[place]

    files = LazyImages(image, range(len(DATA.train)), DATA.train.images.shape[1:])
    lazily = dataclasses.replace(DATA, train=Split(files, DATA.train.labels))
    train(SETTINGS, lazily, tmp_path / "lazy.safetensors")
    assert sorted(read) == sorted(SETTINGS.epochs * list(range(len(DATA.train))))
    train(SETTINGS, DATA, tmp_path / "a.safetensors")
    assert (tmp_path / "lazy.safetensors").read_bytes() == (tmp_path / "a.safetensors").read_bytes()


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


@pytest.mark.parametrize("content", [{"version": 99}, {"version": 2}, [1], {"weight": torch.zeros(1)}])
def test_a_foreign_state_is_told(tmp_path, content):
    out = tmp_path / "w.safetensors"
    torch.save(content, state_path(out))
    with pytest.raises(CheckpointUnreadable, match="not the state of a training run"):
        train(SETTINGS, DATA, out, resume=True)


def test_the_best_epoch_is_kept(tmp_path, monkeypatch):
    """The highest robust accuracy, then the highest natural, then the latest."""
    robust, natural = [5, 6, 6, 6, 2], [7, 6, 8, 8, 8]
    shares = iter(zip(natural, robust, strict=True))
    from gdws_contract.findings.intervals import proportion

    real = run.evaluate

    def scripted(*args: object, **kwargs: object) -> object:
        n, r = next(shares)
        return dataclasses.replace(real(*args, **kwargs), natural=proportion(n, 8), robust=proportion(r, 8))

    monkeypatch.setattr(run, "evaluate", scripted)
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


def test_natural_training_has_no_attack_and_no_robust_accuracy(tmp_path):
    settings, out = dataclasses.replace(SETTINGS, eps=0.0), tmp_path / "w.safetensors"
    result = train(settings, DATA, out)
    assert {record.robust for record in result.history} == {None}
    assert result.best.natural == max(record.natural for record in result.history)
    validation = json.loads(checkpoints.read(out).metadata["validation"])
    assert (validation["robust"], validation["attack"]) == (None, None)


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


def test_the_channels_of_the_images_may_be_an_option_of_the_network(tmp_path):
    grey = dataclasses.replace(
        SETTINGS, net="preact-resnet18", net_options={"width": 1, "in_channels": 1, "classes": 2}
    )
    assert train(dataclasses.replace(grey, epochs=1), DATA, tmp_path / "w.safetensors").best.epoch == 1
    with pytest.raises(DataError, match="takes 3 channels"):
        train(dataclasses.replace(SETTINGS, net_options={"in_channels": 3}), DATA, tmp_path / "w.safetensors")


def test_epochs_are_judged_on_as_many_validation_images_as_were_asked_for(tmp_path):
    wrong = Split(DATA.validation.images, DATA.validation.labels.clone())
    wrong.labels[4:] = 1 - wrong.labels[4:]  # no network is right on all of both halves
    data = dataclasses.replace(DATA, validation=wrong)
    settings = dataclasses.replace(SETTINGS, epochs=12, net_options={"width": 4, "classes": 2})
    judged_on_all = train(settings, data, tmp_path / "all.safetensors")
    judged_on_four = train(dataclasses.replace(settings, validation_images=4), data, tmp_path / "four.safetensors")
    assert judged_on_all.best.natural < 1
    assert judged_on_four.best.natural == 1


def test_the_record_says_in_what_precision(tmp_path):
    out = tmp_path / "w.safetensors"
    train(dataclasses.replace(SETTINGS, epochs=1), DATA, out)
    assert checkpoints.read(out).metadata["precision"] == "fp32"  # what auto is on a CPU
    mixed = dataclasses.replace(SETTINGS, epochs=12, net_options={"width": 4, "classes": 2}, precision="bf16")
    result = train(mixed, DATA, out)
    checkpoint = checkpoints.read(out)
    assert checkpoint.metadata["precision"] == "bf16"
    assert checkpoint.weights["conv1.weight"].dtype == torch.float32
    assert result.best.robust == 1.0
