"""What a network expects of pixels: their range, the order of channels, their mean and deviation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gdws.errors import ModelError

ChannelOrder = Literal["rgb", "bgr"]


@dataclass(frozen=True)
class Preprocessing:
    """What is done to pixels x, RGB from 0 to 1, before a network sees them: (``scale`` * x - ``mean``) / ``std``.

    ``scale`` is 255 for a network that was trained on bytes. ``channels`` says in which order the network takes them;
    ``mean`` and ``std`` are in that order and after scaling: a value for each channel, or one for all.
    """

    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    channels: ChannelOrder = "rgb"

    def __post_init__(self) -> None:
        _require(math.isfinite(self.scale) and self.scale > 0, "scale", self.scale, "greater than 0, e.g. 255")
        _require(bool(self.mean) and all(map(math.isfinite, self.mean)), "mean", self.mean, "one number or several")
        is_positive = bool(self.std) and all(0 < value < math.inf for value in self.std)
        _require(is_positive, "std", self.std, "one number greater than 0 or several")
        _require(self.channels in ("rgb", "bgr"), "order of channels", self.channels, "rgb or bgr")

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Preprocessing:
        """What :meth:`to_dict` gave, whole or in part. Raises :class:`~gdws.errors.ModelError`."""
        unknown = content.keys() - {field.name for field in dataclasses.fields(cls)}
        if unknown:
            raise ModelError(
                f"preprocessing is {dict(content)!r}", hint="it has scale, mean, std and channels, or some of them"
            )
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in content.items()
        }
        return cls(**given)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return dataclasses.asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    @property
    def is_identity(self) -> bool:
        """Whether the network sees pixels as they are."""
        return self == Preprocessing()

    def __str__(self) -> str:
        if self.is_identity:
            return "pixels from 0 to 1, RGB, as they are"
        return f"pixels x from 0 to 1 as {self.formula}, {self.channels.upper()}"

    @property
    def formula(self) -> str:
        """What becomes of a value x."""
        return f"({self.scale:g} * x - {_listed(self.mean)}) / {_listed(self.std)}"

    def by_channel(self, count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation of ``count`` channels for pixels from 0 to 1: the scale is in them.

        Raises :class:`~gdws.errors.ModelError` if they are for another number of channels.
        """
        return self._spread("mean", self.mean, count), self._spread("std", self.std, count)

    def order(self, count: int) -> tuple[int, ...] | None:
        """Which channels of an RGB image the network takes; None if all as they come. Raises as above."""
        if self.channels == "rgb":
            return None
        if count != 3:
            raise ModelError(f"the order of channels is BGR, and the network takes {count}", hint="leave it out")
        return (2, 1, 0)

    def _spread(self, name: str, values: tuple[float, ...], count: int) -> tuple[float, ...]:
        if len(values) not in (1, count):
            raise ModelError(
                f"the {name} has {len(values)} values, and the network takes {count} channels",
                hint="give one value for each channel, or one for all",
            )
        return tuple(value / self.scale for value in (values if len(values) == count else values * count))


def _listed(values: Sequence[float]) -> str:
    text = ", ".join(f"{value:g}" for value in values)
    return text if len(values) == 1 else f"[{text}]"


def _require(holds: bool, what: str, value: object, rule: str) -> None:
    if not holds:
        raise ModelError(f"the {what} of the preprocessing is {value}", hint=f"it must be {rule}")
