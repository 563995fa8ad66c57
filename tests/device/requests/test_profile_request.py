from types import SimpleNamespace

import pytest

from gdws_agent.errors import UnknownVariant
from gdws_agent.requests.fields import fields_renamed
from gdws_agent.requests.profile_request import FIELDS, as_benchmark
from gdws_contract.profiles import ProfileRequest

MANIFEST = SimpleNamespace(baseline="dense")
MODEL = "a" * 64


def test_everything_asked_for_is_in_the_benchmark():
    asked = ProfileRequest.model_validate(
        {
            "model_id": MODEL,
            "variant": "gdws",
            "backend": "tensorrt",
            "precision": "fp16",
            "batch_size": 8,
            "options": {"iterations": 7},
            "engine": {"dla_core": 1},
            "threads": 3,
            "label": "x",
        }
    )
    made = as_benchmark(asked, MANIFEST)

    assert (made.model_id, made.variants, made.backends) == (MODEL, ["gdws"], ["tensorrt"])
    assert (made.precisions, made.batch_sizes, made.label) == (["fp16"], [8], "x")
    assert made.profile == asked.options
    assert made.engine == asked.engine
    assert made.protocol.threads == 3


def test_what_is_left_open_is_the_baseline_on_a_backend_to_be_chosen():
    made = as_benchmark(ProfileRequest(model_id=MODEL), MANIFEST)

    assert (made.variants, made.backends) == (["dense"], None)
    assert made.profile is not None


@pytest.mark.parametrize(
    ("field", "told"), [("variants[0]", "variant"), ("backends[0]", "backend"), ("model_id", "model_id"), (None, None)]
)
def test_errors_name_the_field_of_the_profile(field, told):
    with pytest.raises(UnknownVariant) as caught, fields_renamed(FIELDS):
        raise UnknownVariant("no", field=field)

    assert caught.value.field == told
