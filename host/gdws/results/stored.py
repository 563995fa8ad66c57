"""Stored benchmark results: one JSON document a file."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from gdws._util.files import write_atomic
from gdws._util.interrupts import held_back
from gdws.errors import ResultError
from gdws_contract.parsing import first_fault
from gdws_contract.rest import BenchmarkResult

#: The schemas that are read; all but the last are upgraded.
READABLE_VERSIONS = (1, 2)


def save_result(result: BenchmarkResult, path: Path) -> None:
    """Write ``result`` to ``path``; a reader sees the former file or the whole new one, also after an interrupt.

    Raises OSError.
    """
    with held_back():
        write_atomic(path, result.model_dump_json(indent=1).encode() + b"\n")


def load_result(path: Path) -> BenchmarkResult:
    """The result stored at ``path``.

    Raises:
        OSError: the file cannot be read.
        ResultError: it is not a benchmark result of a schema version that this release reads.
    """
    return parse_result(path.read_bytes(), source=str(path))


def parse_result(content: bytes, *, source: str) -> BenchmarkResult:
    """The result in ``content``; ``source`` names it in errors. Raises :class:`ResultError`."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{source} is not JSON: {error}", hint=_HINT) from error
    if not isinstance(document, dict):
        raise ResultError(f"{source} does not hold a JSON object", hint=_HINT)
    version = document.get("schema_version")
    if version not in READABLE_VERSIONS:
        known = " and ".join(map(str, READABLE_VERSIONS))
        raise ResultError(
            f"{source} has the schema version {version!r}, and this release reads {known}",
            field="schema_version",
            hint=_HINT if version is None else "upgrade gdws: pip install --upgrade gdws",
        )
    try:
        result = BenchmarkResult.model_validate(document)
    except ValidationError as error:
        field, message = first_fault(error)
        raise ResultError(f"{source}: {message}", field=field or None, hint=_HINT) from error
    _require_known_variants(result, source)
    return result


def _require_known_variants(result: BenchmarkResult, source: str) -> None:
    """Each cell measures a variant of the bundle; everything that reads a result relies on it."""
    known = {variant.name for variant in result.manifest.variants}
    for index, cell in enumerate(result.job.cells):
        if cell.key.variant not in known:
            raise ResultError(
                f"{source}: the bundle has no variant {cell.key.variant!r}",
                field=f"job.cells[{index}].key.variant",
                hint=_HINT,
            )


_HINT = "a result is what `gdws bench --out result.json` writes"
