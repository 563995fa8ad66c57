"""The error tree as it is drawn."""

import inspect
import re

import pytest

from gdws_contract import errors
from gdws_contract.errors import BundleCorrupt, ContractError


def test_the_drawing_shows_every_error_below_its_base():
    drawn = re.findall(r"^( *[│├└─ ]*)(\w+)(?:  |$)", errors.__doc__, flags=re.MULTILINE)
    depth = {name: len(lead) for lead, name in drawn if hasattr(errors, name)}
    classes = dict(inspect.getmembers(errors, inspect.isclass))
    ours = {name for name, each in classes.items() if issubclass(each, ContractError)}
    assert set(depth) == ours
    for name in ours - {"ContractError"}:
        base = classes[name].__base__.__name__
        assert depth[name] == depth[base] + 4


def test_an_error_carries_what_it_was_about():
    error = BundleCorrupt("its hash is wrong", field="a.onnx", hint="copy it again")
    assert str(error) == "a.onnx: its hash is wrong"
    assert (error.message, error.field, error.hint) == ("its hash is wrong", "a.onnx", "copy it again")
    assert str(ContractError("no field")) == "no field"
    with pytest.raises(ContractError):
        raise error
