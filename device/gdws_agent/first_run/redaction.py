"""Removal of private data from a report, so that it can be sent to others.

It replaces what this machine itself reports (host name, users, serial numbers, tokens) and what looks private:
access tokens, addresses of networks and network cards, home folders. Versions of four numbers look like IPv4
addresses; those that the report's own packages have are told to the redactor, and stay.
"""

from __future__ import annotations

import ipaddress
import platform
import pwd
import re
from pathlib import Path
from typing import Any, Collection, Dict, Iterable, List, Mapping, Match, NamedTuple, Pattern, Tuple

from gdws_agent.api.access import READ_TOKEN_FILE, READ_TOKEN_VARIABLE, TOKEN_FILE, TOKEN_VARIABLE
from gdws_agent.settings import Settings

#: Names that boards and images are delivered with: they say nothing about the owner, and the report uses them.
_COMMON_NAMES = frozenset(
    ("root", "gdws", "nobody", "user", "jetson", "nvidia", "tegra", "ubuntu", "tegra-ubuntu", "linux", "localhost")
)
_SERIAL_FILES = (
    "proc/device-tree/serial-number",
    "host/device-tree/serial-number",
    "sys/class/dmi/id/product_serial",
    "sys/class/dmi/id/product_uuid",
    "etc/machine-id",
)
_SHORTEST_SECRET = 3
#: Found by their pattern, or not private.
_OTHER_HOMES = ("/home/", "/Users/", "/root", "/var/lib/gdws-agent")
#: Fields whose words are the report's own.
_OWN_WORDS = frozenset(("status", "started_at", "tool", "version"))

#: Not within a longer word; an underscore ends one, as in ``backup_of_anna``.
_WHOLE = r"(?<![^\W_]){}(?![^\W_])"

_PATTERNS: Tuple[Tuple[str, Pattern[str]], ...] = (
    ("token", re.compile(r"\bgdws_[A-Za-z0-9._~+/=-]{16,}")),
    ("token", re.compile(r"(?i)(?:(?<=bearer )|(?<=authorization: basic ))[A-Za-z0-9._~+/=-]{8,}")),
    ("login", re.compile(r"(?<=://)[^/\s@'\"]+(?=@)")),
    ("MAC address", re.compile(r"(?<![0-9A-Fa-f:-])(?:[0-9A-Fa-f]{2}([:-]))(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}\b")),
    ("id", re.compile(r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b")),
    ("user", re.compile(r"(?<=/home/)[^/\s'\":]+|(?<=/Users/)[^/\s'\":]+")),
)
_IPV4 = re.compile(r"(?<![\w.+-])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d|[+-]\w)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:%\w+)?(?![\w:.])")


class Secret(NamedTuple):
    """A text that must not be in a report, and the word that stands in its place."""

    kind: str
    text: str


class Redactor:
    """Replaces secrets by their kind in brackets, e.g. ``[host name]``. ``versions``, also later ones, stay."""

    def __init__(self, secrets: Iterable[Secret] = (), versions: Collection[str] = ()) -> None:
        known = {secret.text: secret.kind for secret in secrets if len(secret.text) >= _SHORTEST_SECRET}
        # The longest first: a name may be part of another.
        self._known: List[Tuple[str, Pattern[str]]] = [
            (known[text], re.compile(_WHOLE.format(re.escape(text)), re.IGNORECASE))
            for text in sorted(known, key=len)[::-1]
        ]
        self._versions = versions

    def text(self, text: str) -> str:
        """Return ``text`` without secrets."""
        for kind, pattern in (*self._known, *_PATTERNS):
            text = pattern.sub(f"[{kind}]", text)
        text = _IPV4.sub(self._address, text)
        return _IPV6.sub(self._address, text)

    def document(self, value: Any) -> Any:
        """Return ``value``, plain data as of JSON, redacted but for its keys and the report's own words."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: each if key in _OWN_WORDS else self.document(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.document(each) for each in value]
        return value

    def _address(self, found: Match[str]) -> str:
        text = found.group()
        try:
            address = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            return text
        harmless = address.is_loopback or address.is_unspecified or text in self._versions
        return text if harmless else "[address]"


def secrets_of_machine(settings: Settings, environment: Mapping[str, str], root: Path = Path("/")) -> List[Secret]:
    """Return the names of this machine and its users, and the agent's tokens, as far as they are readable here."""
    return [
        *(Secret("host name", name) for name in _host_names(root) if name.lower() not in _COMMON_NAMES),
        *(Secret("user", name) for name in _user_names(environment) if name.lower() not in _COMMON_NAMES),
        *(Secret("home", home) for home in _homes(environment)),
        *(Secret("serial number", text) for text in (_read(root / name) for name in _SERIAL_FILES) if text),
        *(Secret("token", token) for token in _tokens(settings, environment)),
    ]


def _host_names(root: Path) -> List[str]:
    names = [platform.node(), _read(root / "etc/hostname")]
    return [part for name in names if name for part in {name, name.split(".")[0]}]


def _user_names(environment: Mapping[str, str]) -> List[str]:
    named = [environment.get(name, "") for name in ("USER", "LOGNAME", "SUDO_USER")]
    return [*filter(None, named), *(entry.pw_name for entry in _people())]


def _homes(environment: Mapping[str, str]) -> List[str]:
    """Return the home folders of users in unusual places."""
    homes: Dict[str, None] = dict.fromkeys([environment.get("HOME", ""), *(entry.pw_dir for entry in _people())])
    return [home for home in homes if home.startswith("/") and not home.startswith(_OTHER_HOMES)]


def _people() -> List[pwd.struct_passwd]:
    """Return the accounts of people, whose numbers start at 1000; 65534 is the account ``nobody``."""
    return [entry for entry in pwd.getpwall() if 1_000 <= entry.pw_uid < 65_534 and entry.pw_name != "gdws"]


def _tokens(settings: Settings, environment: Mapping[str, str]) -> List[str]:
    files = [settings.token_file, settings.read_token_file]
    files += [settings.data_dir / TOKEN_FILE, settings.data_dir / READ_TOKEN_FILE]
    given = [environment.get(name, "").strip() for name in (TOKEN_VARIABLE, READ_TOKEN_VARIABLE, "GDWS_TOKEN")]
    return [token for token in (*given, *(_read(path) for path in files if path is not None)) if token]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \n")
    except OSError:
        return ""
