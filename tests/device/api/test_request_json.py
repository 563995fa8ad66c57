import pytest

from gdws_agent.api.request_json import parse_object, take_kind, validated, with_model_id
from gdws_agent.errors import BodyMalformed, RequestInvalid
from gdws_contract.rest import BenchmarkRequest

MODEL = "a" * 64


def parse_request(text):
    return validated(parse_object(text), BenchmarkRequest)


def test_a_request_with_the_id_alone_has_defaults():
    request = parse_request(b'{"model_id": "%s"}' % MODEL.encode())

    assert (request.variants, request.batch_sizes, request.precisions) == (None, [1], ["fp32"])


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff", b'{"a": 1, "a": 2}', b'{"label": NaN}'])
def test_what_is_no_json_object_is_refused(text):
    with pytest.raises(BodyMalformed):
        parse_request(text)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ('"batch_sizes": [1, 0]', "batch_sizes[1]"),
        ('"batch_sizes": ["1"]', "batch_sizes[0]"),
        ('"batch_sizes": []', "batch_sizes"),
        ('"batch_sizes": [1, 1]', "batch_sizes"),
        ('"protocol": {"rounds": 1}', "protocol.rounds"),
        ('"protocol": {"round": 10}', "protocol.round"),
        ('"variants": ["../etc"]', "variants[0]"),
        ('"modelid": 1', "modelid"),
    ],
)
def test_a_wrong_field_is_named_by_its_path(fields, path):
    with pytest.raises(RequestInvalid) as caught:
        parse_request(f'{{"model_id": "{MODEL}", {fields}}}'.encode())

    assert caught.value.field == path
    assert caught.value.message.startswith(path)


def test_a_form_takes_the_id_from_the_bundle():
    assert with_model_id({}, MODEL) == {"model_id": MODEL}
    assert with_model_id({"model_id": MODEL, "label": "x"}, MODEL) == {"model_id": MODEL, "label": "x"}


def test_a_form_for_another_bundle_is_refused():
    with pytest.raises(RequestInvalid) as caught:
        with_model_id({"model_id": "b" * 64}, MODEL)

    assert caught.value.field == "model_id"


def test_the_kind_is_taken_out_of_the_request():
    fields = {"kind": "profile", "model_id": MODEL}
    assert (take_kind(fields, ["benchmark", "profile"]), fields) == ("profile", {"model_id": MODEL})


@pytest.mark.parametrize("fields", [{}, {"kind": "attack"}, {"kind": ["profile"]}, {"kind": None}])
def test_an_unknown_kind_is_refused_with_those_that_are_known(fields):
    with pytest.raises(RequestInvalid, match=r"^kind: ") as caught:
        take_kind(fields, ["benchmark", "profile"])

    assert caught.value.hint == "choose one of benchmark, profile"
