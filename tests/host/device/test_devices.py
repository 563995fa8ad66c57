"""devices.toml: which devices it names, where their tokens come from, and how its errors name the field."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdws.device.devices import Device, choose_devices, load_devices, named, with_tags
from gdws.errors import SettingsError

DEVICES = """
[devices.xavier]
url = "http://xavier:8000"
tags = ["jetson", "jp5"]
token_variable = "XAVIER_TOKEN"

[devices.orin]
url = "http://orin:8000"
tags = ["jetson"]
"""


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


TOKENS = {"XAVIER_TOKEN": "secret"}
XAVIER, ORIN = Device("xavier", "http://xavier:8000", "secret"), Device("orin", "http://orin:8000")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("orin", [ORIN]),
        ("orin, xavier", [ORIN, XAVIER]),
        ("tag:jetson", [XAVIER, ORIN]),
        ("tag:jp5,orin,xavier", [XAVIER, ORIN]),
        ("http://nano:8000,orin", [Device("http://nano:8000", "http://nano:8000"), ORIN]),
        ("local", [Device("local", "local")]),
    ],
)
def test_devices_go_by_name_tag_and_address(tmp_path: Path, wanted: str, expected: list[Device]) -> None:
    assert choose_devices(wanted, written(tmp_path, "devices.toml", DEVICES), TOKENS) == expected


@pytest.mark.parametrize(
    ("wanted", "words"),
    [("nano", "there is no device 'nano'"), ("tag:x", "no device has the tag 'x'"), (" , ", "no device is named")],
)
def test_what_no_device_is_called_is_refused(tmp_path: Path, wanted: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        choose_devices(wanted, written(tmp_path, "devices.toml", DEVICES), TOKENS)


def test_a_token_that_is_not_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="XAVIER_TOKEN is not set"):
        choose_devices("xavier", written(tmp_path, "devices.toml", DEVICES), {})


def test_a_malformed_file_of_devices_names_the_field(tmp_path: Path) -> None:
    path = written(tmp_path, "devices.toml", "[devices.xavier]\nuri = 'x'")
    with pytest.raises(SettingsError) as caught:
        choose_devices("xavier", path, {})
    assert caught.value.field == "devices.xavier.url"
    assert "a device has url, " in str(caught.value.hint)


def test_a_token_is_read_from_its_file(tmp_path: Path) -> None:
    token = written(tmp_path, "token", "secret\n")
    path = written(tmp_path, "devices.toml", f"[devices.orin]\nurl = 'http://orin'\ntoken_file = '{token}'")
    assert choose_devices("orin", path, {}) == [Device("orin", "http://orin", "secret")]
    token.write_text(" ")
    with pytest.raises(SettingsError, match="is empty"):
        choose_devices("orin", path, {})
    token.unlink()
    with pytest.raises(SettingsError, match="the token of orin cannot be read") as caught:
        named("orin", load_devices(path)["orin"], {})
    assert caught.value.field == "devices.orin.token_file"


def test_a_token_has_one_source(tmp_path: Path) -> None:
    text = "[devices.orin]\nurl = 'x'\ntoken_file = 'y'\ntoken_variable = 'Z'"
    with pytest.raises(SettingsError, match="token_variable or token_file, not both"):
        load_devices(written(tmp_path, "devices.toml", text))


def test_tags_choose_devices_and_none_chooses_all(tmp_path: Path) -> None:
    known = load_devices(written(tmp_path, "devices.toml", DEVICES))
    assert list(with_tags(known, [])) == ["xavier", "orin"]
    assert list(with_tags(known, ["jp5"])) == ["xavier"]
    assert list(with_tags(known, ["jp5", "jetson"])) == ["xavier", "orin"]
    with pytest.raises(SettingsError, match="no device has the tag 'x'"):
        with_tags(known, ["jetson", "x"])


def test_there_are_no_devices_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_devices(None) == {}
