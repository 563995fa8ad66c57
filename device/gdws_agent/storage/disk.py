"""Conversion of errors of the disk to the agent's errors."""

from __future__ import annotations

import contextlib
from typing import Iterator

from gdws_agent.errors import StorageFailed, StorageFull

from .folder import is_full


@contextlib.contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Raise an OSError from within as StorageFull or another StorageFailed, about ``what``, e.g. "the upload"."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise StorageFull(f"no space left for {what}", hint="DELETE /models/{id} frees some") from error
        raise StorageFailed(
            f"the disk does not serve {what}: {error.strerror or error}",
            hint="see that the agent's data folder is there and can be written",
        ) from error
