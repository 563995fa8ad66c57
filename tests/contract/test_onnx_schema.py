"""The table of ONNX's messages against the package ``onnx``, whichever release of it is here."""

import pytest

from gdws_contract.onnx_schema import DOMAINS, OPERATORS, ROOT, SCHEMAS, Rule
from gdws_contract.protobuf import BYTES, FIXED32, FIXED64, VARINT

onnx = pytest.importorskip("onnx")
from google.protobuf.descriptor import FieldDescriptor as Kind  # noqa: E402 - comes with onnx

KINDS = {
    Kind.TYPE_FLOAT: FIXED32,
    Kind.TYPE_DOUBLE: FIXED64,
    Kind.TYPE_INT32: VARINT,
    Kind.TYPE_INT64: VARINT,
    Kind.TYPE_UINT64: VARINT,
    Kind.TYPE_ENUM: VARINT,
    Kind.TYPE_STRING: BYTES,
    Kind.TYPE_BYTES: BYTES,
    Kind.TYPE_MESSAGE: BYTES,
}


def descriptors():
    """Every message that a model can hold, by name."""
    found = {}
    left = [onnx.ModelProto.DESCRIPTOR]
    while left:
        message = left.pop()
        if message.full_name not in found:
            found[message.full_name] = message
            left += [field.message_type for field in message.fields if field.message_type is not None]
    return list(found.values())


def holds_what_is_checked(message, seen=()):
    """Whether a tensor or node may lie in ``message``."""
    if message.name in ("TensorProto", "NodeProto"):
        return True
    if message.full_name in seen:
        return False
    inner = (field.message_type for field in message.fields if field.message_type is not None)
    return any(holds_what_is_checked(each, (*seen, message.full_name)) for each in inner)


MESSAGES = {message.name: message for message in descriptors() if message.full_name.count(".") == 1}


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_each_field_that_onnx_has_is_known_with_its_kind(name):
    for field in MESSAGES[name].fields:
        known = SCHEMAS[name].get(field.number)
        assert known is not None, field.full_name
        packable = _is_list(field) and KINDS[field.type] != BYTES
        assert known.kinds == ({KINDS[field.type], BYTES} if packable else {KINDS[field.type]}), field.full_name


def _is_list(field):
    value = getattr(getattr(onnx, field.containing_type.name)(), field.name)
    return hasattr(value, "extend")


def test_each_message_that_may_hold_a_tensor_or_a_node_is_walked():
    for name, schema in SCHEMAS.items():
        for field in MESSAGES[name].fields:
            inner = field.message_type
            if inner is None:
                continue
            known = schema[field.number]
            if inner.name in SCHEMAS and known.rule is Rule.EMBEDDED:
                assert known.message == inner.name
            elif (name, field.name) == ("TensorProto", "external_data"):
                assert known.rule is Rule.EXTERNAL_DATA
            else:
                assert not holds_what_is_checked(inner), field.full_name


def test_every_message_of_the_table_can_be_reached():
    reached = {field.message for schema in SCHEMAS.values() for field in schema.values() if field.message}
    assert reached | {ROOT} == set(SCHEMAS)


def test_the_operators_are_those_of_onnx_up_to_opset_17():
    schemas = onnx.defs.get_all_schemas_with_history()
    assert {schema.name for schema in schemas if schema.domain == "" and schema.since_version <= 17} == OPERATORS
    assert {"", "ai.onnx"} == DOMAINS
