"""The routes of the dashboard's files. They hold nothing about this agent, so they need no token."""

from __future__ import annotations

from typing import Optional

from fastapi import FastAPI, Header
from starlette.exceptions import HTTPException
from starlette.responses import Response
from typing_extensions import Annotated

from .files import PAGE, StaticFile, load_files

#: Kept by browsers, but asked about each time: an agent that was upgraded must not meet the scripts of the last one.
_CACHE = "no-cache"

IfNoneMatch = Annotated[Optional[str], Header()]


def add_dashboard_routes(app: FastAPI) -> None:
    """Add the page at ``/`` and what it loads from ``/dashboard/`` to ``app``."""
    files = load_files()

    @app.get("/", include_in_schema=False)
    def page(if_none_match: IfNoneMatch = None) -> Response:
        return _answer(files[PAGE], if_none_match)

    @app.get("/dashboard/{name}", include_in_schema=False)
    def part(name: str, if_none_match: IfNoneMatch = None) -> Response:
        if name not in files:
            raise HTTPException(404)
        return _answer(files[name], if_none_match)


def _answer(file: StaticFile, if_none_match: Optional[str]) -> Response:
    headers = {"etag": file.etag, "cache-control": _CACHE}
    if if_none_match is not None and file.is_known_by(if_none_match):
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
