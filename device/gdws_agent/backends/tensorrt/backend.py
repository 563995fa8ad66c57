"""TensorRT: engines built from ONNX by its own builder, kept in a cache, run through pycuda."""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any, Optional

from gdws_agent.backends.base import EngineSpec
from gdws_agent.backends.cuda.context import PrimaryContext, let_go
from gdws_agent.backends.cuda.presence import availability, tensorrt_version
from gdws_agent.errors import BackendUnavailable
from gdws_contract.rest import Availability

from .batch_choice import make_faster
from .builder import check_release
from .log import Log
from .maker import Maker
from .precision import PRECISIONS
from .runtime import TensorRtEngine

_PACKAGES = {
    "tensorrt": "on a Jetson it comes with the l4t images and JetPack, not from PyPI; see docs/jetson.md",
    "pycuda": "the dustynv/l4t-pytorch images have it; elsewhere: pip install pycuda, with the CUDA toolkit installed",
}


class TensorRtBackend:
    """Builds one engine for each model, precision and batch size, or one for all batch sizes: see ``batch_profile``.

    All engines of one backend share one thread, one CUDA context and one logger.
    """

    name = "tensorrt"
    capabilities = TensorRtEngine.capabilities

    def __init__(self) -> None:
        self._primary: Optional[PrimaryContext] = None
        self._log: Optional[Log] = None

    def probe(self) -> Availability:
        """Return availability; packages and device files are looked for, nothing is loaded."""
        return availability(self.name, _PACKAGES, tensorrt_version(), PRECISIONS, {})

    def build(self, model: bytes, spec: EngineSpec) -> TensorRtEngine:
        """Return an engine of ``model``, from the cache where it is there and whole."""
        trt, cuda = _load("tensorrt"), _load("pycuda.driver")
        check_release(trt)
        if self._primary is None or self._log is None:
            self._primary, self._log = PrimaryContext(cuda), Log(trt)
        device = self._primary.retain()
        try:
            new_maker = partial(Maker, trt, self._log, cuda, self._primary, device)
            if spec.options.batch_profile == "measured":
                return make_faster(new_maker, spec, model)
            return new_maker(spec).make(model)
        except BaseException as error:
            let_go(error)
            raise
        finally:
            self._primary.release()


def _load(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except Exception as error:  # also what a broken installation raises: a missing library, an ABI that differs
        package = module.split(".")[0]
        raise BackendUnavailable(f"{package} cannot be loaded: {error}", hint=_PACKAGES[package]) from error
