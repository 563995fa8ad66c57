"""Two stored results side by side; what is decided is tested with the contract."""

from __future__ import annotations

import pytest

from gdws.errors import ResultError
from gdws.results.comparison import compare
from support.benchmark_results import DENSE, Net, result


def test_nothing_in_common_is_an_error_with_the_way_out() -> None:
    with pytest.raises(ResultError, match=r"a.json and b.json have no cell in common") as caught:
        compare(result([DENSE]), result([Net("other")]), source_a="a.json", source_b="b.json")
    assert "batch size" in (caught.value.hint or "")
