import pytest

from gdws_agent.backends.engine_choices import unused_choices
from gdws_contract.engines import EngineOptions


def test_defaults_need_no_word():
    assert unused_choices(EngineOptions()) == []


@pytest.mark.parametrize(
    ("fields", "known", "told"),
    [
        ({"dla_core": 0}, (), ["dla_core=0, not used"]),
        ({"dla_core": 0}, ("dla_core",), []),
        ({"gpu_fallback": False, "workspace_mib": 64}, ("workspace_mib",), ["gpu_fallback=False, not used"]),
        ({"builds": 5, "build_timeout_s": 7.0}, (), ["builds=5, not used", "build_timeout_s=7.0, not used"]),
    ],
)
def test_a_choice_that_the_backend_does_not_know_is_told(fields, known, told):
    assert unused_choices(EngineOptions(**fields), known) == told
