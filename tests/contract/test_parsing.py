"""Strict JSON and the paths of faults."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gdws_contract.parsing import MAX_DEPTH, MAX_KEYS, MAX_VALUES, field_path, first_fault, parse_json
from gdws_contract.rest import BenchmarkRequest, Protocol

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
DOCUMENTS = st.recursive(SCALARS, lambda values: st.lists(values) | st.dictionaries(st.text(), values), max_leaves=20)


@given(document=DOCUMENTS, ascii_only=st.booleans())
@settings(deadline=None, max_examples=200)
def test_reads_what_json_writes(document, ascii_only):
    assert parse_json(json.dumps(document, ensure_ascii=ascii_only).encode()) == document


@given(text=st.binary(max_size=60))
@settings(deadline=None, max_examples=300)
def test_refuses_or_agrees_with_json(text):
    try:
        value = parse_json(text)
    except ValueError:
        return
    assert value == json.loads(text.decode())


def test_depth_is_bounded():
    def nested(depth):
        return b"[" * depth + b"]" * depth

    assert parse_json(nested(MAX_DEPTH)) is not None
    for depth in (MAX_DEPTH + 1, 5_000, 40_000):
        with pytest.raises(ValueError, match="nested"):
            parse_json(nested(depth))


def test_the_number_of_values_is_bounded():
    parse_json(b"[" + b"1," * (MAX_VALUES - 2) + b"1]")
    with pytest.raises(ValueError, match="values"):
        parse_json(b"[" + b"1," * MAX_VALUES + b"1]")


def test_the_number_of_keys_is_bounded():
    parse_json(json.dumps({str(number): 0 for number in range(MAX_KEYS)}).encode())
    with pytest.raises(ValueError, match="keys"):
        parse_json(json.dumps({str(number): 0 for number in range(MAX_KEYS + 1)}).encode())


@pytest.mark.parametrize("number", [b"9" * 1_000_000, b"-" + b"9" * 1_000_000, b"1." + b"0" * 1_000_000])
def test_long_numbers_take_no_time(number):
    with pytest.raises(ValueError, match="beyond"):
        parse_json(number)


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 0.1, 1e308, -5e-324])
def test_numbers_at_the_ends_of_their_range(number):
    assert parse_json(json.dumps(number).encode()) == number


@pytest.mark.parametrize("number", [b"9223372036854775808", b"-9223372036854775809", b"1e309", b"NaN", b"Infinity"])
def test_numbers_beyond_their_range(number):
    with pytest.raises(ValueError, match=r"beyond|not JSON"):
        parse_json(b"[" + number + b"]")


def test_surrogates():
    assert parse_json(b'"\\ud83d\\ude00"') == "\U0001f600"
    for text in (b'"\\ud83d"', b'{"\\ude00": 1}', b'[["\\ud800"]]'):
        with pytest.raises(ValueError, match="surrogate"):
            parse_json(text)


def test_repeated_keys_are_named():
    with pytest.raises(ValueError, match="'a'"):
        parse_json(b'{"b": 1, "a": 1, "a": 1}')


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ((), ""),
        (("a",), "a"),
        (("variants", 1, "onnx"), "variants[1].onnx"),
        (("members", "a/b", "size"), "members['a/b'].size"),
        ((0, "a"), "[0].a"),
    ],
)
def test_field_path(location, path):
    assert field_path(location) == path


def test_first_fault_counts_the_others():
    with pytest.raises(ValidationError) as caught:
        Protocol.model_validate({"rounds": 1, "threads": 0, "pace": 3})
    assert first_fault(caught.value) == ("rounds", "input should be greater than or equal to 2 (and 2 more)")


def test_first_fault_inside_a_list():
    with pytest.raises(ValidationError) as caught:
        BenchmarkRequest.model_validate({"model_id": "0" * 64, "batch_sizes": [1, 0]})
    assert first_fault(caught.value)[0] == "batch_sizes[1]"
