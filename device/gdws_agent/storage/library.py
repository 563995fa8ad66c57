"""The library of bundles: files in the data folder, and their records in the store.

A bundle is checked whole before it is kept, under its id as the file name. File and record change
together under one lock. What is found at the start of one without the other, after a crash or with another database,
is kept: a file that is whole gets its record, and a record without a file says so when it is asked for.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from gdws_agent.errors import ModelDamaged, StorageFailed, StorageFull
from gdws_agent.timestamps import utc_now
from gdws_contract.archive import open_bundle
from gdws_contract.errors import BundleError
from gdws_contract.manifest import Manifest
from gdws_contract.rest import ModelInfo

from .disk import disk_errors
from .store import ModelPage, Store

_LOG = logging.getLogger(__name__)


class CheckedBundle(NamedTuple):
    """A bundle file whose every byte was checked, not yet kept. ``document`` is its manifest as it is written."""

    path: Path
    id: str
    manifest: Manifest
    document: Mapping[str, Any]
    size_bytes: int


def check_bundle(path: Path) -> CheckedBundle:
    """Read the bundle at ``path`` and check the hash of each member.

    Raises:
        BundleError: it cannot be used, and why.
        StorageFailed: the disk does not give it.
    """
    with disk_errors("the bundle"), open_bundle(path) as bundle:
        bundle.verify()
        return CheckedBundle(path, bundle.id, bundle.manifest, bundle.document, path.stat().st_size)


class Library:
    """The bundles of an agent. All methods are thread-safe."""

    def __init__(self, store: Store, folder: Path) -> None:
        """Take in the files in ``folder`` that have no record."""
        self._store = store
        self._folder = folder
        self._lock = threading.Lock()
        self._check_lock = threading.Lock()
        #: What the files looked like whose every byte was checked, by id.
        self._checked: Dict[str, _Look] = {}
        self._adopt()

    def add(self, bundle: CheckedBundle) -> Tuple[ModelInfo, bool]:
        """Keep ``bundle``, moving its file, and return its record with the manifest and whether it is new.

        The file of a bundle that is here already is replaced, so that a damaged one is whole again.

        Raises:
            StorageFull, StorageFailed: the disk does not take it.
        """
        info = _info_of(bundle)
        with self._lock:
            target = self.path(bundle.id)
            was_there = target.exists()
            try:
                with disk_errors("the bundle"):
                    self._folder.mkdir(mode=0o700, exist_ok=True)  # somebody may have tidied up
                    _move_durably(bundle.path, target)
                is_new = self._store.add_model(info, bundle.document)
            except BaseException:
                if not was_there:
                    with contextlib.suppress(OSError):
                        target.unlink()
                raise
            self._note_checked(bundle.id, _look_at(target))
            kept = self._store.model(bundle.id)
        _LOG.info("bundle %s (%s) %s", bundle.id, info.name, "stored" if is_new else "was here already")
        return kept, is_new

    def models(self) -> List[ModelInfo]:
        """Return all bundles without their manifests, newest first."""
        return self._store.models()

    def model_page(self, limit: int, before: Optional[int]) -> ModelPage:
        """Return one page of the bundles, without their manifests, newest first."""
        return self._store.model_page(limit, before)

    def model(self, model_id: str) -> ModelInfo:
        """Return a bundle with its manifest.

        Raises:
            ModelNotFound: there is none of that id.
            ModelDamaged: its file is gone or damaged.
        """
        found = self._store.model(model_id)
        self._check(model_id)
        return found

    def document(self, model_id: str) -> Dict[str, Any]:
        """Return the manifest of a bundle as it is written; raises ModelNotFound."""
        return self._store.document(model_id)

    def manifest(self, model_id: str) -> Manifest:
        """Return the manifest of a bundle that can be used; raises as :meth:`model`."""
        found = self._store.manifest(model_id)
        self._check(model_id)
        return found

    def manifest_on_record(self, model_id: str) -> Manifest:
        """Return the manifest of a bundle, whatever became of its file; raises ModelNotFound."""
        return self._store.manifest(model_id)

    def distrust(self, model_id: str) -> None:
        """Check the file of a bundle again at the next request, because it could not be used."""
        with self._check_lock:
            self._checked.pop(model_id, None)

    def remove(self, model_id: str) -> None:
        """Remove a bundle.

        Raises:
            ModelNotFound: there is none of that id.
            ModelInUse: a job that has not ended needs it.
            StorageFailed: the disk does not serve.
        """
        with self._lock:
            try:
                self._store.remove_model(model_id)
            except StorageFull:
                # Even forgetting takes some space. On a full disk the file goes first and makes it;
                # no job can come to need the bundle meanwhile, for that takes space, too.
                self._store.check_unused(model_id)
                self._unlink(model_id)
                self._store.remove_model(model_id)
            self._unlink(model_id)
        _LOG.info("bundle %s removed", model_id)

    def path(self, model_id: str) -> Path:
        """Return where the bundle of a known id lies."""
        return self._folder / f"{model_id}.gdws"

    def _unlink(self, model_id: str) -> None:
        """Remove a file durably; after a power failure it would otherwise be registered again."""
        with disk_errors("the removal of a bundle"), contextlib.suppress(FileNotFoundError):
            self.path(model_id).unlink()
            _sync_folder(self._folder)

    def _check(self, model_id: str) -> None:
        """Raise ModelDamaged unless the file of a bundle on record is there and every byte of it is right."""
        with self._check_lock:
            fault = self._fault(model_id)
        if fault is not None:
            raise ModelDamaged(
                f"the bundle {model_id!r} cannot be used any more: {fault}",
                field="model_id",
                hint="send it again with POST /models: that repairs it",
            )

    def _fault(self, model_id: str) -> Optional[str]:
        """Return what is wrong with the file of a bundle; None when nothing is.

        The bytes are read once, and again when the file looks different or a job could not use it.
        """
        path = self.path(model_id)
        look = _look_at(path)
        if look is None:
            return "its file is gone"
        if self._checked.get(model_id) == look:
            return None
        fault = _fault_in(path, model_id)
        if fault is None:
            self._checked[model_id] = look
        return fault

    def _note_checked(self, model_id: str, look: Optional[_Look]) -> None:
        with self._check_lock:
            if look is not None:
                self._checked[model_id] = look

    def _adopt(self) -> None:
        """Register files without a record. Unreadable files are kept: a later release may be able to read them."""
        known = {f"{info.id}.gdws" for info in self._store.models()}
        present = {entry.name for entry in self._folder.glob("*.gdws")}
        for name in sorted(present - known):
            try:
                bundle = check_bundle(self._folder / name)
            except (BundleError, StorageFailed) as error:
                _LOG.warning("%s is left alone, since it cannot be read as a bundle: %s", name, error.message)
                continue
            if name != f"{bundle.id}.gdws":
                _LOG.warning("%s is left alone: by its content it is the bundle %s", name, bundle.id)
                continue
            self._store.add_model(_info_of(bundle), bundle.document)
            self._note_checked(bundle.id, _look_at(bundle.path))
            _LOG.warning("bundle %s (%s) had no record and is taken in", bundle.id, bundle.manifest.name)
        for name in sorted(known - present):
            _LOG.warning("the file %s of a bundle is missing; upload it again", name)


class _Look(NamedTuple):
    """The identity of a file's contents by its metadata, without reading it."""

    inode: int
    size_bytes: int
    modified_ns: int


def _look_at(path: Path) -> Optional[_Look]:
    """Return what the file at ``path`` looks like; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return _Look(found.st_ino, found.st_size, found.st_mtime_ns)


def _fault_in(path: Path, model_id: str) -> Optional[str]:
    """Return what is wrong with the file of a bundle; None when nothing is."""
    try:
        found = check_bundle(path)
    except BundleError as error:
        return f"{error.field}: {error.message}" if error.field else error.message
    return None if found.id == model_id else f"its content is that of {found.id}"


def _info_of(bundle: CheckedBundle) -> ModelInfo:
    return ModelInfo(
        id=bundle.id,
        name=bundle.manifest.name,
        size_bytes=bundle.size_bytes,
        created_at=utc_now(),
        baseline=bundle.manifest.baseline,
        variants=[variant.name for variant in bundle.manifest.variants],
    )


def _move_durably(source: Path, target: Path) -> None:
    """Move a file within one file system, atomically and durably."""
    with open(source, "rb") as file:
        os.fsync(file.fileno())
    os.replace(source, target)
    _sync_folder(target.parent)


def _sync_folder(path: Path) -> None:
    """Make changes of a folder's entries durable."""
    descriptor = os.open(str(path), os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
