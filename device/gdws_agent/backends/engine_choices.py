"""Choices about engines: defaults that backends share, and a note with the build on choices that a backend lacks."""

from __future__ import annotations

from typing import Collection, List

from gdws_contract.engines import EngineOptions

#: The builder's scratch memory. It limits which kernels are tried, above all for dense convolutions: so it is the same
#: wherever TensorRT builds, and never the default of a library in between.
DEFAULT_WORKSPACE_MIB = 1024


def workspace_mib(options: EngineOptions) -> int:
    """Return the builder's scratch memory that a request asks for, or the default."""
    return DEFAULT_WORKSPACE_MIB if options.workspace_mib is None else options.workspace_mib


def unused_choices(options: EngineOptions, known: Collection[str] = ()) -> List[str]:
    """Return ``name=value, not used`` for each choice that differs from its default and is not in ``known``."""
    defaults = EngineOptions()
    return [
        f"{name}={getattr(options, name)}, not used"
        for name in EngineOptions.model_fields
        if name not in known and getattr(options, name) != getattr(defaults, name)
    ]
