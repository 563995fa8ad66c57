"""Reading bundles; :mod:`gdws_contract.archive_writer` writes them.

A bundle is a ZIP archive of ``manifest.json`` and the members that the manifest lists with size and SHA-256.
Its id is the SHA-256 of the manifest's bytes. Those hold the hash of everything else, so two bundles with
the same id have the same content, however their archives were written.

Whoever reads a bundle trusts nothing in it; see :mod:`gdws_contract.zips` for the archive,
:mod:`gdws_contract.parsing` for the manifest, and :mod:`gdws_contract.onnx_check` for the networks. Nothing is ever
extracted to the file system.
"""

from __future__ import annotations

import collections
import hashlib
import os
from contextlib import contextmanager
from typing import Any, BinaryIO, Callable, Dict, Iterator, Mapping, Optional, Union

from pydantic import ValidationError

from .errors import BundleCorrupt, BundleTooLarge, BundleUnreadable, BundleUnsafe, ManifestInvalid, SchemaUnsupported
from .manifest import MANIFEST_NAME, READABLE_VERSIONS, Manifest, Member
from .onnx_check import MAX_FIELDS, check_network
from .parsing import first_fault, parse_json
from .zips import DEFAULT_LIMITS, Entry, Limits, crc32_matches, is_member_path, read_directory, stream

__all__ = ["Bundle", "Limits", "open_bundle", "parse_manifest"]

_COPY_AGAIN = "the file changed after it was written: copy it again from its source"


class Bundle:
    """An open bundle whose manifest is valid and agrees with the archive's directory.

    ``document`` is the manifest as it is written, in the schema of its time. Members are checked when they are read.
    One thread at a time may use it.
    """

    def __init__(
        self,
        file: BinaryIO,
        entries: Dict[str, Entry],
        manifest: Manifest,
        document: Dict[str, Any],
        bundle_id: str,
    ) -> None:
        self.manifest = manifest
        self.document = document
        self.id = bundle_id
        self._file = file
        self._entries = entries
        self._networks = manifest.networks()

    @property
    def schema_version(self) -> int:
        """The schema that it was written in."""
        return int(self.document["schema_version"])

    def read(self, member: str) -> bytes:
        """Return the content of ``member``, checked against the manifest; a network is checked for what it is, too.

        Raises:
            KeyError: the manifest lists no such member.
            BundleCorrupt: its size or SHA-256 differ. BundleUnreadable, BundleUnsafe: it is damaged.
            BundleUnsafe, BundleUnreadable, BundleTooLarge: it is a network that
                :func:`~gdws_contract.onnx_check.check_network` does not pass.
        """
        content = b"".join(self._checked_blocks(member))
        if member in self._networks:
            check_network([content], field=member)
        return content

    def verify(self, progress: Optional[Callable[[int], None]] = None) -> None:
        """Check every member, a block at a time; ``progress`` is told the bytes of each block.

        Raises: what :meth:`read` raises, for the first bad member by path.
        """
        fields_left = MAX_FIELDS
        for member in sorted(self.manifest.members):
            blocks = _told(self._checked_blocks(member), progress)
            if member in self._networks:
                fields_left -= check_network(blocks, field=member, max_fields=fields_left)
            else:
                collections.deque(blocks, maxlen=0)

    def _checked_blocks(self, member: str) -> Iterator[bytes]:
        stated = self.manifest.members[member]
        digest, size = hashlib.sha256(), 0
        for block in stream(self._file, self._entries[member]):
            digest.update(block)
            size += len(block)
            yield block
        if size != stated.size:
            raise BundleCorrupt(f"has {size} bytes, the manifest says {stated.size}", field=member, hint=_COPY_AGAIN)
        if digest.hexdigest() != stated.sha256:
            raise BundleCorrupt("its SHA-256 is not the one in the manifest", field=member, hint=_COPY_AGAIN)


