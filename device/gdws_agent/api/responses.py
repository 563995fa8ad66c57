"""Converts all errors into problem documents over HTTP."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from http import HTTPStatus
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Union

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gdws_agent.errors import AgentError, JobNotFound, ModelNotFound, make_problem, problem_of
from gdws_contract.errors import ContractError
from gdws_contract.parsing import field_path
from gdws_contract.problems import CONTENT_TYPE, Problem

from .documented import reference
from .examples import PROBLEM

_LOG = logging.getLogger(__name__)

#: Parameter in a path -> what an id of the wrong form leads to.
_NOT_FOUND = {
    "model_id": ModelNotFound("there is no bundle with this id", field="model_id", hint="GET /models lists them"),
    "job_id": JobNotFound("there is no job with this id", field="job_id", hint="GET /jobs lists them"),
}
#: Status -> what OpenAPI says of it, as FastAPI takes it.
Responses = Dict[Union[int, str], Dict[str, Any]]


def install_error_handlers(app: FastAPI) -> None:
    """Have every error of ``app`` answered with a problem document."""
    app.add_exception_handler(AgentError, _on_known_error)
    app.add_exception_handler(ContractError, _on_known_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_parameter)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_middleware(_UnforeseenErrors)


def documented_problems(*statuses: int) -> Responses:
    """Return the ``responses`` of a route that may answer with problems of these ``statuses``."""
    return {status: _document(HTTPStatus(status).phrase) for status in statuses}


def documented_answer(model: str, description: str) -> Dict[str, Any]:
    """Return what OpenAPI says of an answer that is the ``model`` which another status of its route has, too."""
    return {"description": description, "content": reference(model)}


def documented_default() -> Responses:
    """Return the ``responses`` that say that every other error is a problem, too."""
    return {"default": _document("Any other error")}


def _document(description: str) -> Dict[str, Any]:
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": PROBLEM}
    return {"description": description, "content": {CONTENT_TYPE: content}}


def request_line(scope: Scope) -> str:
    """Return method and path of a request, of a length that a log or an answer may have."""
    return f"{scope['method'][:20]} {scope['path'][:200]}"


def json_response(record: BaseModel) -> Response:
    """Return the answer that is ``record``; for routes that run in a thread, since a long list takes its time."""
    return Response(record.model_dump_json(), media_type="application/json")


class PiecesResponse(Response):
    """A large answer in JSON that goes out piece by piece, so that the event loop serves others in between."""

    def __init__(self, pieces: Sequence[bytes], **options: Any) -> None:
        super().__init__(media_type="application/json", **options)
        self._pieces = pieces
        self.headers["content-length"] = str(sum(map(len, pieces)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for piece in self._pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b""})


def problem_response(problem: Problem, headers: Optional[Mapping[str, str]] = None) -> Response:
    """Return the answer that is ``problem``."""
    text = problem.model_dump_json(exclude_none=True)
    return Response(text, status_code=problem.status, media_type=CONTENT_TYPE, headers=dict(headers or {}))


def error_response(error: Exception, headers: Optional[Mapping[str, str]] = None) -> Response:
    """Return the problem document of ``error``, with ``Retry-After`` if a retry may help."""
    retry_after_s = error.retry_after_s if isinstance(error, AgentError) else None
    again = {} if retry_after_s is None else {"Retry-After": str(max(1, math.ceil(retry_after_s)))}
    return problem_response(problem_of(error), {**again, **(headers or {})})


async def _on_known_error(request: Request, error: Exception) -> Response:
    problem = problem_of(error)
    level = logging.WARNING if problem.status >= 500 else logging.INFO
    about = (request_line(request.scope), problem.status, problem.code, problem.detail)
    _LOG.log(level, "%s: %d %s: %s", *about, extra={"kind": f"{problem.status} {problem.code}"})
    return error_response(error)


async def _on_invalid_parameter(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fault = error.errors()[0]
    place, *location = fault["loc"]
    field = str(location[0]) if place == "header" else field_path(location)
    if place == "path" and field in _NOT_FOUND:
        # What cannot be an id is the id of nothing.
        return problem_response(problem_of(_NOT_FOUND[field]))
    detail = f"{place} parameter {field}: {fault['msg']}"
    return problem_response(make_problem(422, "request-invalid", detail, field=field))


async def _on_http_error(request: Request, error: Exception) -> Response:
    """Respond to what the framework itself rejects: unknown routes and methods."""
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    headers = {"Allow": ", ".join(_methods_of(request))} if error.status_code == 405 else error.headers
    problem = make_problem(
        error.status_code,
        phrase.lower().replace(" ", "-"),
        f"{request_line(request.scope)}: {phrase.lower()}",
        hint="GET /openapi.json lists the routes and their methods",
    )
    return problem_response(problem, headers)


def _methods_of(request: Request) -> List[str]:
    """Return the methods of all routes of the path that is asked for; the framework names those of the first alone."""
    methods: Set[str] = set()
    for route in request.app.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            methods.update(getattr(route, "methods", None) or ())
    return sorted(methods | ({"HEAD"} if "GET" in methods else set()))


class _UnforeseenErrors:
    """Responds to unhandled errors with status 500, and logs them under an id that the client gets."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answering = False

        async def note_start(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        try:
            await self._app(scope, receive, note_start)
        except Exception as error:
            error_id = secrets.token_hex(4)
            _LOG.exception("error %s in %s", error_id, request_line(scope))
            if answering:
                raise
            problem = problem_of(error).model_copy(
                update={
                    "instance": f"urn:gdws:error:{error_id}",
                    "hint": f"the agent's log has the details under 'error {error_id}'",
                }
            )
            await problem_response(problem)(scope, receive, send)
