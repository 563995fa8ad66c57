"""Many agents in one process that measure nothing: each speaks the interface below a path of one loopback server.

::

    with thin_agents(["d0", "d1"], cell_s=0.01) as agents:
        DeviceClient(agents.url("d0"))
        agents["d1"].fault = "hang"

A job's cells end ``cell_s`` seconds apart, one job at a time on each device. ``measured`` has every cell in the order
in which it was measured, so that what is measured twice can be seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from gdws_contract.archive import open_bundle
from gdws_contract.problems import CONTENT_TYPE, Problem
from gdws_contract.queueing import IDEMPOTENCY_HEADER
from gdws_contract.rest import (
    API_REVISION,
    BenchmarkRequest,
    Cell,
    CellKey,
    Health,
    Job,
    ModelInfo,
    Progress,
    Queue,
)
from support.benchmark_results import device

#: What can be wrong with a device: no answer at all, HTML, no space, no access, a full queue.
FAULTS = ("hang", "garbage", "full", "no access", "busy")
_REFUSALS = {"full": (507, "storage-full"), "no access": (401, "token-unknown"), "busy": (429, "queue-full")}
#: As real agents do.
_HEARTBEAT_S = 15.0


@dataclass
class ThinAgent:
    """One device, which can be faulty or another machine after so many jobs, refuse jobs of so many threads, and fail
    to measure a batch size.
    """

    name: str
    cell_s: float
    fault: str | None = None
    faulty_after: int = 0
    renamed_after: int | None = None
    refused_threads: int | None = None
    failing_batch: int | None = None
    uploads: int = 0
    measured: list[tuple[str, CellKey]] = field(default_factory=list)
    submissions: int = 0
    jobs: dict[str, Job] = field(default_factory=dict)
    _keys: dict[str, str] = field(default_factory=dict)
    _models: dict[str, ModelInfo] = field(default_factory=dict)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def info(self) -> Any:
        """The machine."""
        renamed = self.renamed_after is not None and self.done >= self.renamed_after
        return device(hostname=f"{self.name}-other" if renamed else self.name)

    @property
    def done(self) -> int:
        """The number of jobs that are done."""
        return sum(job.state == "done" for job in self.jobs.values())

    @property
    def current_fault(self) -> str | None:
        """What is wrong with it now."""
        return self.fault if self.done >= self.faulty_after else None

    def store(self, content: bytes) -> ModelInfo:
        """Take a bundle."""
        self.uploads += 1
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.seek(0)
            with open_bundle(file) as opened:
                manifest = opened.manifest
                found = ModelInfo(
                    id=opened.id,
                    name=manifest.name,
                    size_bytes=len(content),
                    created_at="2026-01-02T03:04:05Z",
                    baseline=manifest.baseline,
                    variants=[variant.name for variant in manifest.variants],
                )
        self._models[found.id] = found
        return found

    def model(self, model_id: str) -> ModelInfo | None:
        """A stored bundle."""
        return self._models.get(model_id)

    def submit(self, request: BenchmarkRequest, key: str | None) -> Job | None:
        """Queue a job, or return that of the same key; None without its bundle."""
        self.submissions += 1
        if key in self._keys:
            return self.jobs[self._keys[key]]
        model = self.model(request.model_id)
        if model is None:
            return None
        cells = self._cells(request, model)
        job = Job(
            id=f"{self.name}-{len(self.jobs)}",
            state="queued",
            request=request,
            created_at="2026-01-02T03:04:05Z",
            progress=Progress(cells_total=len(cells), cells_finished=0),
        )
        self.jobs[job.id] = job
        if key is not None:
            self._keys[key] = job.id
        task = asyncio.get_running_loop().create_task(self._run(job.id, cells))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    async def cancel(self, job_id: str) -> Job:
        """End a job."""
        job = self.jobs[job_id]
        if job.state in ("queued", "running"):
            await self._set(job.model_copy(update={"state": "cancelled"}))
        return self.jobs[job_id]

    def queue(self) -> Queue:
        """What runs and what waits."""
        found = {state: [job for job in self.jobs.values() if job.state == state] for state in ("running", "queued")}
        waiting = found["queued"]
        running = found["running"][0] if found["running"] else None
        return Queue(running=running, queued=waiting, queued_total=len(waiting), queued_limit=1000)

    async def events(self, job_id: str, told: int) -> AsyncIterator[str]:
        """The events of a job after the first ``told`` cells."""
        shown = None
        while True:
            job = self.jobs[job_id]
            for cell in job.cells[told:]:
                told += 1
                yield f"event: cell\nid: {told}\ndata: {cell.model_dump_json()}\n\n"
            outline = job.model_copy(update={"cells": []}).model_dump_json()
            if job.state not in ("queued", "running"):
                yield f"event: end\ndata: {outline}\n\n"
                return
            if job.state != shown:
                shown = job.state
                yield f"event: state\ndata: {outline}\n\n"
            while self.jobs[job_id] is job:
                if not await self._changes(job):
                    yield ": keep-alive\n\n"

    async def _changes(self, job: Job) -> bool:
        """Whether ``job`` changes within the time of a heartbeat."""
        with anyio.move_on_after(_HEARTBEAT_S):
            async with self._changed:
                await self._changed.wait_for(lambda: self.jobs[job.id] is not job)
                return True
        return False

    def _cells(self, request: BenchmarkRequest, model: ModelInfo) -> list[CellKey]:
        parts = itertools.product(
            request.power_modes or [None],
            request.backends or ["onnxruntime"],
            request.precisions,
            request.batch_sizes,
            request.variants or model.variants,
        )
        return [
            CellKey(variant=variant, backend=backend, precision=precision, batch_size=batch, power_mode=mode)
            for mode, backend, precision, batch, variant in parts
        ]

    async def _run(self, job_id: str, cells: Sequence[CellKey]) -> None:
        async with self._turn:
            for key in cells:
                await self._set(self.jobs[job_id].model_copy(update={"state": "running"}))
                if await self._is_cancelled_within(job_id, self.cell_s):
                    return
                self.measured.append((job_id, key))
                done = [*self.jobs[job_id].cells, self._cell(key)]
                progress = Progress(cells_total=len(cells), cells_finished=len(done))
                await self._set(self.jobs[job_id].model_copy(update={"cells": done, "progress": progress}))
            await self._set(self.jobs[job_id].model_copy(update={"state": "done"}))

    def _cell(self, key: CellKey) -> Cell:
        if key.batch_size != self.failing_batch:
            return Cell(key=key, state="done")
        problem = Problem(type="urn:gdws:problem:out-of-memory", title="Out of memory", status=507)
        return Cell(key=key, state="failed", error=problem)

    async def _is_cancelled_within(self, job_id: str, seconds: float) -> bool:
        with anyio.move_on_after(seconds):
            async with self._changed:
                await self._changed.wait_for(lambda: self.jobs[job_id].state == "cancelled")
        return self.jobs[job_id].state == "cancelled"

    async def _set(self, job: Job) -> None:
        if self.jobs[job.id].state == "cancelled":
            return
        self.jobs[job.id] = job
        async with self._changed:
            self._changed.notify_all()


class ThinAgents:
    """The devices by name, and their addresses."""

    def __init__(self, names: Sequence[str], cell_s: float) -> None:
        self._agents = {name: ThinAgent(name, cell_s) for name in names}
        self.base = ""

    def __getitem__(self, name: str) -> ThinAgent:
        return self._agents[name]

    def __iter__(self) -> Iterator[ThinAgent]:
        return iter(self._agents.values())

    def url(self, name: str) -> str:
        """The address of a device."""
        return f"{self.base}/{name}"

    def app(self) -> Starlette:
        """The server of all."""
        return Starlette(
            routes=[
                Route("/{device}/{path:path}", self._serve, methods=["GET", "POST", "DELETE"]),
            ]
        )

    async def _serve(self, request: Request) -> Response:
        agent = self._agents[request.path_params["device"]]
        fault = agent.current_fault
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "garbage":
            return Response("<h1>Bad gateway</h1>", media_type="text/html")
        if fault == "no access" or (fault in _REFUSALS and request.method == "POST"):
            return _problem(*_REFUSALS[fault])
        return await _answer(agent, request.method, request.path_params["path"].split("/"), request)


async def _answer(agent: ThinAgent, method: str, path: list[str], request: Request) -> Response:
    if path == ["healthz"]:
        return _json(Health(agent_version="0.1.0", api_version=1, api_revision=API_REVISION, queued_jobs=0))
    if path == ["device"]:
        return _json(agent.info())
    if path == ["queue"]:
        return _json(agent.queue())
    if path == ["models"] and method == "POST":
        return _json(agent.store(await request.body()), 201)
    if path[0] == "models":
        found = agent.model(path[1])
        return _problem(404, "model-not-found") if found is None else _json(found)
    if path == ["benchmark"] and method == "POST":
        asked = BenchmarkRequest.model_validate_json(await request.body())
        if asked.protocol.threads is not None and asked.protocol.threads == agent.refused_threads:
            return _problem(422, "unknown-backend")
        job = agent.submit(asked, request.headers.get(IDEMPOTENCY_HEADER))
        return _problem(404, "model-not-found") if job is None else _json(job, 202)
    if path[1] not in agent.jobs:
        return _problem(404, "job-not-found")
    if method == "DELETE":
        return _json(await agent.cancel(path[1]))
    if path[2:] == ["events"]:
        told = int(request.headers.get("last-event-id", "0"))
        return StreamingResponse(agent.events(path[1], told), media_type="text/event-stream")
    return _json(agent.jobs[path[1]])


def _json(model: Any, status: int = 200) -> Response:
    return JSONResponse(model.model_dump(mode="json"), status)


def _problem(status: int, code: str) -> Response:
    problem = Problem(type=f"urn:gdws:problem:{code}", title=code, status=status)
    return Response(problem.model_dump_json(), status, media_type=CONTENT_TYPE)


@contextlib.contextmanager
def thin_agents(names: Sequence[str], *, cell_s: float = 0.0) -> Iterator[ThinAgents]:
    """Serve the devices within the context, in a thread."""
    agents = ThinAgents(names, cell_s)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        agents.base = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(agents.app(), log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield agents
        finally:
            server.force_exit = server.should_exit = True
            thread.join()
