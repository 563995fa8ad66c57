import os
import stat

import pytest

from gdws_agent.api.access import (
    READ_TOKEN_VARIABLE,
    TOKEN_VARIABLE,
    Access,
    announcement,
    given_tokens,
    is_exposed,
    open_access,
)
from gdws_agent.errors import DataUnusable, SettingsInvalid
from support.agents import settings_for

FULL, READ = "f" * 32, "r" * 32


def bearer(token):
    return b"Bearer " + token.encode()


@pytest.mark.parametrize(
    ("authorization", "role"),
    [
        (bearer(FULL), "full"),
        (b"bearer   " + FULL.encode(), "full"),
        (bearer(READ), "read-only"),
        (bearer(FULL[:-1]), None),
        (bearer(FULL + "f"), None),
        (bearer(""), None),
        (b"Basic " + FULL.encode(), None),
        (FULL.encode(), None),
        (b"\xff\xfe", None),
        (b"", None),
        (None, None),
    ],
)
def test_a_token_gives_its_role_and_nothing_else_does(authorization, role):
    assert Access(FULL, READ).role_of(authorization) == role


def test_without_a_read_only_token_an_empty_one_is_none():
    assert Access(FULL).role_of(b"Bearer ") is None
    assert Access(FULL).role_of(b"Bearer") is None


def test_without_tokens_everybody_may_do_everything():
    assert Access().is_open
    assert Access().role_of(None) == Access().role_of(b"Bearer x") == "full"


def test_the_comparison_is_of_constant_time(monkeypatch):
    """Both tokens are compared, whole, by the function made for it, whichever fits."""
    compared = []

    def compare(first, second):
        compared.append(second)
        return first == second

    monkeypatch.setattr("hmac.compare_digest", compare)
    for token in (FULL, READ, "x"):
        Access(FULL, READ).role_of(bearer(token))
    assert compared == [FULL.encode(), READ.encode()] * 3


@pytest.mark.parametrize(
    ("address", "exposed"),
    [
        ("127.0.0.1", False),
        ("127.9.9.9", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("0.0.0.0", True),
        ("::", True),
        ("192.168.1.2", True),
        ("fe80::1%eth0", True),
    ],
)
def test_what_other_machines_reach_is_exposed(address, exposed):
    assert is_exposed(address) == exposed


def opened(folder, environment=None, exposed=True, **settings):
    return open_access(
        settings_for(folder, **settings), folder, {} if environment is None else environment, exposed=exposed
    )


def test_on_loopback_no_token_is_needed_or_made(tmp_path):
    access, made = opened(tmp_path, exposed=False)
    assert (access.is_open, made, os.listdir(str(tmp_path))) == (True, (), [])


def test_elsewhere_tokens_are_made_once_and_kept_for_the_owner_alone(tmp_path):
    access, made = opened(tmp_path)
    again, made_again = opened(tmp_path)

    assert [one.role for one in made] == ["full", "read-only"]
    assert made_again == ()
    for one in made:
        assert access.role_of(bearer(one.token)) == again.role_of(bearer(one.token)) == one.role
        assert one.path.read_text().strip() == one.token
        assert stat.S_IMODE(one.path.stat().st_mode) == 0o600
        assert len(one.token) >= 43
    assert sorted(os.listdir(str(tmp_path))) == ["read-token", "token"]
    assert all(one.token in announcement(made) for one in made)


def test_two_agents_make_different_tokens(tmp_path):
    tokens = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        tokens.update(one.token for one in opened(tmp_path / name)[1])
    assert len(tokens) == 4


def test_a_given_token_is_asked_for_on_loopback_too_and_leaves_the_environment(tmp_path):
    environment = {TOKEN_VARIABLE: FULL, READ_TOKEN_VARIABLE: READ, "PATH": "/bin"}
    access, made = opened(tmp_path, environment, exposed=False)

    assert (access.role_of(bearer(FULL)), access.role_of(bearer(READ)), access.role_of(None)) == (
        "full",
        "read-only",
        None,
    )
    assert (made, environment, os.listdir(str(tmp_path))) == ((), {"PATH": "/bin"}, [])


def test_a_read_only_token_is_made_beside_a_full_one_that_was_given(tmp_path):
    access, made = opened(tmp_path, {TOKEN_VARIABLE: FULL})
    assert [one.role for one in made] == ["read-only"]
    assert access.role_of(bearer(FULL)) == "full"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_tokens_may_come_from_files_which_win_over_variables(tmp_path, encoding):
    path = tmp_path / "secret"
    path.write_text(f"\n{FULL}\n", encoding=encoding)
    found = given_tokens(settings_for(tmp_path, token_file=path), {TOKEN_VARIABLE: "x" * 30})
    assert found == {"full": FULL}


@pytest.mark.parametrize(
    "token", ["short", "a" * 19, "a" * 513, "has a space in it, and more", "ü" * 30, "line\nbreak" * 5]
)
def test_an_invalid_token_is_refused_and_not_repeated_in_the_error(tmp_path, token):
    with pytest.raises(SettingsInvalid) as caught:
        given_tokens(settings_for(tmp_path), {TOKEN_VARIABLE: token})

    assert TOKEN_VARIABLE in caught.value.message
    assert token not in caught.value.message
    assert "secrets" in caught.value.hint


def test_both_tokens_the_same_are_refused(tmp_path):
    with pytest.raises(SettingsInvalid):
        given_tokens(settings_for(tmp_path), {TOKEN_VARIABLE: FULL, READ_TOKEN_VARIABLE: FULL})


def test_a_read_only_token_alone_is_refused_on_loopback(tmp_path):
    with pytest.raises(SettingsInvalid) as caught:
        opened(tmp_path, {READ_TOKEN_VARIABLE: READ}, exposed=False)
    assert TOKEN_VARIABLE in caught.value.hint


def test_a_file_that_is_not_there_is_told_with_its_option(tmp_path):
    with pytest.raises(SettingsInvalid) as caught:
        given_tokens(settings_for(tmp_path, token_file=tmp_path / "none"), {})
    assert "--token-file" in caught.value.message


def test_a_kept_token_that_others_can_read_is_closed_and_said_so(tmp_path, caplog):
    opened(tmp_path)
    (tmp_path / "token").chmod(0o644)
    opened(tmp_path)
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    assert "readable by other users" in caplog.text


def test_a_kept_token_that_is_damaged_is_told_and_not_replaced(tmp_path):
    (tmp_path / "token").write_text("")
    with pytest.raises(DataUnusable) as caught:
        opened(tmp_path)
    assert "delete it" in caught.value.hint
