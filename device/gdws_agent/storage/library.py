"""The stored bundles: files in the data folder, and their records in the store.

A bundle is checked whole before it is kept, under its id as the file name. File and record change
together under one lock; what a crash left of one without the other is put right at the start.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from pathlib import Path
from typing import List, NamedTuple, Optional, Tuple

from gdws_agent.errors import StorageFull
from gdws_agent.timestamps import utc_now
from gdws_contract.archive import open_bundle
from gdws_contract.errors import BundleError
from gdws_contract.manifest import Manifest
from gdws_contract.rest import ModelInfo

from .folder import is_full
from .store import ModelPage, Store

_LOG = logging.getLogger(__name__)


class CheckedBundle(NamedTuple):
    """A bundle file whose every byte was checked, not yet kept."""

    path: Path
    id: str
    manifest: Manifest
    size_bytes: int


def check_bundle(path: Path) -> CheckedBundle:
    """Read the bundle at ``path`` and check the hash of each member.

    Raises:
        BundleError: it cannot be used, and why.
    """
    with open_bundle(path) as bundle:
        bundle.verify()
        return CheckedBundle(path, bundle.id, bundle.manifest, path.stat().st_size)


class Library:
    """The bundles that the agent keeps. All methods may be called from any thread."""

    def __init__(self, store: Store, folder: Path, *, adopt: bool = False) -> None:
        """Put right what a crash left. With ``adopt``, files without a record are taken in if they are whole."""
        self._store = store
        self._folder = folder
        self._lock = threading.Lock()
        if adopt:
            self._adopt_orphans()
        self._remove_orphans()

    def add(self, bundle: CheckedBundle) -> Tuple[ModelInfo, bool]:
        """Keep ``bundle``, moving its file, and return its record with the manifest and whether it is new.

        Raises:
            StorageFull: there is no space.
        """
        info = _info_of(bundle)
        with self._lock:
            target = self.path(bundle.id)
            was_there = target.exists()
            try:
                _move_durably(bundle.path, target)
                is_new = self._store.add_model(info, bundle.manifest)
            except BaseException as error:
                if not was_there and target.exists():
                    target.unlink()
                if isinstance(error, OSError) and is_full(error):
                    raise StorageFull("no space left for the bundle", hint="DELETE /models/{id} frees some") from error
                raise
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
        """Return a bundle with its manifest; raises ModelNotFound."""
        return self._store.model(model_id)

    def manifest(self, model_id: str) -> Manifest:
        """Return the manifest of a bundle; raises ModelNotFound."""
        return self._store.manifest(model_id)

    def remove(self, model_id: str) -> None:
        """Remove a bundle.

        Raises:
            ModelNotFound: there is none of that id.
            ModelInUse: a job that has not ended needs it.
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
        with contextlib.suppress(FileNotFoundError):
            self.path(model_id).unlink()

    def _adopt_orphans(self) -> None:
        for path in sorted(self._folder.glob("*.gdws")):
            try:
                bundle = check_bundle(path)
            except BundleError as error:
                _LOG.warning("%s is not taken in: %s", path.name, error.message)
                continue
            if path == self.path(bundle.id):
                self._store.add_model(_info_of(bundle), bundle.manifest)
                _LOG.warning("bundle %s (%s) taken in", bundle.id, bundle.manifest.name)

    def _remove_orphans(self) -> None:
        known = {f"{info.id}.gdws" for info in self._store.models()}
        present = {entry.name for entry in self._folder.glob("*.gdws")}
        for name in sorted(present - known):
            _LOG.warning("removing %s: the file of a bundle that is not on record", name)
            (self._folder / name).unlink()
        for name in sorted(known - present):
            _LOG.warning("the file %s of a bundle is missing; upload it again", name)


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
    """Move a file within one file system so that after a power failure it is there whole or not at all."""
    with open(source, "rb") as file:
        os.fsync(file.fileno())
    os.replace(source, target)
    descriptor = os.open(str(target.parent), os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
