import pytest
import torch

from gdws.compression.calibration import margins


def test_scales_are_those_of_equation_8():
    logits = torch.tensor([[4.0, 1.0, 2.0]])
    factors, guarded = margins.scales(logits, tie=1e-4)
    torch.testing.assert_close(factors, torch.tensor([[1 / 3, 1 / 2]]) / 2**0.5)
    assert guarded == 0


def test_ties_are_guarded():
    factors, guarded = margins.scales(torch.tensor([[4.0, 4.0, 0.0], [1.0, 1.0, 1.0]]), tie=0.1)
    torch.testing.assert_close(factors[0], torch.tensor([1 / 0.4, 1 / 4]) / 2**0.5)
    assert not factors[1].any()
    assert guarded == 2


def test_a_difference_is_that_of_two_logits():
    logits = torch.tensor([[0.0, 5.0, 1.0]])
    cotangents = [margins.difference(logits, other, torch.tensor([2.0])) for other in (0, 1)]
    assert torch.cat(cotangents).tolist() == [[2.0, -2.0, 0.0], [0.0, -2.0, 2.0]]


@pytest.mark.parametrize("seed", range(5))
def test_a_random_sum_is_one_of_the_signed_sums(seed):
    logits = torch.tensor([[0.0, 5.0, 1.0, 4.0]])
    factors, _ = margins.scales(logits, tie=1e-4)
    found = margins.random_sum(logits, 1e-4, torch.Generator().manual_seed(seed))
    others = [0, 2, 3]
    torch.testing.assert_close(found[:, others].abs(), factors)
    torch.testing.assert_close(found.sum(), torch.tensor(0.0), atol=1e-6, rtol=0)


def test_squares_of_random_sums_average_to_the_sum_of_squares():
    logits = torch.tensor([[0.0, 5.0, 1.0, 4.0]]).expand(20_000, -1)
    gradient = torch.tensor([0.3, -1.0, 2.0, 0.7])
    sums = margins.random_sum(logits, 1e-4, torch.Generator().manual_seed(0)) @ gradient
    factors, _ = margins.scales(logits[:1], 1e-4)
    exact = ((gradient[[0, 2, 3]] - gradient[1]) * factors[0]).square().sum()
    assert float(sums.square().mean()) == pytest.approx(float(exact), rel=0.03)
