"""Errors in the environment variables for proxies and certificates, reported by the name of the variable."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from gdws.errors import DeviceUnreachable


@contextmanager
def network_settings_named(url: str) -> Iterator[None]:
    """Convert errors of the HTTP client with the environment's settings into :class:`DeviceUnreachable`.

    Libraries raise nearly anything there: ImportError for SOCKS, ValueError and InvalidURL for invalid addresses,
    OSError for certificates. Values are not shown, since a proxy's address may contain a password.
    """
    try:
        yield
    except Exception as error:
        name, reason = _culprit() or ("the settings of proxies and certificates", error)
        raise DeviceUnreachable(
            f"{url} cannot be reached: {name} in the environment cannot be used ({reason})",
            url=url,
            hint="correct it or unset it; the format of a proxy is http://HOST:PORT",
        ) from error


def _culprit() -> tuple[str, Exception] | None:
    """The first variable with an invalid value, and its error."""
    for known, check in _CHECKS.items():
        for name in (known, known.lower()):
            error = _raised(check, os.environ.get(name))
            if error is not None:
                return name, error
    return None


def _raised(check: Callable[[str], object], value: str | None) -> Exception | None:
    if value:
        try:
            check(value)
        except Exception as error:
            return error
    return None


def _check_proxy(value: str) -> None:
    address = value if "://" in value else f"http://{value}"
    httpx.HTTPTransport(proxy=address, verify=False, trust_env=False).close()


def _check_exceptions(value: str) -> None:
    for host in filter(None, map(str.strip, value.split(","))):
        httpx.URL(host if "://" in host else f"all://{host.lstrip('*.')}")


_CHECKS: dict[str, Callable[[str], object]] = {
    "HTTP_PROXY": _check_proxy,
    "HTTPS_PROXY": _check_proxy,
    "ALL_PROXY": _check_proxy,
    "SSLKEYLOGFILE": lambda _: ssl.create_default_context(),  # read by the library itself
    "SSL_CERT_FILE": lambda value: ssl.create_default_context(cafile=value),
    "SSL_CERT_DIR": lambda value: ssl.create_default_context(capath=value),
    "NO_PROXY": _check_exceptions,
}