@contextmanager
def open_bundle(source: Union[str, os.PathLike[str], BinaryIO], limits: Limits = DEFAULT_LIMITS) -> Iterator[Bundle]:
    """Open a bundle from a path or a seekable binary file; a file that is passed in stays open.

    On entry the manifest is read and every member's presence and size are checked. Their content is checked
    by :meth:`Bundle.read` and :meth:`Bundle.verify`.

    Raises:
        BundleError: as drawn in :mod:`gdws_contract.errors`; also from within, by the bundle's methods.
        OSError: the file cannot be opened or read.
    """
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            yield _open(file, limits)
    else:
        yield _open(source, limits)


def parse_manifest(text: bytes) -> Manifest:
    """Return the manifest in ``text``.

    The schema version is checked first, so that a bundle of a later release is told from a damaged one.

    Raises:
        ManifestInvalid: ``field`` is the path of what is missing or wrong, e.g. ``variants[1].onnx``.
        SchemaUnsupported: it was written for another version of the schema.
    """
    return _validated(_document(text))


def _document(text: bytes) -> Dict[str, Any]:
    try:
        fields = parse_json(text)
    except ValueError as error:
        raise ManifestInvalid(str(error), field=MANIFEST_NAME) from error
    if not isinstance(fields, dict):
        raise ManifestInvalid("is not a JSON object", field=MANIFEST_NAME)
    _check_schema_version(fields)
    return fields


def _validated(fields: Dict[str, Any]) -> Manifest:
    try:
        manifest = Manifest.model_validate(fields, strict=True)
    except ValidationError as error:
        field, message = first_fault(error)
        raise ManifestInvalid(message, field=field or None) from error
    for path in manifest.members:
        if not is_member_path(path) or path == MANIFEST_NAME:
            raise BundleUnsafe(f"lists the unsafe member path {path[:200]!r}", field="members")
    return manifest


def _open(file: BinaryIO, limits: Limits) -> Bundle:
    entries = read_directory(file, limits)
    text = _read_manifest(file, entries, limits)
    document = _document(text)
    manifest = _validated(document)
    del entries[MANIFEST_NAME]
    _compare(manifest.members, entries)
    return Bundle(file, entries, manifest, document, hashlib.sha256(text).hexdigest())


def _told(blocks: Iterator[bytes], progress: Optional[Callable[[int], None]]) -> Iterator[bytes]:
    for block in blocks:
        if progress is not None:
            progress(len(block))
        yield block


def _read_manifest(file: BinaryIO, entries: Dict[str, Entry], limits: Limits) -> bytes:
    entry = entries.get(MANIFEST_NAME)
    if entry is None:
        raise BundleUnreadable(f"not a bundle: it holds no {MANIFEST_NAME}", hint="make one with 'gdws convert'")
    if entry.size > limits.manifest_bytes:
        raise BundleTooLarge(f"has {entry.size} bytes, the limit is {limits.manifest_bytes}", field=MANIFEST_NAME)
    text = b"".join(stream(file, entry))
    if not crc32_matches(text, entry):
        raise BundleUnreadable("its checksum is wrong", field=MANIFEST_NAME, hint=_COPY_AGAIN)
    return text


def _compare(stated: Mapping[str, Member], entries: Mapping[str, Entry]) -> None:
    """The manifest and the archive's directory must list the same members with the same sizes."""
    for path in sorted(entries):
        if path not in stated:
            raise BundleUnsafe("is in the archive but not in the manifest", field=path)
    for path in sorted(stated):
        if path not in entries:
            raise BundleCorrupt("is in the manifest but not in the archive", field=path)
        if entries[path].size != stated[path].size:
            message = f"has {entries[path].size} bytes, the manifest says {stated[path].size}"
            raise BundleCorrupt(message, field=path, hint=_COPY_AGAIN)


def _check_schema_version(fields: Mapping[str, Any]) -> None:
    version = fields.get("schema_version")
    if type(version) is not int:
        raise ManifestInvalid("must be an integer", field="schema_version")
    if version in READABLE_VERSIONS:
        return
    if version > max(READABLE_VERSIONS):
        hint = "upgrade the package that reads it, gdws or gdws-agent, to the release that wrote it"
    else:
        hint = "write the bundle again with a current 'gdws convert'"
    known = " and ".join(map(str, READABLE_VERSIONS))
    raise SchemaUnsupported(
        f"version {version} cannot be read; this release reads {known}", field="schema_version", hint=hint
    )
