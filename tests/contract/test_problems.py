"""Problem documents."""

import pytest
from pydantic import ValidationError

from gdws_contract.problems import Problem, problem_type


def test_the_code_of_a_type():
    assert Problem(type=problem_type("model-not-found"), title="x", status=404).code == "model-not-found"


def test_a_type_of_someone_else_is_its_own_code():
    assert Problem(type="about:blank", title="x", status=502).code == "about:blank"


@pytest.mark.parametrize("status", [0, 99, 600, "x"])
def test_a_status_is_one_of_http(status):
    with pytest.raises(ValidationError):
        Problem(type="about:blank", title="x", status=status)
