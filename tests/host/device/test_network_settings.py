"""Proxies and certificates in the environment that no HTTP client takes."""

from __future__ import annotations

import pytest

from gdws.device.client import DeviceClient
from gdws.errors import DeviceUnreachable

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "socks9://127.0.0.1:1080"),
        ("all_proxy", "http://[::1"),
        ("HTTPS_PROXY", "http://proxy:port"),
        ("HTTP_PROXY", "ftp://user:secret@proxy:1"),
        ("NO_PROXY", "localhost,[::1"),
        ("no_proxy", "a:b:c"),
        ("SSL_CERT_FILE", "/gone/ca.pem"),
        ("SSLKEYLOGFILE", "/gone/keys"),
    ],
)
def test_the_variable_that_is_wrong_is_named_and_no_secret(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(DeviceUnreachable, match=f"{name} in the environment") as caught:
        DeviceClient("http://jetson.invalid:8000")
    assert "secret" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_socks_without_its_package_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(DeviceUnreachable, match="ALL_PROXY"):
        DeviceClient("http://jetson.invalid:8000")


def test_the_culprit_is_told_from_what_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "proxy:3128")
    monkeypatch.setenv("NO_PROXY", "localhost, .example.com, ::1, 10.0.0.0/8")
    DeviceClient("http://jetson.invalid:8000").close()
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:port")
    with pytest.raises(DeviceUnreachable, match="HTTPS_PROXY"):
        DeviceClient("http://jetson.invalid:8000")


def test_this_machine_needs_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks9://127.0.0.1:1080")
    DeviceClient("http://127.0.0.1:8000").close()


@pytest.mark.parametrize("host", ["a" * 70 + ".local", "a..b"])
def test_a_name_that_cannot_be_looked_up_is_unreachable(host: str) -> None:
    with DeviceClient(f"http://{host}") as client, pytest.raises(DeviceUnreachable, match="cannot be reached"):
        client.check()
