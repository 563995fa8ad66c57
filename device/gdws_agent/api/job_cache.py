"""A response cache for the running job, so that any number of clients disturbs measuring little.

To read a job and write it as JSON costs more than everything else about a request. What is stored about jobs is never
shown late; the progress and the estimate of the running job may be a quarter of a second old.
"""

from __future__ import annotations

import time
from typing import Awaitable, Callable, NamedTuple, Optional, Sequence, Tuple

from gdws_contract.rest import JobState

#: How long an answer is kept.
KEPT_S = 0.25

#: The state of a job, and the pieces of its JSON.
Look = Tuple[JobState, Sequence[bytes]]


class JobCache:
    """Bodies of ``GET /benchmark/{id}``; to be used in the event loop's thread.

    ``generation`` tells of what is stored, as :attr:`gdws_agent.storage.database.Database.generation` does.
    """

    def __init__(self, generation: Callable[[], Optional[int]], clock: Callable[[], float] = time.monotonic) -> None:
        self._generation = generation
        self._clock = clock
        self._kept: Optional[_Kept] = None

    async def body(self, name: str, look: Callable[[], Awaitable[Look]]) -> Sequence[bytes]:
        """Return the body ``name`` in pieces: that of a moment ago if its job runs and nothing was stored since.

        Else it is that of a new ``look``; raises what this raises.
        """
        kept, generation = self._kept, self._generation()
        if kept is not None and kept.name == name and kept.generation == generation and self._clock() < kept.until_s:
            return kept.body
        state, body = await look()
        if state == "running" and generation is not None and generation == self._generation():
            self._kept = _Kept(name, generation, self._clock() + KEPT_S, body)
        return body


class _Kept(NamedTuple):
    name: str
    generation: int
    until_s: float
    body: Sequence[bytes]
