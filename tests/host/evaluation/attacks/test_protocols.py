import pytest

from gdws.errors import GdwsError
from gdws.evaluation.attacks import AttackSpec, UnionSpec, protocols


@pytest.mark.parametrize("protocol", list(protocols.PROTOCOLS))
@pytest.mark.parametrize("name", protocols.names())
def test_every_name_is_an_attack_in_every_protocol_that_has_its_norm(name, protocol):
    if (protocol, name) == ("imagenet", "pgd-l1"):
        with pytest.raises(GdwsError, match="no attack in l1"):
            protocols.attack(name, protocol)
        return
    spec = protocols.attack(name, protocol, seed=5)
    assert spec.seed == 5
    if not isinstance(spec, UnionSpec):
        assert spec.eps == next(part.eps for part in protocols.PROTOCOLS[protocol] if part.norm == spec.norm)


def test_the_default_of_the_mnist_sample():
    assert protocols.attack("pgd", protocols.for_data("mnist-sample")) == AttackSpec()
    assert protocols.attack("pgd-linf", "mnist") == AttackSpec()


def test_the_papers_attack_on_cifar10():
    assert str(protocols.attack("pgd", "cifar10")).startswith("PGD-100 (l_inf, eps 0.0313725, step 0.00392157, random")


def test_the_union_of_maini_et_al():
    spec = protocols.attack("union", "msd")
    assert [(part.norm, part.eps, part.iterations) for part in spec.parts] == [
        ("linf", 0.03, 100),
        ("l2", 0.5, 500),
        ("l1", 12.0, 100),
    ]
    assert {(part.random_start, part.restarts) for part in spec.parts} == {(False, 11)}  # at the image, then ten


def test_single_settings_can_be_changed():
    spec = protocols.attack("pgd", "cifar10", eps=0.1, iterations=7, restarts=3, random_start=False)
    assert (spec.eps, spec.step, spec.iterations, spec.restarts, spec.random_start) == (0.1, 1 / 255, 7, 3, False)
    union = protocols.attack("union", "msd", iterations=2, restarts=1)
    assert {(part.iterations, part.restarts) for part in union.parts} == {(2, 1)}
    assert {part.eps for part in protocols.attack("union", "msd", eps=0).parts} == {0}


@pytest.mark.parametrize(
    ("name", "protocol", "options", "message"),
    [
        ("fgsm", "mnist", {}, "no attack 'fgsm'"),
        ("pgd-l3", "mnist", {}, "no attack 'pgd-l3'"),
        ("apgd-l1", "mnist", {}, "no attack 'apgd-l1'"),
        ("pgd", "svhn", {}, "no protocol 'svhn'"),
        ("union", "msd", {"eps": 0.1}, "own radius"),
        ("union", "msd", {"step": 0.1}, "own radius"),
        ("apgd", "mnist", {"step": 0.1}, "adapts its step size"),
        ("pgd", "mnist", {"eps": 2}, "eps is 2"),
    ],
)
def test_what_cannot_be_is_refused(name, protocol, options, message):
    with pytest.raises(GdwsError, match=message):
        protocols.attack(name, protocol, **options)


def test_data_without_a_protocol_asks_for_one():
    with pytest.raises(GdwsError, match="my-data") as caught:
        protocols.for_data("my-data")
    assert "cifar10" in caught.value.hint


@pytest.mark.parametrize("name", protocols.names())
def test_a_gentle_attack_is_short(name):
    spec = protocols.gentle(protocols.attack(name, "cifar10", seed=3), iterations=8)
    assert (spec.name, spec.iterations, spec.restarts, spec.seed) == ("pgd", 8, 1, 3)
    assert spec.step == spec.eps / 5
    assert protocols.gentle(AttackSpec(eps=0), iterations=8).eps == 0


@pytest.mark.parametrize("name", protocols.names())
def test_a_shortened_attack_keeps_its_balls(name):
    spec = protocols.attack(name, "msd", seed=3)
    before, after = (getattr(each, "parts", (each,)) for each in (spec, protocols.shortened(spec, iterations=5)))
    assert [(part.norm, part.eps, part.seed) for part in after] == [(part.norm, part.eps, part.seed) for part in before]
    assert all((part.name, part.iterations, part.restarts) == ("pgd", 5, 1) for part in after)


def test_a_short_attack_is_not_changed():
    spec = AttackSpec(iterations=4, restarts=2, step=0.01)
    assert protocols.shortened(spec, iterations=8) == spec
    assert protocols.shortened(spec, iterations=7) != spec
