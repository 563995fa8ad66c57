"""The metrics of ``GET /metrics``, in the text format of Prometheus and by its naming conventions.

Counters count since the agent started. What can be asked is asked when a scrape comes, so that nothing is spent in
between; power and temperatures are those of :mod:`gdws_agent.board.live`.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Dict, Iterator, List, Optional

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from gdws_agent.board.live import LiveBoard
from gdws_agent.jobs.events import JobEvent
from gdws_agent.jobs.queue import JobQueue
from gdws_contract import __version__
from gdws_contract.rest import FINAL_STATES, Cell

CONTENT_TYPE = CONTENT_TYPE_LATEST

_HTTP_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
_CELL_BUCKETS_S = (1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0)


class Metrics:
    """The metrics of one agent, in a registry of their own."""

    def __init__(self, jobs: JobQueue, board: LiveBoard) -> None:
        self.registry = registry = CollectorRegistry()
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="metrics")
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        registry.register(_Queue(jobs))
        registry.register(_Board(board))
        self._jobs = Counter("gdws_agent_jobs", "Jobs that ended.", ["state"], registry=registry)
        for state in FINAL_STATES:
            self._jobs.labels(state)
        self._cells = Counter("gdws_agent_cells", "Cells that ended.", ["state", "backend"], registry=registry)
        self._cell_seconds = Histogram(
            "gdws_agent_cell_duration_seconds",
            "Time from one cell's end, or its job's start, to the end of the next.",
            ["backend"],
            buckets=_CELL_BUCKETS_S,
            registry=registry,
        )
        self.upload_bytes = Counter("gdws_agent_upload_bytes", "Bytes of the bundles received.", registry=registry)
        self.uploads = Counter("gdws_agent_uploads", "Bundles received, by outcome.", ["outcome"], registry=registry)
        self.http_seconds = Histogram(
            "gdws_agent_http_request_duration_seconds",
            "Time from a request's head to the end of its answer, those held on purpose (wait, events) included.",
            ["method", "route", "status"],
            buckets=_HTTP_BUCKETS_S,
            registry=registry,
        )
        self.http_in_progress = Gauge("gdws_agent_http_requests_in_progress", "Being answered.", registry=registry)
        self.subscribers = Gauge("gdws_agent_event_streams", "Open streams of job events.", registry=registry)
        info = Gauge("gdws_agent_info", "The release that runs.", ["version"], registry=registry)
        info.labels(__version__).set(1)
        self._last_end_s: Dict[str, float] = {}
        jobs.events.subscribe(self._on_event)

    def render(self) -> bytes:
        """Return all metrics as text."""
        return generate_latest(self.registry)

    async def rendered(self) -> bytes:
        """Return all metrics as text, from a thread of their own: others may be many and busy."""
        return await asyncio.get_event_loop().run_in_executor(self._executor, self.render)

    def _on_event(self, event: JobEvent) -> None:
        if event.cell is not None:
            self._count_cell(event.job_id, event.cell)
        elif event.state == "running":
            self._last_end_s[event.job_id] = time.monotonic()
        elif event.state is not None:
            self._last_end_s.pop(event.job_id, None)
            if event.state in FINAL_STATES:
                self._jobs.labels(event.state).inc()

    def _count_cell(self, job_id: str, cell: Cell) -> None:
        self._cells.labels(cell.state, cell.key.backend).inc()
        now = time.monotonic()
        began_s: Optional[float] = self._last_end_s.get(job_id)
        if began_s is not None:
            self._cell_seconds.labels(cell.key.backend).observe(now - began_s)
        self._last_end_s[job_id] = now


class _Queue(Collector):
    """Reads the queue at each scrape."""

    def __init__(self, jobs: JobQueue) -> None:
        self._jobs = jobs

    def describe(self) -> List[Metric]:
        """Return nothing, so that to register asks nothing."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("gdws_agent_queue_length", "Jobs that wait.", self._jobs.count_queued())
        is_running = self._jobs.running_id() is not None
        yield GaugeMetricFamily("gdws_agent_running_jobs", "Jobs that are measured now, 0 or 1.", int(is_running))


class _Board(Collector):
    """Reads power and temperatures at each scrape; absent without sysfs files."""

    def __init__(self, board: LiveBoard) -> None:
        self._board = board

    def describe(self) -> List[Metric]:
        """Return nothing, so that to register reads nothing."""
        return []

    def collect(self) -> Iterator[Metric]:
        readings = self._board.read()
        power = GaugeMetricFamily("gdws_agent_power_watts", "Power of a supply rail (INA3221).", labels=["rail"])
        for rail in readings.power.rails:
            power.add_metric([rail.name], rail.power_w)
        heat = GaugeMetricFamily("gdws_agent_temperature_celsius", "Temperature of a zone.", labels=["zone"])
        for zone in readings.temperatures:
            heat.add_metric([zone.name], zone.celsius)
        yield from (family for family in (power, heat) if family.samples)
