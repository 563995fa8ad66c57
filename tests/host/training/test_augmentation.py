"""Random shifts and mirrors."""

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st

from gdws.training import flip_images, shift_images


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


@given(st.integers(0, 1000))
def test_mirrored_images_are_mirrored_whole(seed):
    images = torch.rand(6, 2, 4, 5, generator=torch.Generator().manual_seed(seed))
    mirrored = flip_images(images, torch.Generator().manual_seed(seed))
    for before, after in zip(images, mirrored, strict=True):
        assert torch.equal(after, before) or torch.equal(after, before.flip(-1))


def test_half_are_mirrored():
    images = torch.zeros(1000, 1, 1, 2)
    images[..., 0] = 1
    assert 400 < float(flip_images(images, torch.Generator().manual_seed(0))[..., 1].sum()) < 600
