import pytest
import torch
from torch import nn

from gdws.evaluation.attacks import AttackSpec, UnionSpec
from gdws.evaluation.attacks.run import perturb

torch.manual_seed(0)
MODEL = nn.Sequential(nn.Flatten(), nn.Linear(36, 4)).eval()
IMAGES = torch.rand(60, 1, 6, 6)
LABELS = MODEL(IMAGES).argmax(dim=1)
PARTS = (
    AttackSpec(eps=0.02, step=0.01, iterations=4),
    AttackSpec(norm="l2", eps=0.15, step=0.05, iterations=4),
    AttackSpec(norm="l1", eps=0.25, step=0.1, iterations=4),
)


def resisting(spec, indices=None):
    chosen = torch.arange(60) if indices is None else indices
    found = perturb(MODEL, IMAGES[chosen], LABELS[chosen], spec, indices=chosen)
    return (MODEL(found).argmax(dim=1) == LABELS[chosen]).tolist()


def test_an_image_is_robust_if_it_resists_every_part():
    alone = [resisting(part) for part in PARTS]
    assert resisting(UnionSpec(PARTS)) == [all(each) for each in zip(*alone, strict=True)]
    assert 0 < sum(resisting(UnionSpec(PARTS))) <= min(map(sum, alone)) < max(map(sum, alone))


def test_it_does_not_depend_on_the_batches():
    part = torch.tensor([50, 3, 17])
    whole = resisting(UnionSpec(PARTS))
    assert resisting(UnionSpec(PARTS), part) == [whole[index] for index in part]


def test_later_parts_see_only_what_is_left():
    sizes = []
    watch = nn.Sequential(MODEL)
    watch.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    perturb(watch, IMAGES, LABELS, UnionSpec(PARTS))
    first = sum(resisting(PARTS[0]))
    assert sizes[:5] == [60] * 5
    assert sizes[5:10] == [first] * 5


@pytest.mark.parametrize("name", ["pgd", "apgd"])
def test_a_budget_of_zero_returns_the_images(name):
    step = 0.1 if name == "pgd" else None
    assert torch.equal(perturb(MODEL, IMAGES, LABELS, AttackSpec(name=name, eps=0, step=step)), IMAGES)
