"""Networks by the name of what makes them, from a folder that is not on the path."""

import sys

import pytest
from torch import nn

from gdws.errors import ModelError
from gdws.networks.module_import import load_module

CODE = """
from torch import nn

class Factories:
    @staticmethod
    def wide(width=3, *, bias=True):
        return nn.Conv2d(1, width, 3, bias=bias).train()

ready = nn.Conv2d(1, 2, 3)

def number():
    return 3

def broken():
    raise RuntimeError("no weights here\\nand a second line")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "factories_of_a_user.py").write_text(CODE)
    (tmp_path / "broken_at_import.py").write_text("raise SystemExit(3)")
    (tmp_path / "lacks_a_package.py").write_text("import no_such_package_anywhere")
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    yield tmp_path
    assert sys.path == path
    for name in ("factories_of_a_user", "broken_at_import", "lacks_a_package"):
        sys.modules.pop(name, None)


def test_a_factory_is_called_with_options():
    network = load_module("factories_of_a_user:Factories.wide", {"width": 5, "bias": False})
    assert isinstance(network, nn.Conv2d)
    assert (network.out_channels, network.bias, network.training) == (5, None, False)


def test_a_network_is_taken_as_it_is():
    assert load_module("factories_of_a_user:ready").out_channels == 2


@pytest.mark.parametrize(
    ("target", "options", "words"),
    [
        ("factories_of_a_user", {}, "does not name a network"),
        (":ready", {}, "does not name a network"),
        ("no_such_module:ready", {}, "no module 'no_such_module'"),
        ("lacks_a_package:ready", {}, "No module named 'no_such_package_anywhere'"),
        ("broken_at_import:ready", {}, "cannot be imported: SystemExit"),
        ("factories_of_a_user:other", {}, "no 'other'"),
        ("factories_of_a_user:Factories.other", {}, "no 'Factories.other'"),
        ("factories_of_a_user:number", {}, "returns a int"),
        ("factories_of_a_user:broken", {}, "RuntimeError: no weights here"),
        ("factories_of_a_user:Factories.wide", {"depth": 3}, "depth=3"),
        ("factories_of_a_user:ready", {"width": 3}, "takes no options"),
    ],
)
def test_what_gives_no_network_is_said(target, options, words):
    with pytest.raises(ModelError, match=words) as caught:
        load_module(target, options)
    assert "second line" not in str(caught.value)
