"""Results put into an agent's data folder before it starts, so that a test need not measure them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from gdws_agent.storage.folder import DataFolder
from gdws_agent.storage.store import Store
from gdws_contract.rest import BenchmarkResult, ModelInfo


def store_results(data_dir: Path, results: Iterable[BenchmarkResult], *, manifests: bool = True) -> list[str]:
    """Store the jobs of ``results`` with their cells, the oldest first, and return their ids.

    The bundles are records without files. Without ``manifests`` they are gone, as if they had been removed since.
    """
    with DataFolder(data_dir) as folder, contextlib.closing(Store(folder.database)) as store:
        ids = [_store(store, result) for result in results]
        if not manifests:
            for model in store.models():
                store.remove_model(model.id)
        return ids


def _store(store: Store, result: BenchmarkResult) -> str:
    manifest, request = result.manifest, result.job.request
    names = [variant.name for variant in manifest.variants]
    info = ModelInfo(
        id=request.model_id,
        name=manifest.name,
        size_bytes=1,
        created_at=result.saved_at,
        baseline=manifest.baseline,
        variants=names,
    )
    store.add_model(info, manifest.model_dump(mode="json"))
    backends = sorted({cell.key.backend for cell in result.job.cells})
    answered = {"variants": request.variants or names, "backends": request.backends or backends or ["onnxruntime"]}
    job_id = store.add_job(request.model_copy(update=answered)).id
    store.begin_next()
    for cell in result.job.cells:
        store.add_cell(job_id, cell, run_s=10.0)
    store.finish(job_id, result.job.state, result.job.error)
    return job_id
