from __future__ import annotations

import platform
import pwd

import pytest

from gdws_agent.first_run import redaction
from gdws_agent.first_run.redaction import Redactor, Secret, secrets_of_machine
from support.agents import settings_for

TOKEN = "gdws_0123456789abcdefghijklmnopqrstuvwxyzABCDE"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"token {TOKEN}", "token [token]"),
        ("Authorization: Bearer abcdefgh12345678.x-y_z", "Authorization: Bearer [token]"),
        ("Authorization: Basic ZXJpa2E6cHc=, basic optimisations", "Authorization: Basic [token], basic optimisations"),
        ("http://erika:pw@127.0.0.1:3128/simple", "http://[login]@127.0.0.1:3128/simple"),
        ("at 192.168.1.17:8000", "at [address]:8000"),
        ("it is 10.0.0.5.", "it is [address]."),
        ("net 10.0.0.0/24", "net [address]/24"),
        ("at 127.0.0.1:8000 and 0.0.0.0", "at 127.0.0.1:8000 and 0.0.0.0"),
        ("inet6 fe80::1ff:fe23:4567:890a%eth0", "inet6 [address]"),
        ("at [2001:db8::17]:8000", "at [[address]]:8000"),
        ("at [::1]:8000", "at [::1]:8000"),
        ("ether 48:b0:2d:12:ab:cd", "ether [MAC address]"),
        ("ether 48-B0-2D-12-AB-CD", "ether [MAC address]"),
        ("GPU-3f2a1b4c-0d1e-2f3a-4b5c-6d7e8f901234", "GPU-[id]"),
        ("in /home/erika/data", "in /home/[user]/data"),
        ("at 18:42:59 in 00:11", "at 18:42:59 in 00:11"),
        ("std::bad_alloc at x::y", "std::bad_alloc at x::y"),
        ("8.5.2.2-1+cuda11.4, v8502, 1.2.3", "8.5.2.2-1+cuda11.4, v8502, 1.2.3"),
    ],
)
def test_what_looks_like_a_secret_goes_and_nothing_else(text, expected):
    assert Redactor().text(text) == expected


def test_a_version_of_four_numbers_stays_where_it_is_known_to_be_one():
    versions: set = set()
    redactor = Redactor((), versions)
    assert redactor.text("TensorRT 10.3.0.30") == "TensorRT [address]"
    versions.add("10.3.0.30")  # read only later, by a check
    assert redactor.text("TensorRT 10.3.0.30 at 10.3.0.31") == "TensorRT 10.3.0.30 at [address]"


def test_names_go_as_words_alone():
    redactor = Redactor([Secret("host name", "lab"), Secret("user", "erika"), Secret("user", "erika-m")])
    assert redactor.text("lab, label, erika-m@lab.local, /srv/erika/x") == (
        "[host name], label, [user]@[host name].local, /srv/[user]/x"
    )


def test_names_go_in_any_letter_case_and_beside_an_underscore():
    redactor = Redactor([Secret("host name", "cam-7"), Secret("user", "Erika")])
    assert redactor.text("CAM-7, cam-7_eth0, backup_of_erika, erikas") == (
        "[host name], [host name]_eth0, backup_of_[user], erikas"
    )


def test_a_document_is_redacted_at_any_depth_but_for_its_own_words():
    redactor = Redactor([Secret("user", "failed"), Secret("user", "erika")])
    document = {
        "status": "failed",
        "checks": [{"name": "of erika", "rows": [["erika", 1.5, None, True]], "failed": "it failed"}],
    }
    assert redactor.document(document) == {
        "status": "failed",
        "checks": [{"name": "of [user]", "rows": [["[user]", 1.5, None, True]], "failed": "it [user]"}],
    }


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with a name, a user, a serial number and tokens."""
    monkeypatch.setattr(platform, "node", lambda: "tunnel-cam-7.example.org")
    people = [pwd.struct_passwd(("mustermann", "x", 1000, 1000, "", "/data/mustermann", "/bin/bash"))]
    people += [pwd.struct_passwd(("nvidia", "x", 1001, 1001, "", "/home/nvidia", "/bin/bash"))]
    people += [pwd.struct_passwd(("www-data", "x", 33, 33, "", "/var/www", "/bin/false"))]
    monkeypatch.setattr(redaction.pwd, "getpwall", lambda: people)
    serial = tmp_path / "proc/device-tree/serial-number"
    serial.parent.mkdir(parents=True)
    serial.write_text("1423222007658\0")
    data = tmp_path / "data"
    data.mkdir()
    (data / "token").write_text("plain-looking-token-of-the-agent\n")
    return settings_for(data)


def test_a_machine_tells_its_own_secrets(machine, tmp_path):
    environment = {"SUDO_USER": "operator1", "GDWS_AGENT_READ_TOKEN": "another-plain-token-for-reading"}
    redactor = Redactor(secrets_of_machine(machine, environment, tmp_path))
    text = (
        "tunnel-cam-7 tunnel-cam-7.example.org mustermann /data/mustermann/x operator1 1423222007658 "
        "plain-looking-token-of-the-agent another-plain-token-for-reading"
    )
    assert redactor.text(text) == ("[host name] [host name] [user] [home]/x [user] [serial number] [token] [token]")


def test_the_names_that_boards_are_delivered_with_are_words_of_the_report(machine, tmp_path):
    redactor = Redactor(secrets_of_machine(machine, {"USER": "jetson"}, tmp_path))
    text = "NVIDIA Jetson with jetson_clocks, runtime: nvidia, www-data, root"
    assert redactor.text(text) == text
    assert redactor.text("/home/nvidia/x") == "/home/[user]/x"
