"""Agents for tests: with a scripted worker, without a network, and ready-made requests. Runs on Python 3.8."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gdws_agent.board.clocks import Clocks
from gdws_agent.jobs.queue import JobQueue, is_final
from gdws_agent.probes import Probes
from gdws_agent.service import Service, open_service
from gdws_agent.settings import Settings
from gdws_contract.rest import Availability, BenchmarkRequest, Cell, CellKey, Job, Progress

_SCRIPT = Path(__file__).with_name("fake_worker.py")

#: The longest that any test waits for something that is to happen at once.
PATIENCE_S = 60


class FakeWorker:
    """A worker command whose behaviour is told by variant; see ``fake_worker.py`` for the actions."""

    def __init__(
        self,
        folder: Path,
        actions: dict[str, str] | None = None,
        baseline: str = "dense",
        *,
        stamp: bool = False,
        medians_ms: dict[str, float] | None = None,
        law: bool = False,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "script.json"
        self._log = folder / "orders.jsonl"
        self._fifo = folder / "reached"
        self.child_file = folder / "child"
        os.mkfifo(str(self._fifo))
        self._baseline = baseline
        self._stamp = stamp
        self._medians_ms = medians_ms or {}
        self._law = law
        self.command = [sys.executable, "-I", "-S", str(_SCRIPT), str(self._path)]
        self.set_actions(actions or {})

    def set_actions(self, actions: dict[str, str]) -> None:
        """Have the workers that start from now on do ``actions``."""
        script = {
            "log": str(self._log),
            "fifo": str(self._fifo),
            "child": str(self.child_file),
            "baseline": self._baseline,
            "actions": actions,
            "stamp": self._stamp,
            "medians_ms": self._medians_ms,
            "law": self._law,
        }
        self._path.write_text(json.dumps(script))

    def wait_until_reached(self) -> None:
        """Return when a worker has come to an action that waits."""
        with open(self._fifo, "rb", buffering=0) as fifo:
            assert fifo.read(1) == b"!"

    def orders(self) -> list[dict[str, Any]]:
        """Return the orders that workers took, in that order."""
        if not self._log.exists():
            return []
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def variants(self) -> list[list[str]]:
        """Return the variants of each order."""
        return [order["variants"] for order in self.orders()]


def available(name: str = "onnxruntime", precisions: Sequence[str] = ("fp32",), **fields: Any) -> Availability:
    """Return a backend that can be used."""
    return Availability(name=name, available=True, precisions=list(precisions), **fields)


def missing(name: str, reason: str = "not installed") -> Availability:
    """Return a backend or sensor that cannot be used."""
    return Availability(name=name, available=False, reason=reason)


def fake_probes(*backends: Availability) -> Probes:
    """Return probes that find ``backends``, by default one, and no power sensor."""
    found = backends or (available(),)
    return Probes(lambda: found, lambda: [missing("none", "no sensor on this machine")])


def settings_for(folder: Path, **fields: Any) -> Settings:
    """Return settings whose data lies in ``folder``."""
    return Settings(**{"data_dir": folder, "cancel_grace_s": 0.5, **fields})


@contextlib.contextmanager
def agent(
    folder: Path,
    worker: FakeWorker | None = None,
    probes: Probes | None = None,
    clocks: Clocks | None = None,
    **fields: Any,
) -> Iterator[Service]:
    """A service whose queue does not run yet, on a machine without jtop unless ``clocks`` says otherwise."""
    command = worker.command if worker is not None else ["/nonexistent/worker"]
    settings = settings_for(folder, **{"jtop_socket": folder / "jtop.sock", **fields})
    with open_service(settings, worker_command=command, probes=probes or fake_probes(), clocks=clocks) as made:
        yield made


def until_final(jobs: JobQueue, job_id: str) -> Job:
    """Return the job once it has ended."""
    with jobs.until_final(job_id) as told:
        if not is_final(jobs.job(job_id)):
            told.result(timeout=PATIENCE_S)
    return jobs.job(job_id)


def eventually(holds: Callable[[], bool]) -> None:
    """Return when ``holds`` is true, for what nobody announces. Asks often at first: what comes fast is seen fast."""
    began_s = time.monotonic()
    while not holds():
        waited_s = time.monotonic() - began_s
        assert waited_s < PATIENCE_S, "it never came to hold"
        time.sleep(min(0.002 + 0.05 * waited_s, 0.1))


def lives(process_id: int) -> bool:
    """Whether a process exists and has not ended."""
    try:
        with open(f"/proc/{process_id}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def resolved(model_id: str, **fields: Any) -> BenchmarkRequest:
    """Return a request with nothing left open."""
    answers = {"model_id": model_id, "variants": ["dense", "gdws"], "backends": ["onnxruntime"]}
    return BenchmarkRequest(**{**answers, **fields})


def running_job() -> Job:
    """Return a job of one cell that is being measured, as the agent tells it."""
    progress = Progress(cells_total=1, cells_finished=0)
    return Job(id="x", state="running", request=resolved("0" * 64), created_at="now", progress=progress)


def cell(variant: str = "dense", state: str = "done", **key: Any) -> Cell:
    """Return a cell without figures."""
    fields = {"variant": variant, "backend": "onnxruntime", "precision": "fp32", "batch_size": 1, **key}
    return Cell(key=CellKey(**fields), state=state)


def states(job: Job) -> dict[str, str]:
    """Return {``variant@batch``: state} of the job's cells."""
    return {f"{cell.key.variant}@{cell.key.batch_size}": cell.state for cell in job.cells}


def codes(job: Job) -> dict[str, str]:
    """Return {``variant@batch``: problem code} of the job's cells that have one."""
    return {
        f"{cell.key.variant}@{cell.key.batch_size}": cell.error.code for cell in job.cells if cell.error is not None
    }
