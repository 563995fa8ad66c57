"""The robust accuracy of networks that hide their gradients is that of the same function with gradients in sight."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the customary name)

from gdws import datasets
from gdws.bundles.packing import host_evaluation
from gdws.bundles.variant import Variant
from gdws.datasets import Split
from gdws.evaluation.attacks import AttackSpec, UnionSpec
from gdws.evaluation.attacks.pgd import pgd
from gdws.evaluation.evaluate import Evaluation, evaluate
from gdws.networks import sources
from gdws.networks.sources import Source
from gdws.pipeline import evaluate_all, evaluation_doubts
from gdws.pipeline.demo import DATA, NETWORKS
from support.masked import Mask, Masked, jpeg, problem

ATTACKS = {
    "linf": AttackSpec(eps=0.02, step=0.002, iterations=40),
    "l2": AttackSpec(norm="l2", eps=0.14, step=0.014, iterations=40),
    "l1": AttackSpec(norm="l1", eps=0.8, step=0.08, iterations=40),
}

#: Masks, and a word of what must be said; None where nothing need be.
MASKS: dict[str, tuple[Mask, str | None]] = {
    "none": (lambda n, x: n(x), None),
    "scaled logits": (lambda n, x: n(x) * 200, "cross-entropy vanishes"),
    "softmax": (lambda n, x: n(x).softmax(dim=1), "returns probabilities"),
    "softmax of scaled logits": (lambda n, x: (n(x) * 200).softmax(dim=1), "cross-entropy vanishes"),
    "log-softmax": (lambda n, x: F.log_softmax(n(x), dim=1), None),
    "own softmax": (lambda n, x: (n(x) / 9).exp() / (n(x) / 9).exp().sum(dim=1, keepdim=True), "returns probabilities"),
    "sigmoid": (lambda n, x: n(x).sigmoid(), None),
    "temperature": (lambda n, x: n(x) / 5_000, "by a loss that does not depend on the scale"),
    "rounded pixels": (lambda n, x: n((x * 255).round() / 255), "cross-entropy vanishes"),
    "truncated pixels": (lambda n, x: n(torch.floor(x * 255 + 0.5) / 255), "cross-entropy vanishes"),
    "JPEG": (lambda n, x: n(jpeg(x)), "cross-entropy vanishes"),
}


def judged(mask: Mask, attack: AttackSpec | UnionSpec, **options) -> Evaluation:
    clear, images, _ = problem()
    model = Masked(clear, mask).eval()
    with torch.no_grad():
        labels = model(images).argmax(dim=1)  # its own: a mask may change one or two
    return evaluate(model, images, labels, attack, **options)


def clear_robust(attack: AttackSpec) -> int:
    """How many of the 64 images the clear network gets right under a long attack."""
    clear, images, labels = problem()
    return int((clear(pgd(clear, images, labels, attack)).argmax(dim=1) == labels).sum())


@pytest.mark.parametrize("norm", ATTACKS)
@pytest.mark.parametrize("name", MASKS)
def test_the_robust_accuracy_is_that_of_the_function(name, norm):
    mask, word = MASKS[name]
    found = judged(mask, ATTACKS[norm])
    assert found.robust is not None
    assert abs(found.robust.successes - clear_robust(ATTACKS[norm])) <= 3  # of 64
    told = " ".join(found.doubts())
    assert (word or "") in told
    if word is None:
        assert not told or "by a loss that does not depend on the scale" in told


@pytest.mark.parametrize("name", ["scaled logits", "rounded pixels", "JPEG"])
def test_the_attack_alone_overestimates_robustness(name):
    check = judged(MASKS[name][0], ATTACKS["linf"]).attack_check
    assert check is not None
    assert check.alone.value > 0.9
    assert check.vanishing == check.alone.successes
    assert check.trusted  # what was found in its place stands


HIDDEN: dict[str, tuple[Mask, str]] = {
    "integers": (lambda n, x: n((x * 255).round().to(torch.uint8) / 255), "uses no gradient, fools"),
    "signs": (lambda n, x: n.linear(torch.sign(n.conv(x)).flatten(1)), "uses no gradient, fools"),
    "comparisons": (lambda n, x: n.linear((n.conv(x) > 0).float().flatten(1)), "no gradient at all"),
    "classes": (lambda n, x: F.one_hot(n(x).argmax(dim=1), 5).float(), "no gradient at all"),
    "a constant": (lambda n, x: torch.eye(5)[:1].expand(len(x), 5), "no gradient at all"),
    "NaN": (lambda n, x: n(x + (x - x).sqrt()), "one that is not finite"),
    "noise": (lambda n, x: n(x + 0.003 * torch.randn_like(x)), "The network is random"),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_what_no_attack_can_be_trusted_on_is_said(name):
    mask, word = HIDDEN[name]
    found = judged(mask, ATTACKS["linf"])
    assert found.attack_check is not None
    assert not found.attack_check.trusted
    assert word in " ".join(found.doubts())


CLIPS: dict[str, Mask] = {
    "clamp": lambda n, x: n(x.clamp(0, 1)),
    "clip": lambda n, x: n(torch.clip(x, min=0, max=1)),
    "hardtanh": lambda n, x: n(F.hardtanh(x, 0, 1)),
    "relu": lambda n, x: n(1 - torch.relu(1 - torch.relu(x))),
}


@pytest.mark.parametrize("name", CLIPS)
def test_clipped_pixels_of_black_and_white_images_do_not_hide(name):
    clear, images, _ = problem()
    images = images.round()
    with torch.no_grad():
        labels = clear(images).argmax(dim=1)
    wanted, found = (
        evaluate(Masked(clear, mask).eval(), images, labels, ATTACKS["linf"])
        for mask in (MASKS["none"][0], CLIPS[name])
    )
    assert found.attack_check.alone.successes > wanted.robust.successes + 6  # of 64: there is something to find
    assert abs(found.robust.successes - wanted.robust.successes) <= 3


@pytest.mark.parametrize("norm", ATTACKS)
def test_a_gradient_that_is_partly_not_finite_is_said_in_each_norm(norm):
    clear, images, _ = problem()
    images[:, :, :3] = 0
    with torch.no_grad():
        labels = clear(images).argmax(dim=1)
    found = evaluate(Masked(clear, lambda n, x: n(x.pow(2).sqrt())).eval(), images, labels, ATTACKS[norm])
    assert not found.attack_check.trusted
    assert "not finite" in " ".join(found.doubts())


def test_queries_find_what_integers_hide_on_all_images():
    found = judged(HIDDEN["integers"][0], ATTACKS["linf"])
    check = found.attack_check
    assert check.queried == check.alone.successes - check.second_fooled  # not on a sample alone
    assert found.robust.successes == check.queried - check.query_fooled
    assert found.robust.value < 0.6 < 0.9 < check.alone.value


def test_a_union_is_checked_in_each_of_its_norms():
    union = UnionSpec((ATTACKS["linf"], ATTACKS["l1"]))
    found, clear = judged(MASKS["rounded pixels"][0], union), judged(MASKS["none"][0], union)
    assert found.attack_check.alone.value > 0.9
    assert found.attack_check.queries > 0
    assert abs(found.robust.successes - clear.robust.successes) <= 3


@pytest.mark.parametrize("name", ["rounded pixels", "integers"])
def test_batches_do_not_matter(name):
    mask = {**MASKS, **HIDDEN}[name][0]
    whole, parts = (judged(mask, ATTACKS["linf"], batch_size=size) for size in (128, 7))
    assert (whole.robust, whole.attack_check) == (parts.robust, parts.attack_check)


def test_seeds_do():
    few = AttackSpec(eps=0.02, step=0.002, iterations=1)
    found = {
        judged(HIDDEN["integers"][0], AttackSpec(eps=few.eps, step=few.step, iterations=1, seed=seed)).robust.value
        for seed in range(3)
    }
    assert len(found) > 1


def test_at_radius_0_or_switched_off_there_is_no_check():
    mask = MASKS["rounded pixels"][0]
    assert judged(mask, AttackSpec(eps=0)).attack_check is None
    alone = judged(mask, ATTACKS["linf"], check=False)
    assert (alone.attack_check, alone.doubts()) == (None, [])
    assert alone.robust.value > 0.9


def test_the_check_goes_into_a_bundle():
    found = judged(HIDDEN["integers"][0], ATTACKS["linf"])
    assert host_evaluation(found, "noise").attack_check == found.attack_check
    assert found.to_dict()["attack_check"]["trusted"] is False


def test_the_network_that_ships_leaves_no_doubt():
    name, attack = NETWORKS[DATA]
    source, data = sources.load(name), datasets.load(DATA)
    images = data.test.first(8)
    found = evaluate(source.module, images.images, images.labels, attack)
    assert found.doubts() == []
    assert found.attack_check.trusted
    assert found.robust.value > 0.8


def test_accuracy_near_chance_is_said():
    clear, images, labels = problem()
    shifted = evaluate(clear, images, (labels + torch.arange(64)) % 5)
    assert any("near chance" in doubt for doubt in shifted.doubts())
    assert evaluate(clear, images, labels).doubts() == []


@pytest.mark.parametrize("calls", [100, 300, 500, 900])
def test_queries_go_on_where_they_were_interrupted(tmp_path, calls):
    """Within the attack, the sample, and the rest."""
    clear, images, labels = problem()
    model = Masked(clear, HIDDEN["integers"][0]).eval()
    whole = evaluate(model, images, labels, ATTACKS["linf"], batch_size=16)
    left = iter(range(calls))

    def interrupt(module: nn.Module, inputs: object) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    with model.register_forward_pre_hook(interrupt), pytest.raises(KeyboardInterrupt):
        evaluate(model, images, labels, ATTACKS["linf"], batch_size=16, state=tmp_path / "state")
    resumed = evaluate(model, images, labels, ATTACKS["linf"], batch_size=10, state=tmp_path / "state")
    assert (resumed.robust, resumed.attack_check) == (whole.robust, whole.attack_check)


def test_doubts_are_listed_network_by_network():
    clear, images, labels = problem()
    wrong = Split(images, (labels + torch.arange(64)) % 5)
    names = {"dense": MASKS["none"][0], "other": HIDDEN["a constant"][0]}
    variants = [Variant(name, Masked(clear, mask).eval()) for name, mask in names.items()]
    evaluated = evaluate_all(variants, wrong, "noise", ATTACKS["linf"])
    doubts = evaluation_doubts(Source("net", variants[0].module, (1, 12, 12), {}), evaluated)
    assert doubts[0].startswith("other: ")
    assert doubts[-1].startswith("net: The natural accuracy is near chance")
