"""An agent's server in a thread of the test: without a worker, for views of what is stored or shown."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from gdws_agent.api.app import create_app
from gdws_agent.board.live import LiveBoard
from gdws_agent.server import bind, url_of
from support.agents import agent


@contextlib.contextmanager
def agent_in_a_thread(folder: Path, board: LiveBoard | None = None) -> Iterator[str]:
    """The address of an agent on a data folder, which shows ``board`` where given."""
    with agent(folder) as service, contextlib.closing(bind("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(create_app(service, board=board), log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield url_of(listener)
        finally:
            server.should_exit = True
            thread.join()
