"""Shows our warnings as notes, and hides those of libraries."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from gdws.cli.views.output import errors
from gdws.errors import GdwsWarning


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Print each :class:`~gdws.errors.GdwsWarning` as a note on standard error, and hide warnings of libraries.

    Warnings requested from Python (``-W``, ``PYTHONWARNINGS``) are all shown.
    """
    silent = logging.NullHandler()  # with a handler at the root, Python does not print records itself
    logging.getLogger().addHandler(silent)
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.simplefilter("ignore")
                warnings.simplefilter("always", GdwsWarning)
            usual = warnings.showwarning

            def show(
                message: Warning | str,
                category: type[Warning],
                filename: str,
                lineno: int,
                file: TextIO | None = None,
                line: str | None = None,
            ) -> None:
                if issubclass(category, GdwsWarning):
                    errors().print(f"note: {message}", markup=False)
                else:
                    usual(message, category, filename, lineno, file, line)

            warnings.showwarning = show
            yield
    finally:
        logging.getLogger().removeHandler(silent)
