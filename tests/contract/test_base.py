"""Names that are safe everywhere."""

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from gdws_contract.base import NAME_PATTERN, Finite, Fraction, NonNegative, Sha256, quotable_name, safe_name


@given(text=st.text())
def test_safe_name_is_a_name_or_refused(text):
    try:
        name = safe_name(text)
    except ValueError:
        assert not re.search(r"[A-Za-z0-9]", text)
        return
    assert re.fullmatch(NAME_PATTERN, name)


@given(name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,97}[A-Za-z0-9]", fullmatch=True))
def test_safe_name_keeps_good_names(name):
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("text", "name"), [("my net (v2)", "my-net-v2"), ("../../etc/passwd", "etc-passwd"), ("a" * 200, "a" * 100)]
)
def test_safe_name(text, name):
    assert safe_name(text) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("layer1.0.conv1/Conv", "layer1.0.conv1/Conv"),
        ("StatefulPartitionedCall/a;b:0 (x)", "StatefulPartitionedCall/a;b:0 (x)"),
        ("Käfer/甲虫", "Käfer/甲虫"),
        ("x\"), open('y", "x_), open(_y"),
        ("a\\b\nc\rd\0e\u2028f", "a_b_c_d_e_f"),
        ("class", "class_"),
    ],
)
def test_quotable_name(text, name):
    assert quotable_name(text) == name


@given(st.text())
def test_a_quotable_name_is_what_a_literal_says(text):
    name = quotable_name(text.encode("utf-8", "replace").decode())
    assert ast.literal_eval(f'"{name}"') == ast.literal_eval(f"'{name}'") == name


def test_safe_name_of_nothing():
    assert safe_name("äöü", default="model") == "model"
    with pytest.raises(ValueError, match="no usable name"):
        safe_name("///")


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (Fraction, [0, 1, 0.5], [-0.1, 1.1, float("nan")]),
        (Finite, [-1e300, 0], [float("inf"), float("nan")]),
        (NonNegative, [0, 1e300], [-1e-300, float("inf")]),
        (Sha256, ["0" * 64], ["0" * 63, "0" * 65, "A" * 64, "g" * 64, "0" * 64 + "\n"]),
    ],
)
def test_types(kind, good, bad):
    adapter = TypeAdapter(kind)
    for value in good:
        assert adapter.validate_python(value) == value
    for value in bad:
        with pytest.raises(ValidationError):
            adapter.validate_python(value)
