"""INT8 is for models that are quantised, and they are for INT8."""

from __future__ import annotations

import pytest

from gdws_agent.backends.quantised import check_quantised, refuse_quantised
from gdws_agent.errors import PrecisionUnsupported

QUANTISED = b"...QuantizeLinear...DequantizeLinear"


@pytest.mark.parametrize(("model", "precision"), [(QUANTISED, "int8"), (b"Conv", "fp32"), (b"Conv", "fp16")])
def test_what_fits_passes(model, precision):
    check_quantised(model, precision)


@pytest.mark.parametrize(
    ("model", "precision", "words", "hint"),
    [
        (b"Conv", "int8", "no quantised layers", "--int8"),
        (QUANTISED, "fp32", "is quantised", "int8"),
        (QUANTISED, "fp16", "is quantised", "int8"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_built(model, precision, words, hint):
    with pytest.raises(PrecisionUnsupported, match=words) as caught:
        check_quantised(model, precision)
    assert hint in (caught.value.hint or "")


def test_torch_modules_have_no_integers():
    refuse_quantised(b"Conv")
    with pytest.raises(PrecisionUnsupported, match="which no torch module stands for"):
        refuse_quantised(QUANTISED)
