"""Bounds of requests: what a client may ask of a device."""

import pytest
from pydantic import ValidationError

from gdws_contract.rest import FINAL_STATES, BenchmarkRequest, Job, Protocol
from support.contract_examples import ID, JOB


def test_the_shortest_request_names_the_model():
    request = BenchmarkRequest(model_id=ID)
    assert (request.variants, request.backends) == (None, None)
    assert (request.precisions, request.batch_sizes) == (["fp32"], [1])
    assert request.protocol == Protocol()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model_id", "../" + ID[3:]),
        ("model_id", ID.upper()),
        ("batch_sizes", []),
        ("batch_sizes", [0]),
        ("batch_sizes", [-1]),
        ("batch_sizes", [65_537]),
        ("batch_sizes", [1, 8, 1]),
        ("batch_sizes", list(range(1, 34))),
        ("variants", []),
        ("variants", ["dense", "dense"]),
        ("variants", ["a/b"]),
        ("backends", ["onnxruntime"] * 2),
        ("precisions", []),
        ("label", "x" * 201),
    ],
)
def test_bad_requests(field, value):
    with pytest.raises(ValidationError) as caught:
        BenchmarkRequest.model_validate({"model_id": ID, field: value})
    assert {error["loc"][0] for error in caught.value.errors()} == {field}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("warmup_ms", -1),
        ("warmup_ms", float("nan")),
        ("min_duration_ms", 3_600_001),
        ("min_iterations", 0),
        ("rounds", 1),
        ("rounds", 1_001),
        ("threads", 0),
        ("parity_tolerance", -1e-9),
        ("seed", -1),
    ],
)
def test_bad_protocols(field, value):
    with pytest.raises(ValidationError):
        Protocol.model_validate({field: value})


def test_a_job_state_is_one_of_the_known():
    fields = JOB.model_dump()
    for state in FINAL_STATES:
        assert Job.model_validate({**fields, "state": state}).state == state
    with pytest.raises(ValidationError):
        Job.model_validate({**fields, "state": "lost"})
