from types import SimpleNamespace

import pytest

from gdws_agent.errors import (
    BackendUnavailable,
    ClocksUnavailable,
    PrecisionUnsupported,
    UnknownBackend,
    UnknownVariant,
)
from gdws_agent.requests import resolve as resolution
from gdws_contract.rest import BenchmarkRequest
from support.agents import available, missing

MANIFEST = SimpleNamespace(variants=[SimpleNamespace(name="dense"), SimpleNamespace(name="gdws")], threads=None)
TRT = available("tensorrt", ["fp32", "fp16"])
ORT = available("onnxruntime", ["fp32"])


def ask(**fields):
    return BenchmarkRequest(model_id="0" * 64, **fields)


def resolve(request, manifest, backends, check_clocks=lambda: None):
    return resolution.resolve(request, manifest, backends, check_clocks, cores=4)


def test_what_is_left_open_becomes_all_variants_and_the_best_backend():
    request = resolve(ask(label="kept"), MANIFEST, [missing("torch2trt"), TRT, ORT])

    assert (request.variants, request.backends, request.label) == (["dense", "gdws"], ["tensorrt"], "kept")


def test_what_is_named_is_kept_in_its_order():
    request = resolve(ask(variants=["gdws"], backends=["onnxruntime", "tensorrt"]), MANIFEST, [TRT, ORT])

    assert (request.variants, request.backends) == (["gdws"], ["onnxruntime", "tensorrt"])


@pytest.mark.parametrize(("planned", "asked", "given"), [(2, None, 2), (2, 3, 3), (8, None, 4), (None, None, None)])
def test_threads_are_those_of_the_bundle_unless_the_request_names_a_number(planned, asked, given):
    manifest = SimpleNamespace(variants=MANIFEST.variants, threads=planned)
    request = resolve(ask(protocol={"threads": asked}), manifest, [ORT])

    assert request.protocol.threads == given


def test_the_best_backend_is_the_first_that_can_do_every_precision():
    assert resolve(ask(precisions=["fp16"]), MANIFEST, [ORT, TRT]).backends == ["tensorrt"]


@pytest.mark.parametrize(
    ("fields", "backends", "error", "field", "told"),
    [
        ({"variants": ["dense", "gdsw"]}, [ORT], UnknownVariant, "variants[1]", "dense, gdws"),
        ({"backends": ["tensorflow"]}, [TRT, ORT], UnknownBackend, "backends[0]", "tensorrt, onnxruntime"),
        ({"precisions": ["fp32", "int4"]}, [ORT], PrecisionUnsupported, "precisions[1]", "fp32"),
        (
            {"precisions": ["fp16"], "backends": ["tensorrt", "onnxruntime"]},
            [TRT, ORT],
            PrecisionUnsupported,
            "precisions[0]",
            "fp32",
        ),
        ({"backends": ["tensorrt"]}, [missing("tensorrt", "no GPU")], BackendUnavailable, "backends[0]", "no GPU"),
        ({}, [missing("tensorrt", "no GPU")], BackendUnavailable, None, "no GPU"),
        ({}, [], BackendUnavailable, None, "none is installed"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_field(fields, backends, error, field, told):
    with pytest.raises(error) as caught:
        resolve(ask(**fields), MANIFEST, backends)

    assert caught.value.field == field
    assert told in f"{caught.value.message} {caught.value.hint}"


def no_jtop():
    raise ClocksUnavailable("jetson-stats is not installed here", hint="pip install jetson-stats")


@pytest.mark.parametrize(("field", "value"), [("power_modes", ["MAXN"]), ("jetson_clocks", False)])
def test_where_clocks_cannot_be_set_a_request_to_do_so_is_refused(field, value):
    with pytest.raises(ClocksUnavailable, match="jetson-stats is not installed") as caught:
        resolve(ask(**{field: value}), MANIFEST, [ORT], no_jtop)

    assert (caught.value.field, caught.value.hint) == (field, "pip install jetson-stats")
    assert resolve(ask(**{field: value}), MANIFEST, [ORT]).backends == ["onnxruntime"]


def test_where_clocks_cannot_be_set_others_are_not_asked_for_them():
    assert resolve(ask(), MANIFEST, [ORT], no_jtop).backends == ["onnxruntime"]
