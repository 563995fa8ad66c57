"""Signals of the user's own, in arrays: given to the network as they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gdws.datasets import open_images
from gdws.errors import DataError

SHAPE = (2, 16)


@pytest.fixture
def values():
    return (100 * np.random.default_rng(0).standard_normal((20, *SHAPE))).astype(np.float32)


def everything(data):
    return torch.cat([split.images for split in (data.train, data.validation, data.test)])


def as_rows(values):
    return sorted(row.tobytes() for row in np.asarray(values, dtype=np.float32))


def test_their_values_stay_as_they_are(tmp_path, values):
    np.savez(tmp_path / "ecg.npz", signals=values, labels=np.arange(20) % 4)
    data = open_images(tmp_path / "ecg.npz", SHAPE)
    assert (data.classes, data.origin) == (4, "labelled")
    assert data.preparation == {"shape": [2, 16], "resize": None, "range": None}
    assert "20 signals, 4 classes" in data.notes[0]
    assert "taken as they are, 2 x 16 values each" in data.notes[0]
    assert everything(data).shape[1:] == SHAPE
    assert as_rows(everything(data)) == as_rows(values)
    for split in (data.train, data.test):
        for signal, label in zip(split.images, split.labels, strict=True):
            [row] = [row for row in range(20) if np.array_equal(values[row], signal)]
            assert row % 4 == label


@pytest.mark.parametrize(
    ("shape", "change"),
    [
        ((2, 16), lambda values: values.transpose(0, 2, 1)),
        ((2, 16), lambda values: values.astype(np.float64)),
        ((1, 32), lambda values: values.reshape(20, 32)),
        ((32,), lambda values: values.reshape(20, 32)),
        ((32,), lambda values: values.reshape(20, 1, 32)),
    ],
)
def test_ways_to_store_them(tmp_path, values, shape, change):
    np.save(tmp_path / "x.npy", change(values))
    data = open_images(tmp_path / "x.npy", shape)
    assert everything(data).shape[1:] == shape
    assert as_rows(everything(data)) == as_rows(values)


def test_whole_numbers_become_floats(tmp_path):
    samples = np.random.default_rng(0).integers(-30_000, 30_000, (10, 8)).astype(np.int16)
    np.savez(tmp_path / "audio.npz", X_train=samples[:7], Y_train=np.arange(7), X_test=samples[7:], Y_test=np.arange(3))
    data = open_images(tmp_path / "audio.npz", (1, 8))
    assert as_rows(everything(data)) == as_rows(samples)
    assert len(data.test) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values[:, :, :15], r"\(20, 2, 15\), and the network takes signals of \(2, 16\)"),
        (lambda values: values[:, :1], r"\(20, 1, 16\)"),
        (lambda values: values[0, 0, 0], "single value"),
        (lambda values: values.astype(complex), "complex128"),
        (lambda values: values > 0, "bool"),
        (lambda values: np.where(np.arange(20)[:, None, None] == 7, np.nan, values), "infinity, first in row 7"),
        (lambda values: values[:0], "no signals"),
    ],
)
def test_what_the_network_cannot_take(tmp_path, values, change, message):
    np.save(tmp_path / "x.npy", change(values))
    with pytest.raises(DataError, match=message):
        open_images(tmp_path / "x.npy", SHAPE)


def test_what_is_for_images_alone(tmp_path, values):
    with pytest.raises(DataError, match="not a file of arrays") as caught:
        open_images(tmp_path, SHAPE)
    assert ".npy" in str(caught.value.hint)
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(DataError, match="not resized"):
        open_images(tmp_path / "x.npy", SHAPE, resize="crop")
