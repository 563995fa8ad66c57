"""An engine for each batch size, or one for all of them? Both are made, and the faster one is kept."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Callable, Dict, List

from gdws_agent.backends.base import EngineSpec
from gdws_agent.errors import BuildFailed, OutOfMemory, RunFailed
from gdws_contract.engines import BatchProfile

from .options import Batches

if TYPE_CHECKING:
    from .maker import Maker
    from .runtime import TensorRtEngine

#: Of two that are equally fast the first is kept: its kernels were chosen for this batch size.
PROFILES: List[BatchProfile] = ["each", "all"]


def with_profile(spec: EngineSpec, profile: BatchProfile) -> EngineSpec:
    """Return ``spec`` with that batch profile."""
    return replace(spec, options=spec.options.model_copy(update={"batch_profile": profile}))


def make_faster(new_maker: Callable[[EngineSpec], Maker], spec: EngineSpec, model: bytes) -> TensorRtEngine:
    """Return the engine of ``model`` that is faster at the spec's batch size; its build tells both medians.

    Where both profiles come to the same, one is made and none is timed. One that cannot be made or run loses; where
    neither can, the error is that of the engine for this batch size.
    """
    specs = {profile: with_profile(spec, profile) for profile in PROFILES}
    if Batches.of(specs["all"]) == Batches.of(specs["each"]):
        return new_maker(specs["each"]).make(model)
    engines: Dict[BatchProfile, TensorRtEngine] = {}
    medians_ms: Dict[BatchProfile, float] = {}
    failures: Dict[BatchProfile, Exception] = {}
    with ExitStack() as made:
        for profile in PROFILES:
            maker = new_maker(specs[profile])
            try:
                engines[profile] = made.enter_context(maker.make(model))
                medians_ms[profile] = maker.time(engines[profile])
            except (BuildFailed, OutOfMemory, RunFailed) as error:
                failures[profile] = error
        if not medians_ms:
            raise failures["each"]
        kept = min(medians_ms, key=lambda profile: medians_ms[profile])
        for profile, engine in engines.items():
            if profile != kept:
                engine.__exit__(None, None, None)
        made.pop_all()
    engine = engines[kept]
    found = [
        f"{profile} {medians_ms[profile]:.3f} ms" if profile in medians_ms else f"{profile} failed: {failures[profile]}"
        for profile in PROFILES
    ]
    words = f"batch_profile={kept}, measured: {', '.join(found)}"
    engine.build = engine.build.model_copy(update={"options": [*engine.build.options, words]})
    return engine
