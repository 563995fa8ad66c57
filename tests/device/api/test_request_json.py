import pytest

from gdws_agent.api.request_json import parse_options, parse_request
from gdws_agent.errors import BodyMalformed, RequestInvalid

MODEL = "a" * 64


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


def test_options_take_the_id_from_the_bundle():
    assert parse_options(None, MODEL).model_id == MODEL
    assert parse_options(b'{"batch_sizes": [8]}', MODEL).batch_sizes == [8]


def test_options_for_another_bundle_are_refused():
    with pytest.raises(RequestInvalid) as caught:
        parse_options(b'{"model_id": "%s"}' % (b"b" * 64), MODEL)

    assert caught.value.field == "model_id"
