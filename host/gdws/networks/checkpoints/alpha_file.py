"""Files of alphas (Equation 8) as the paper's authors store them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gdws.errors import CheckpointUnreadable
from gdws.networks.checkpoints.files import read_torch


@dataclass(frozen=True, eq=False)
class AlphaFile:
    """``alphas``: (C,) float64 values for each layer by name, as :func:`gdws.convert` takes them.

    ``about`` has what else the file says: the attack, its radius in pixels of [0, 255], the number of samples.
    """

    alphas: dict[str, npt.NDArray[np.float64]]
    about: dict[str, Any]


def read_alphas(path: str | Path) -> AlphaFile:
    """The alphas in a file of the authors' form, ``{"noise_gains": {"module.<layer>.weight": (C,)}, ...}``.

    Raises :class:`CheckpointUnreadable` if it has another form or a value that is negative or not finite, and
    :class:`CheckpointUnsafe`.
    """
    path = Path(path)
    try:
        path.open("rb").close()
    except OSError as error:
        raise CheckpointUnreadable(f"{path}: {error.strerror}", path=str(path)) from error
    content = read_torch(path)
    gains = content.get("noise_gains") if isinstance(content, Mapping) else None
    if not isinstance(gains, Mapping) or not gains:
        raise CheckpointUnreadable(
            f"{path} is not a file of alphas",
            path=str(path),
            hint="it must contain noise_gains: a vector for each weight, module.<layer>.weight",
        )
    about = {str(key): value for key, value in content.items() if isinstance(value, (str, int, float))}
    return AlphaFile({_layer(key): _vector(key, value, path) for key, value in gains.items()}, about)


def _layer(key: object) -> str:
    return str(key).removeprefix("module.").removesuffix(".weight")


def _vector(key: object, value: object, path: Path) -> npt.NDArray[np.float64]:
    if not isinstance(value, torch.Tensor) or value.ndim != 1:
        shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise CheckpointUnreadable(f"{path}: {key} is {shape}, not a vector (C,)", path=str(path))
    vector = value.detach().double().numpy()
    if not (np.isfinite(vector).all() and (vector >= 0).all()):
        raise CheckpointUnreadable(f"{path}: {key} has negative or non-finite values", path=str(path))
    return vector
