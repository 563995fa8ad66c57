"""Stored optimisations."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from gdws._util.files import write_atomic
from gdws.errors import ResultError
from gdws_contract.optimisation import (
    Change,
    EnergyPoint,
    LayerVerdict,
    LeastEnergy,
    Network,
    Optimisation,
    Rival,
)
from gdws_contract.parsing import first_fault

__all__ = [
    "Change",
    "EnergyPoint",
    "LayerVerdict",
    "LeastEnergy",
    "Network",
    "Optimisation",
    "Rival",
    "load_optimisation",
    "save_optimisation",
]


def save_optimisation(found: Optimisation, path: Path) -> None:
    """Store ``found``. Raises OSError."""
    write_atomic(path, found.model_dump_json(indent=1).encode() + b"\n")


def load_optimisation(path: Path) -> Optimisation:
    """What :func:`save_optimisation` stored. Raises :class:`~gdws.errors.ResultError` and OSError."""
    try:
        return Optimisation.model_validate_json(path.read_bytes())
    except ValidationError as error:
        field, message = first_fault(error)
        raise ResultError(f"{path}: {message}", field=field or None, hint="gdws optimize writes such files") from error
