"""An agent that measures nothing: it speaks the interface on loopback and follows a script."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

import onnx

from gdws_contract.archive import open_bundle
from gdws_contract.archive_writer import write_bundle
from gdws_contract.attacks import AttackRequest
from gdws_contract.problems import CONTENT_TYPE, Problem
from gdws_contract.profiles import ProfileRequest
from gdws_contract.rest import API_REVISION, BenchmarkRequest, Health, Job, ModelInfo, Progress
from support.benchmark_results import DENSE, KEPT, Net, device, manifest


def make_bundle(path: Path, nets: list[Net] | None = None) -> str:
    """Write a bundle of made-up networks and return its id."""
    content = manifest(nets or [DENSE, KEPT])
    fields = content.model_dump(mode="json", exclude={"members"})
    return write_bundle(path, fields, {name: _made_up(name) for name in content.members})


def _made_up(member: str) -> bytes:
    """A network of no operators for a network's member, a few bytes for any other."""
    if not member.endswith(".onnx"):
        return member.encode()
    graph = onnx.helper.make_graph([], member.replace("/", "-"), [], [])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    return bytes(model.SerializeToString())


class FakeAgent:
    """Answers as an agent would; each look at the job shows the next of ``stands``, and the last one for ever.

    ``stands`` are (state, cells). After them, ``then`` is what happens: ``"stay"``, ``"vanish"`` or ``"garbage"``.
    ``uploads``, ``requests``, ``profiles``, ``attacks`` and ``cancelled`` hold what clients asked for. ``refusal`` is
    the answer to jobs, if there is one, and with ``refuses_once`` to the first alone.
    """

    def __init__(self, stands: list[tuple[str, list[Any]]], *, then: str = "stay", api_version: int = 1) -> None:
        self.stands = list(stands)
        self.then = then
        self.api_version = api_version
        self.uploads: list[bytes] = []
        self.requests: list[BenchmarkRequest] = []
        self.profiles: list[ProfileRequest] = []
        self.attacks: list[AttackRequest] = []
        self.cancelled: list[str] = []
        self.refusal: Problem | None = None
        self.refuses_once = False
        self._looks = 0
        agent = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                agent._get(self)

            def do_POST(self) -> None:
                agent._post(self, self.rfile.read(int(self.headers["content-length"])))

            def do_DELETE(self) -> None:
                agent.cancelled.append(self.path.rpartition("/")[2])
                answer(self, 200, agent._job("cancelled", agent.stands[min(agent._looks, len(agent.stands)) - 1][1]))

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeAgent:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _get(self, handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/healthz":
            answer(
                handler,
                200,
                Health(agent_version="0.1.0", api_version=self.api_version, api_revision=API_REVISION, queued_jobs=0),
            )
        elif handler.path == "/device":
            answer(handler, 200, device())
        elif handler.path.startswith("/models/"):
            answer(handler, 404, Problem(type="urn:gdws:problem:model-not-found", title="No such model", status=404))
        elif handler.path.endswith("/events"):  # as an agent of an earlier release
            answer(handler, 404, Problem(type="urn:gdws:problem:not-found", title="Not found", status=404))
        elif self._looks < len(self.stands) or self.then == "stay":
            state, cells = self.stands[min(self._looks, len(self.stands) - 1)]
            self._looks += 1
            answer(handler, 200, self._job(state, cells))
        elif self.then == "garbage":
            send(handler, 200, "text/html", b"<h1>\x1b[31mhello</h1>")
        else:
            handler.close_connection = True
            handler.connection.close()

    def _post(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        if handler.path == "/models":
            self.uploads.append(body)
            answer(handler, 201, _model(body))
        elif self.refusal is not None:
            answer(handler, self.refusal.status, self.refusal)
            self.refusal = None if self.refuses_once else self.refusal
        elif handler.path == "/attack":
            wanted = AttackRequest.model_validate_json(body)
            self.attacks.append(wanted)
            self.requests.append(BenchmarkRequest(model_id=wanted.model_id, attack=wanted.options))
            answer(handler, 202, self._job("queued", []))
        elif handler.path == "/profile":
            asked = ProfileRequest.model_validate_json(body)
            self.profiles.append(asked)
            self.requests.append(BenchmarkRequest(model_id=asked.model_id, profile=asked.options))
            answer(handler, 202, self._job("queued", []))
        else:
            self.requests.append(BenchmarkRequest.model_validate_json(body))
            answer(handler, 202, self._job("queued", []))

    def _job(self, state: str, cells: list[Any]) -> Job:
        return Job(
            id="job-1",
            state=state,
            request=self.requests[-1].model_copy(update={"backends": ["onnxruntime"]}),
            created_at="2026-01-02T03:04:00Z",
            progress=Progress(cells_total=2, cells_finished=len(cells)),
            cells=cells,
        )


def answer(handler: BaseHTTPRequestHandler, status: int, content: Any) -> None:
    """Send a model of the contract."""
    kind = CONTENT_TYPE if isinstance(content, Problem) else "application/json"
    send(handler, status, kind, json.dumps(content.model_dump(mode="json")).encode())


def send(handler: BaseHTTPRequestHandler, status: int, kind: str, body: bytes) -> None:
    """Send an answer."""
    handler.send_response(status)
    handler.send_header("content-type", kind)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def _model(body: bytes) -> ModelInfo:
    import io

    with open_bundle(io.BytesIO(body)) as bundle:
        return ModelInfo(
            id=bundle.id,
            name=bundle.manifest.name,
            size_bytes=len(body),
            created_at="2026-01-02T03:04:00Z",
            baseline=bundle.manifest.baseline,
            variants=[variant.name for variant in bundle.manifest.variants],
        )
