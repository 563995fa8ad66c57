import pytest

from gdws_agent.first_run.catalogue import CHECKS, UnknownCheck, select

NAMES = [check.name for check in CHECKS]


def names(*arguments):
    return [check.name for check in select(*arguments)]


def test_all_are_run_in_their_order():
    assert names() == NAMES
    assert len(set(NAMES)) == len(NAMES)


def test_what_a_check_needs_comes_before_it():
    for index, check in enumerate(CHECKS):
        assert set(check.needs) <= set(NAMES[:index])


def test_some_alone_are_run_with_what_they_need():
    assert names(["profile", "stack"]) == ["stack", "device", "profile"]


def test_some_are_left_out():
    assert names([], ["trtexec", "rails"]) == [name for name in NAMES if name not in ("trtexec", "rails")]


@pytest.mark.parametrize(
    ("only", "skip", "words"),
    [
        (["stak"], [], "no check 'stak'"),
        ([], ["x"], "no check 'x'"),
        (["profile"], ["device"], "cannot be skipped"),
        (["stack"], ["stack"], "no check is left"),
        ([], NAMES, "no check is left"),
    ],
)
def test_what_cannot_be_is_said(only, skip, words):
    with pytest.raises(UnknownCheck, match=words):
        select(only, skip)
