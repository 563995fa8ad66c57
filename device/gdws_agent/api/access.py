"""Access control: the two tokens, their sources, and the access that a token gives.

The full token allows everything, the read-only one GET alone, for dashboards. An agent that listens on loopback
alone needs none unless one is given; any other address needs one, and where none is given both are made at the
first start, kept in the data folder for its owner's eyes, and told once. Sent as RFC 6750 has it:
``Authorization: Bearer TOKEN``.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import os
import re
import secrets
from pathlib import Path
from typing import Dict, Mapping, MutableMapping, NamedTuple, Optional, Tuple

from typing_extensions import Literal

from gdws_agent.errors import DataUnusable, SettingsInvalid
from gdws_agent.settings import ENVIRONMENT_PREFIX, Settings, option_name

_LOG = logging.getLogger(__name__)

Role = Literal["full", "read-only"]

#: Variables that hold the tokens themselves. There is no such option: other users can read command lines.
TOKEN_VARIABLE = ENVIRONMENT_PREFIX + "TOKEN"
READ_TOKEN_VARIABLE = ENVIRONMENT_PREFIX + "READ_TOKEN"
#: Files of generated tokens in the data folder.
TOKEN_FILE = "token"
READ_TOKEN_FILE = "read-token"

_RANDOM_BYTES = 32
#: RFC 6750 b64token. The length rules out guessing, which no limit on attempts could.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{20,512}")
_SCHEME = b"bearer "


class Access:
    """The tokens that clients need. Without tokens every client has full access."""

    def __init__(self, token: Optional[str] = None, read_token: Optional[str] = None) -> None:
        self._token = None if token is None else token.encode()
        self._read_token = None if read_token is None else read_token.encode()

    @property
    def is_open(self) -> bool:
        """Whether no token is needed."""
        return self._token is None

    def role_of(self, authorization: Optional[bytes]) -> Optional[Role]:
        """Return the access that the header ``Authorization`` gives, or None.

        Takes the same time whatever was presented, so that nothing about a token can be learnt from it.
        """
        if self._token is None:
            return "full"
        presented = _bearer(authorization)
        is_full = hmac.compare_digest(presented, self._token)
        is_read = hmac.compare_digest(presented, self._read_token or b"") and self._read_token is not None
        return "full" if is_full else "read-only" if is_read else None


class Made(NamedTuple):
    """A newly generated token, to be printed once."""

    role: Role
    token: str
    path: Path


def is_exposed(address: str) -> bool:
    """Return whether the IP ``address`` is reachable from other machines."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    return not (mapped or ip).is_loopback


def open_access(
    settings: Settings, folder: Path, environment: MutableMapping[str, str], *, exposed: bool
) -> Tuple[Access, Tuple[Made, ...]]:
    """Return the agent's access and the tokens that were made for it in the data ``folder``.

    Tokens are taken out of ``environment``, so that no process that the agent starts inherits them.

    Raises:
        SettingsInvalid: a given token cannot be used.
        DataUnusable: a token's file cannot be read or written.
    """
    given = given_tokens(settings, environment)
    for name in (TOKEN_VARIABLE, READ_TOKEN_VARIABLE):
        environment.pop(name, None)
    if not exposed and "full" not in given:
        if given:
            raise SettingsInvalid(
                "a read-only token without a full one", hint=f"set {TOKEN_VARIABLE} or --token-file as well"
            )
        return Access(), ()
    tokens: Dict[Role, str] = {}
    made = []
    files: Tuple[Tuple[Role, str], ...] = (("full", TOKEN_FILE), ("read-only", READ_TOKEN_FILE))
    for role, name in files:
        if role in given:
            tokens[role] = given[role]
            continue
        token, is_new = _kept_token(role, folder / name)
        tokens[role] = token
        if is_new:
            made.append(Made(role, token, folder / name))
    return Access(tokens["full"], tokens["read-only"]), tuple(made)


def given_tokens(settings: Settings, environment: Mapping[str, str]) -> Dict[Role, str]:
    """Return the tokens that the settings' files or else ``environment`` give.

    Raises:
        SettingsInvalid: one is no token, its file cannot be read, or both are the same.
    """
    sources: Tuple[Tuple[Role, Optional[Path], str, str], ...] = (
        ("full", settings.token_file, option_name("token_file"), TOKEN_VARIABLE),
        ("read-only", settings.read_token_file, option_name("read_token_file"), READ_TOKEN_VARIABLE),
    )
    found: Dict[Role, str] = {}
    for role, path, option, variable in sources:
        if path is not None:
            found[role] = _checked(_read_given(path, option), f"{option} {path}")
        elif environment.get(variable):
            found[role] = _checked(environment[variable].strip(), variable)
    if len(found) == 2 and len(set(found.values())) == 1:
        raise SettingsInvalid("the read-only token is the full one", hint="use two different tokens")
    return found


def announcement(made: Tuple[Made, ...]) -> str:
    """Return what to print when tokens were made: each of them, where it is kept, and how to use it."""
    words: Dict[Role, str] = {"full": "full access", "read-only": "read-only (GET)"}
    lines = ["gdws-agent: made access tokens; they are shown this once"]
    lines += [f"  {words[one.role] + ':':<17} {one.token}  (kept in {one.path})" for one in made]
    lines.append("  use one with: export GDWS_TOKEN=...; gdws bench ...   or   curl -H 'Authorization: Bearer ...'")
    return "\n".join(lines)


def _bearer(authorization: Optional[bytes]) -> bytes:
    if authorization is None or authorization[: len(_SCHEME)].lower() != _SCHEME:
        return b""
    return authorization[len(_SCHEME) :].strip()


def _checked(token: str, source: str) -> str:
    # The value is not repeated: what was mistyped is most of a secret.
    if not _TOKEN.fullmatch(token):
        raise SettingsInvalid(
            f"{source} has no valid token: 20 to 512 letters, digits or ._~+/=-",
            hint='generate one with: python3 -c "import secrets; print(secrets.token_urlsafe(32))"',
        )
    return token


def _read_given(path: Path, option: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(4_096).decode("utf-8-sig", "replace").strip()
    except OSError as error:
        message = f"{option} {path}: {error.strerror}"
        raise SettingsInvalid(message, hint="name a file that this user can read") from error


def _kept_token(role: Role, path: Path) -> Tuple[str, bool]:
    """Return the token in the data folder and whether it was made just now."""
    try:
        if not path.exists():
            token = ("gdws_" if role == "full" else "gdws_ro_") + secrets.token_urlsafe(_RANDOM_BYTES)
            _write_private(path, token)
            return token, True
        if path.stat().st_mode & 0o077:
            _LOG.warning(
                "%s was readable by other users; its permissions are corrected now, but delete it to get a new one",
                path,
            )
            path.chmod(0o600)
        token = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise DataUnusable(f"the token's file {path} cannot be used: {error.strerror}") from error
    if not _TOKEN.fullmatch(token):
        raise DataUnusable(
            f"{path} contains no valid token", hint="delete it: a new token is generated at the next start"
        )
    return token, False


def _write_private(path: Path, token: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(str(draft), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="ascii") as file:
        os.fchmod(file.fileno(), 0o600)  # a draft that was left behind may have another mode
        file.write(token + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(str(draft), str(path))
