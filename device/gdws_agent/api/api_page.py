"""``GET /docs``: the OpenAPI document as one plain page, without a script and without anything from elsewhere."""

from __future__ import annotations

import json
from html import escape
from typing import Any, Dict, Iterator, Mapping

STYLE = """\
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { font: 600 1.1rem/1.4 ui-monospace, monospace; margin: 2.5rem 0 0; overflow-wrap: anywhere; }
pre { overflow-x: auto; padding: .75rem; border: 1px solid #8884; border-radius: .3rem; }
code { overflow-wrap: anywhere; }
dt { font-family: ui-monospace, monospace; }
dd { margin: 0 0 .4rem 1.5rem; }
summary { cursor: pointer; }
"""


def render(document: Mapping[str, Any]) -> str:
    """Return the page for an OpenAPI ``document``."""
    info = document["info"]
    routes = [
        (path, method, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    index = "".join(
        f'<li><a href="#{_anchor(path, method)}"><code>{method.upper()} {escape(path)}</code></a> '
        f"{escape(operation.get('summary', ''))}</li>"
        for path, method, operation in routes
    )
    body = "".join(_operation(path, method, operation) for path, method, operation in routes)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="docs.css">'
        '<link rel="icon" href="dashboard/icon.svg" type="image/svg+xml">'
        f"<title>{escape(info['title'])} {escape(info['version'])}</title></head><body>"
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>{_prose(info.get('description', ''))}"
        '<p>For programs: <a href="openapi.json">openapi.json</a>, with the schema of every body and answer.</p>'
        f"<nav><ul>{index}</ul></nav><main>{body}</main></body></html>"
    )


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    parts = [
        f'<section><h2 id="{_anchor(path, method)}">{method.upper()} {escape(path)}</h2>',
        f"<p><strong>{escape(operation.get('summary', ''))}</strong></p>",
        _prose(operation.get("description", "")),
        _list((name, text) for name, text in _parameters(operation)),
        "".join(_examples(operation)),
        _list((status, answer["description"]) for status, answer in operation["responses"].items()),
        "</section>",
    ]
    return "".join(parts)


def _parameters(operation: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for parameter in operation.get("parameters", ()):
        text = parameter.get("description") or parameter.get("schema", {}).get("description") or ""
        yield f"{parameter['name']} ({parameter['in']})", text


def _examples(operation: Mapping[str, Any]) -> Iterator[str]:
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        found: Dict[str, Any] = content.get("examples", {})
        if not found:
            yield f"<p>Body: <code>{escape(media_type)}</code></p>"
        for name, example in found.items():
            text = escape(json.dumps(example["value"], indent=2))
            yield f"<details><summary>{escape(media_type)}: {escape(name)}</summary><pre>{text}</pre></details>"


def _list(pairs: Iterator[tuple[str, str]]) -> str:
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in pairs)
    return f"<dl>{items}</dl>" if items else ""


def _prose(text: str) -> str:
    """Return the paragraphs of a description; those that are indented are what one types."""
    blocks = [block for block in text.strip("\n").split("\n\n") if block.strip()]
    return "".join(
        f"<pre>{escape(block)}</pre>" if block.startswith("    ") else f"<p>{escape(block)}</p>" for block in blocks
    )


def _anchor(path: str, method: str) -> str:
    return escape(f"{method}{path.replace('/', '-').replace('{', '').replace('}', '')}", quote=True)
