"""Writing bundles atomically and reproducibly."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import zipfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Iterator, Mapping, Union

from pydantic import ValidationError

from .archive import parse_manifest
from .errors import BundleCorrupt, BundleTooLarge, ManifestInvalid
from .manifest import MANIFEST_NAME, Manifest, Member
from .onnx_check import MAX_FIELDS, check_network
from .parsing import first_fault
from .zips import DEFAULT_LIMITS, Limits

#: A member to write: its bytes, or the file that holds them.
Content = Union[bytes, Path]

_BLOCK = 1 << 18
#: Where the writer would need ZIP64, less room for headers.
_WRITABLE_BYTES = (1 << 31) - (1 << 22)
#: The earliest time that ZIP can express: what was packed when is no part of a bundle.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_bundle(
    path: Union[str, os.PathLike[str]],
    manifest: Mapping[str, Any],
    members: Mapping[str, Content],
    limits: Limits = DEFAULT_LIMITS,
) -> str:
    """Write a bundle and return its id.

    ``manifest`` holds the fields of :class:`~gdws_contract.manifest.Manifest` without ``members``, as plain data
    or as records; ``members`` maps each member's path to its content. The same content gives the same bytes.
    The file appears at ``path`` complete or not at all; one that was there is replaced.

    Raises:
        ManifestInvalid: a field is missing or wrong, or points to no member.
        BundleUnsafe, BundleUnreadable, BundleTooLarge: the bundle would be refused by its readers.
        BundleCorrupt: a file changed while it was being packed.
        OSError: a file cannot be read, or the bundle cannot be written, e.g. because the disk is full.
    """
    stated = {name: _measure(content) for name, content in members.items()}
    text = _manifest_text({**manifest, "members": stated})
    # What a reader would refuse is not written.
    networks = parse_manifest(text).networks()
    _check_limits(text, stated, limits)
    _check_networks({name: members[name] for name in sorted(networks)})
    with _replacing(Path(path)) as file, zipfile.ZipFile(file, "w", allowZip64=False) as archive:
        archive.writestr(_header(MANIFEST_NAME, len(text)), text)
        for name in sorted(members):
            _write_member(archive, name, members[name], stated[name])
    return hashlib.sha256(text).hexdigest()


def _manifest_text(fields: Mapping[str, Any]) -> bytes:
    """Return the canonical JSON of a manifest: sorted keys, no spaces, UTF-8."""
    try:
        document = Manifest.model_validate(fields).model_dump()
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8")
    except ValidationError as error:
        field, message = first_fault(error)
        raise ManifestInvalid(message, field=field or None) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise ManifestInvalid(f"a free-form field is not JSON: {error}", field="provenance") from error


def _check_limits(text: bytes, stated: Mapping[str, Member], limits: Limits) -> None:
    total = len(text) + sum(member.size for member in stated.values())
    if len(stated) + 1 > limits.members:
        raise BundleTooLarge(f"{len(stated) + 1} members, the limit is {limits.members}")
    if len(text) > limits.manifest_bytes:
        raise BundleTooLarge(f"has {len(text)} bytes, the limit is {limits.manifest_bytes}", field=MANIFEST_NAME)
    most = min(limits.total_bytes, limits.archive_bytes, _WRITABLE_BYTES)
    if total + (len(stated) + 1) * 1_024 > most:
        raise BundleTooLarge(f"the members have {total} bytes, the limit is {most}", hint="pack fewer variants")


def _check_networks(networks: Mapping[str, Content]) -> None:
    fields_left = MAX_FIELDS
    for name, content in networks.items():
        fields_left -= check_network(_blocks(content), field=name, max_fields=fields_left)


def _measure(content: Content) -> Member:
    digest, size = hashlib.sha256(), 0
    for block in _blocks(content):
        digest.update(block)
        size += len(block)
    return Member(size=size, sha256=digest.hexdigest())


def _write_member(archive: zipfile.ZipFile, name: str, content: Content, stated: Member) -> None:
    digest = hashlib.sha256()
    with archive.open(_header(name, stated.size), "w") as target:
        for block in _blocks(content):
            digest.update(block)
            target.write(block)
    if digest.hexdigest() != stated.sha256:
        raise BundleCorrupt("changed while it was being packed", field=name)


def _blocks(content: Content) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with open(content, "rb") as file:
        while True:
            block = file.read(_BLOCK)
            if not block:
                return
            yield block


def _header(name: str, size: int) -> zipfile.ZipInfo:
    """Members are stored, not deflated: weights hardly shrink, and the bytes do not depend on a zlib version."""
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = 3
    info.external_attr = 0o100644 << 16
    info.file_size = size
    return info


def require_file(path: Path) -> None:
    """Pass ``path`` if a file is there or nothing is: a file put over a device or a pipe would take its place.

    Raises:
        OSError: something else is there.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a file, but a device or a pipe", str(path))


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of ``path`` when all of it is on the disk, and vanishes on failure."""
    require_file(path)
    partial = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.partial")
    try:
        with open(partial, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        _remove_quietly(partial)
        raise
    _sync_folder(path.parent)


def _remove_quietly(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _sync_folder(path: Path) -> None:
    """Make the renaming last; some systems cannot open a folder, and there it is best effort."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
