from __future__ import annotations

import logging
import warnings

import pytest

from gdws.cli.views.notes import warnings_as_notes
from gdws.errors import GdwsWarning


def test_our_warnings_are_notes_and_those_of_libraries_are_not_shown(capsys):
    with warnings_as_notes():
        warnings.warn("few images [16]\nx", GdwsWarning, stacklevel=1)
        warnings.warn("few images [16]\nx", GdwsWarning, stacklevel=1)
        warnings.warn("constants share memory", UserWarning, stacklevel=1)
        logging.getLogger("library").warning("deprecated")
    assert capsys.readouterr().err.count("note: few images [16]") == 2
    assert capsys.readouterr() == ("", "")


def test_whoever_asks_for_warnings_gets_them(monkeypatch):
    monkeypatch.setattr("sys.warnoptions", ["default"])
    with pytest.warns(UserWarning, match="share memory"), warnings_as_notes():
        warnings.warn("constants share memory", UserWarning, stacklevel=1)
