import asyncio

import pytest

from gdws_agent.api.bounded_wait import within
from support.agents import PATIENCE_S


def test_what_comes_in_time_is_returned_and_its_error_raised():
    async def soon(error=None):
        if error is not None:
            raise error
        return "here"

    assert asyncio.run(within(soon(), PATIENCE_S)) == "here"
    with pytest.raises(KeyError):
        asyncio.run(within(soon(KeyError()), PATIENCE_S))


def test_what_takes_too_long_is_cancelled():
    async def scenario():
        never = asyncio.get_event_loop().create_future()
        with pytest.raises(asyncio.TimeoutError):
            await within(never, 0.0)
        assert never.cancelled()

    asyncio.run(scenario())


@pytest.mark.parametrize("comes_first", ["result", "cancellation"])
def test_a_cancellation_holds_also_where_a_result_comes_with_it(comes_first):
    async def scenario():
        result = asyncio.get_event_loop().create_future()
        waiting = asyncio.ensure_future(within(result, PATIENCE_S))
        await asyncio.sleep(0)
        if comes_first == "result":
            result.set_result("here")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert result.done()

    asyncio.run(scenario())
