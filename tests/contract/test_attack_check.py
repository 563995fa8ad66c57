"""What the figures of a second opinion amount to."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest
from pydantic import ValidationError

from gdws_contract.attack_check import LUCKY_SHARE, AttackCheck, is_beyond
from support.contract_examples import PROPORTION

SOUND = {"alone": PROPORTION, "vanishing": 0, "second_fooled": 0, "blind": 0, "queries": 200, "queried": 8}
NOT_TRUSTED = "The attack cannot be trusted here: the robust accuracy is only an upper bound."


def check(**changes) -> AttackCheck:
    """A sound one of 94 resisting images of 100, but for ``changes``."""
    return AttackCheck.model_validate({**SOUND, **changes})


def test_a_sound_attack_leaves_no_doubt():
    assert (check().trusted, check().doubts()) == (True, [])
    assert check(query_fooled=1, second_fooled=4).doubts() == []  # no more than luck, and what another loss finds


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"query_fooled": 2}, "uses no gradient, fools 2 of 8 images"),
        ({"vanishing": 94, "blind": 94}, "94 of the 94 images that resist give an attack no gradient"),
        ({"vanishing": 94, "queries": 0, "queried": 0}, "no attack without gradients in this norm"),
        ({"random": True}, "The network is random"),
    ],
    ids=["queries", "blind", "no queries", "random"],
)
def test_an_attack_that_fails_is_not_to_be_trusted(changes, words):
    found = check(**changes)
    assert not found.trusted
    assert words in found.doubts()[0]
    assert NOT_TRUSTED in found.doubts()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"second_fooled": 40}, "The attack alone leaves 94.0 % robust; by a loss that does not depend on the scale"),
        ({"vanishing": 94}, "vanishes on 94 of the 94 images"),
        ({"probabilities": True}, "probabilities instead of logits"),
    ],
    ids=["second loss", "vanishing", "probabilities"],
)
def test_what_was_made_good_is_said_and_trusted(changes, words):
    found = check(**changes)
    assert found.trusted
    assert len(found.doubts()) == 1
    assert words in found.doubts()[0]


def tail(fooled: int, count: int, share: float) -> Fraction:
    """The exact probability that a binomial variable reaches ``fooled``."""
    p = Fraction(share)
    return 1 - sum(comb(count, k) * p**k * (1 - p) ** (count - k) for k in range(fooled))


@pytest.mark.parametrize("share", [LUCKY_SHARE, 0.05])
@pytest.mark.parametrize("count", [1, 4, 8, 64])
def test_beyond_luck_is_a_binomial_tail_below_one_percent(share, count):
    for fooled in range(count + 1):
        assert is_beyond(fooled, count, share) == (tail(fooled, count, share) < Fraction(1, 100))


def test_counts_of_a_whole_data_set_do_not_overflow():
    assert is_beyond(50_000, 50_000, LUCKY_SHARE)
    assert not is_beyond(500, 50_000, LUCKY_SHARE)
    assert not is_beyond(0, 0, LUCKY_SHARE)


@pytest.mark.parametrize(
    "changes", [{"second_fooled": 95}, {"vanishing": 95}, {"blind": 95}, {"queried": 95}, {"query_fooled": 9}], ids=str
)
def test_more_than_there_were_is_refused(changes):
    with pytest.raises(ValidationError, match="than there were"):
        check(**changes)
