"""Long polling for the end of a job, without a thread for each client."""

from __future__ import annotations

import asyncio
from typing import Set

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from gdws_agent.jobs.queue import JobQueue, is_final
from gdws_agent.storage.rows import JobText


async def hold_until_final(
    request: Request, jobs: JobQueue, job_id: str, timeout_s: float, *, rounds: bool = True
) -> JobText:
    """Return the job as soon as it is final, else after ``timeout_s``, or when the agent stops.

    Returns early, too, when the client has gone away: the job goes on, but nobody waits for the answer.

    Raises:
        JobNotFound
    """

    def look() -> JobText:
        return jobs.text(job_id, rounds=rounds)

    with jobs.until_final(job_id) as told:
        if timeout_s <= 0 or is_final(await run_in_threadpool(jobs.outline, job_id)):
            return await run_in_threadpool(look)
        waiters: Set[asyncio.Future[None]] = {
            asyncio.wrap_future(told),
            asyncio.ensure_future(_disconnected(request)),
        }
        try:
            await asyncio.wait(waiters, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()
            await asyncio.gather(*waiters, return_exceptions=True)
    return await run_in_threadpool(look)


async def _disconnected(request: Request) -> None:
    """Return when the client has disconnected; the rest of its request is dropped."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
