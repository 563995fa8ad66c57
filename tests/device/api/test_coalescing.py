"""What is written at once goes out at once, in order, and is never lost."""

import asyncio

from gdws_agent.api.coalescing import MAX_HELD_BYTES, CoalescingTransport


class Inner:
    def __init__(self):
        self.done = []

    def write(self, data):
        self.done.append(data)

    def close(self):
        self.done.append("closed")

    def set_protocol(self, protocol):
        self.done.append(protocol)

    def is_closing(self):
        return "closed" in self.done


def run(use):
    """Return what ``use`` had the inner transport do."""
    inner = Inner()

    async def within_a_loop():
        await use(CoalescingTransport(inner, asyncio.get_running_loop()), inner)

    asyncio.run(within_a_loop())
    return inner.done


def test_head_and_body_are_one_write():
    async def use(transport, inner):
        transport.write(b"head")
        transport.write(b"body")
        assert inner.done == []
        await asyncio.sleep(0)
        assert inner.done == [b"headbody"]

    run(use)


def test_what_comes_later_is_written_later():
    async def use(transport, inner):
        for part in (b"one", b"two"):
            transport.write(part)
            await asyncio.sleep(0)

    assert run(use) == [b"one", b"two"]


def test_closing_and_handing_over_come_behind_what_was_written():
    async def close(transport, inner):
        transport.write(b"last words")
        transport.close()
        assert transport.is_closing()
        await asyncio.sleep(0)

    async def hand_over(transport, inner):
        transport.write(b"switching")
        transport.set_protocol("another")
        await asyncio.sleep(0)

    assert run(close) == [b"last words", "closed"]
    assert run(hand_over) == [b"switching", "another"]


def test_a_large_answer_is_written_as_it_comes():
    """So that the transport can tell its writer to wait."""

    async def use(transport, inner):
        for _ in range(3):
            transport.write(bytes(MAX_HELD_BYTES))
            transport.write(b"more")
        assert list(map(len, inner.done)) == [MAX_HELD_BYTES + 4] * 3
        await asyncio.sleep(0)

    assert len(run(use)) == 3
