import pytest

from gdws_agent.errors import LimitTooHigh
from gdws_agent.requests.limits import check_limits, memory_limit_mib, time_limit_s
from gdws_contract.queueing import Limits
from gdws_contract.rest import Protocol
from support.agents import resolved, settings_for

MODEL = "a" * 64


@pytest.fixture
def settings(tmp_path):
    return settings_for(tmp_path, max_job_time_s=100, max_memory_mib=512)


def test_without_limits_the_agents_own_hold(settings):
    request = resolved(MODEL, protocol=Protocol(min_duration_ms=0, warmup_ms=0))
    check_limits(request, settings)
    assert (time_limit_s(request, settings), memory_limit_mib(request, settings)) == (100, 512)


def test_a_request_may_ask_for_less(settings):
    request = resolved(MODEL, limits=Limits(time_s=50, memory_mib=100))
    check_limits(request, settings)
    assert (time_limit_s(request, settings), memory_limit_mib(request, settings)) == (50, 100)


@pytest.mark.parametrize(("limits", "field"), [(Limits(time_s=101), "time_s"), (Limits(memory_mib=513), "memory_mib")])
def test_a_request_may_not_ask_for_more(settings, limits, field):
    with pytest.raises(LimitTooHigh) as caught:
        check_limits(resolved(MODEL, limits=limits), settings)
    assert caught.value.field == f"limits.{field}"
    assert caught.value.hint


def test_where_the_agent_has_no_limit_of_memory_any_will_do(tmp_path):
    settings = settings_for(tmp_path)
    assert memory_limit_mib(resolved(MODEL), settings) is None
    check_limits(resolved(MODEL, limits=Limits(memory_mib=10_000)), settings)


def test_what_cannot_end_in_its_time_is_refused_at_once(settings):
    request = resolved(MODEL, protocol=Protocol(min_duration_ms=60_000))
    with pytest.raises(LimitTooHigh, match="takes 120 s at least"):
        check_limits(request, settings)
