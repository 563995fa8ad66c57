"""Choices about engines that a request makes and a backend does not have: said with the build, not kept quiet."""

from __future__ import annotations

from typing import Collection, List

from gdws_contract.engines import EngineOptions


def unused_choices(options: EngineOptions, known: Collection[str] = ()) -> List[str]:
    """Return ``name=value, not used`` for each choice that differs from its default and is not in ``known``."""
    defaults = EngineOptions()
    return [
        f"{name}={getattr(options, name)}, not used"
        for name in EngineOptions.model_fields
        if name not in known and getattr(options, name) != getattr(defaults, name)
    ]
