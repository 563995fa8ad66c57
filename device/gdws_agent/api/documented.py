"""Answers that the OpenAPI document describes and that are sent as they are."""

from __future__ import annotations

from typing import Any, Dict, Iterable, Optional, Type

from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.routing import BaseRoute

_SCHEMAS = "#/components/schemas/"


class DocumentedRoute(APIRoute):
    """A route whose function returns a response, so that its ``response_model`` is for the document alone.

    FastAPI would build a validator and a serialiser of a megabyte for each of them: most of an agent's start.
    """

    def __init__(self, path: str, endpoint: Any, *, response_model: Any = None, **options: Any) -> None:
        self.answer: Optional[Type[BaseModel]] = None
        if isinstance(response_model, type) and issubclass(response_model, BaseModel):
            self.answer, response_model = response_model, None
            status, responses = options.get("status_code") or 200, options.get("responses") or {}
            described = reference(self.answer.__name__)
            for media_type, content in responses.get(status, {}).get("content", {}).items():
                described[media_type] = {**described.get(media_type, {}), **content}
            options["responses"] = {**responses, status: {**responses.get(status, {}), "content": described}}
        super().__init__(path, endpoint, response_model=response_model, **options)


def reference(model: str) -> Dict[str, Any]:
    """Return what OpenAPI says of an answer that is the ``model`` of the document of this name."""
    return {"application/json": {"schema": {"$ref": f"{_SCHEMAS}{model}"}}}


def add_schemas(document: Dict[str, Any], routes: Iterable[BaseRoute]) -> None:
    """Add to the ``document`` the models that its routes refer to by name."""
    answers = {route.answer for route in routes if isinstance(route, DocumentedRoute) and route.answer}
    wanted: Any = [(answer, "validation") for answer in sorted(answers, key=lambda answer: answer.__name__)]
    _, found = models_json_schema(wanted, ref_template=f"{_SCHEMAS}{{model}}")
    document.setdefault("components", {}).setdefault("schemas", {}).update(found.get("$defs", {}))
