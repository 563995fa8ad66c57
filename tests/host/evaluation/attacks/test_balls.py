"""Projections, steps and draws: checked against their definitions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gdws.evaluation.attacks import balls

NORMS = ["linf", "l2", "l1"]


def tensors(seed: int, spread: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(3, 2, 3, 3, generator=generator, dtype=torch.float64)
    return images, images + spread * torch.randn(images.shape, generator=generator, dtype=torch.float64)


@given(st.integers(0, 1000), st.floats(0, 4), st.sampled_from(NORMS), st.floats(0, 3))
@settings(deadline=None, max_examples=80)
def test_projections_end_in_the_ball_and_the_range_and_leave_what_is_there(seed, eps, norm, spread):
    images, x = tensors(seed, spread)
    found = balls.project(x, images, eps, norm)
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
    assert float(balls.norms_of(found - images, norm).max()) <= eps + 1e-9
    torch.testing.assert_close(balls.project(found, images, eps, norm), found)


@given(st.integers(0, 1000), st.floats(0.1, 3))
@settings(deadline=None, max_examples=40)
def test_the_l1_projection_is_the_nearest_point(seed, eps):
    """For the nearest point p of a convex set, (x - p) . (q - p) <= 0 for every q of the set: its corners suffice."""
    centre = torch.full((1, 1, 2, 4), 0.5, dtype=torch.float64)
    x = centre + 0.3 * torch.randn(centre.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    nearest = balls._onto_l1(x - centre, eps).flatten()
    if float((x - centre).abs().sum()) <= eps:
        torch.testing.assert_close(nearest, (x - centre).flatten())
        return
    assert float(nearest.abs().sum()) == pytest.approx(eps)
    away = (x - centre).flatten() - nearest
    corners = eps * torch.cat([torch.eye(8), -torch.eye(8)]).double()
    assert float(((corners - nearest) @ away).max()) <= 1e-9


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_no_step_of_length_one_rises_more_than_the_steepest(norm):
    gradient = torch.randn(4, 1, 3, 3, dtype=torch.float64)
    best = balls.steepest(gradient, norm)
    torch.testing.assert_close(balls.norms_of(best, norm), torch.ones(4, dtype=torch.float64))
    for _ in range(50):
        other = torch.randn_like(gradient)
        other /= balls.expanded(balls.norms_of(other, norm), other.shape)
        assert ((gradient * other).sum(dim=(1, 2, 3)) <= (gradient * best).sum(dim=(1, 2, 3)) + 1e-12).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_where_it_is_flat_there_is_no_step(norm):
    assert not balls.steepest(torch.zeros(2, 1, 3, 3), norm).any()


@pytest.mark.parametrize("norm", NORMS)
def test_starts_fill_the_ball_evenly(norm):
    """In d dimensions the share of a uniform draw within the radius r eps is r^d; here d = 4."""
    images = torch.full((2000, 1, 2, 2), 0.5)
    drawn = balls.starts(images, torch.arange(2000), 0, eps=0.4, norm=norm, seed=3) - images
    radii = balls.norms_of(drawn, norm) / 0.4
    assert float(radii.max()) <= 1 + 1e-6
    for radius in (0.6, 0.8, 0.9):
        assert float((radii <= radius).float().mean()) == pytest.approx(radius**4, abs=0.04)
    assert drawn.mean(dim=0).abs().max() < 0.02


@pytest.mark.parametrize("norm", NORMS)
def test_starts_depend_on_index_seed_and_restart_alone(norm):
    images = torch.full((4, 1, 2, 2), 0.5)
    whole = balls.starts(images, torch.arange(4), 1, eps=0.1, norm=norm, seed=0)
    part = balls.starts(images[:2], torch.tensor([3, 1]), 1, eps=0.1, norm=norm, seed=0)
    assert torch.equal(part, whole[[3, 1]])
    assert not torch.equal(whole[0], whole[1])
    for restart, seed in ((0, 0), (1, 1)):
        other = balls.starts(images, torch.arange(4), restart, eps=0.1, norm=norm, seed=seed)
        assert not torch.equal(other, whole)
