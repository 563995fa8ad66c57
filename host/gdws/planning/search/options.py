"""From a network and calibration images to the options of its layers, and from a choice among them to a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
from torch import nn

from gdws._util.progress import SILENT, Progress
from gdws.algorithms.allocate import mego
from gdws.algorithms.mac_budget import VECTOR
from gdws.algorithms.spectrum import Ints, Spectrum
from gdws.compression import surgery
from gdws.compression.fitting import Calibration, Observation
from gdws.compression.fitting.patches import Demand
from gdws.compression.fitting.walk import Walk
from gdws.compression.surgery import Layer
from gdws.planning.conversion import layer_plan, replaceable, spectra_of
from gdws.planning.search.space import DENSE, Choice, LayerOption, LayerOptions, Space
from gdws_contract.costs import dense_weights, gdws_weights
from gdws_contract.plan import Layout, Plan

#: Ranks of layouts that need equal ranks, and mean ranks G/C of the one that does not. ``grouped`` and ``gather`` of
#: rank 1 are what ``stacked`` is there: one depthwise convolution.
_EQUAL: Mapping[Layout, tuple[int, ...]] = {"stacked": (1, 2, 3, 4, 6), "grouped": (2, 3)}
_GATHER = (0.5, 1.0, 2.0, 3.0)

#: Channel distribution vectors (C,) by layout and name.
_Ranks = dict[tuple[Layout, str], Ints]

#: From a name, a key of JSON values and a function to what that function gives, or gave before for the same key.
Recall = Callable[[str, Any, Callable[[], Any]], Any]


def _made(name: str, key: Any, make: Callable[[], Any]) -> Any:
    return make()


@dataclass(frozen=True, eq=False)
class Offer:
    """The options of a network's layers, with what is needed to make plans of choices.

    ``layers`` are all that have a weight, ``space`` those that have a choice. ``unfitted`` has, by the name of the
    layer, the number of options that are left out because the calibration images are too few to fit them to.
    """

    space: Space
    layers: Sequence[Layer]
    input_shape: tuple[int, ...]
    other_parameters: int
    calibration: Calibration
    spectra: Mapping[str, Spectrum]
    seen: Mapping[str, Observation]
    unfitted: Mapping[str, int] = field(default_factory=dict)

    def plan(self, choice: Choice, *, fitted: bool) -> Plan:
        """The plan of a choice; with ``fitted`` its factors are to be fitted to the calibration images.

        Factors from weights alone are found at once, and take a device the same time.
        """
        taken = {
            user: option
            for layer, option in zip(self.space.layers, self.space.taken(choice), strict=True)
            for user in layer.users
        }
        layers = []
        for layer in self.layers:
            option = taken.get(layer.name)
            ranks = None if option is None or option.ranks is None else np.array(option.ranks)
            layout = "gather" if option is None or option.layout is None else option.layout
            seen = self.seen if fitted else {}
            left_alone = layer.left_alone if option is not None or layer.left_alone else "it never runs"
            layers.append(
                layer_plan(
                    replace(layer, left_alone=left_alone), self.spectra.get(layer.name), ranks, None, layout, seen
                )
            )
        return Plan(
            layers=tuple(layers),
            input_shape=self.input_shape,
            other_parameters=self.other_parameters,
            calibration=self.calibration.identity if fitted else None,
        )


def offer(
    calibration: Calibration,
    input_shape: Sequence[int],
    *,
    skip: str | Iterable[str] = (),
    convert_first: bool = False,
    recall: Recall = _made,
    progress: Progress = SILENT,
) -> Offer:
    """The options of every layer that can be converted and runs, in the order in which they run.

    The network is that of ``calibration``. Errors are those of factors fitted to its images, see
    :func:`gdws.compression.fitting.sensitivities`. ``skip`` and ``convert_first`` as for
    :func:`gdws.compression.surgery.inspect`. ``recall`` may give errors that were found before. Raises what
    :func:`gdws.convert` raises.
    """
    model, image = calibration.model, calibration.images[:1]
    layers = replaceable(model, surgery.inspect(model, image, skip=skip, convert_first=convert_first), image)
    running = [layer for layer in layers if layer.eligible and layer.grids]
    users: dict[str, list[Layer]] = {}
    for layer in running:
        users.setdefault(layer.shares or layer.name, []).append(layer)
    seen = calibration.observe(running) if running else {}
    spectra = spectra_of(layers, seen)
    useful = {name: _ranks(spectra[name]) for name in users}
    ranks = {name: _fitting(offered, users[name], len(calibration.images)) for name, offered in useful.items()}
    distinct = {name: _distinct(offered.values()) for name, offered in ranks.items()}
    key = {name: [each.tolist() for each in vectors] for name, vectors in distinct.items()}
    errors = recall("errors", key, lambda: calibration.sensitivities(running, distinct, progress=progress) or {})
    order = list(Walk(model, running, image, batch_size=1).calls) if running else []
    found = []
    for name in order:
        error_of = {tuple(each.tolist()): error for each, error in zip(distinct[name], errors[name], strict=True)}
        found.append(_layer_options(users[name], ranks[name], error_of))
    return Offer(
        space=Space(tuple(found)),
        layers=layers,
        input_shape=tuple(input_shape),
        other_parameters=sum(p.numel() for p in model.parameters()) - sum(layer.parameters for layer in layers),
        calibration=calibration,
        spectra=spectra,
        seen=seen,
        unfitted={name: len(useful[name]) - len(ranks[name]) for name in users if len(useful[name]) > len(ranks[name])},
    )


def _layer_options(
    users: Sequence[Layer], ranks: Mapping[tuple[Layout, str], Ints], error_of: Mapping[tuple[int, ...], float]
) -> LayerOptions:
    holder = next((layer for layer in users if layer.shares is None), users[0])
    positions = sum(height * width for layer in users for height, width in layer.grids or ())
    shape = holder.weight_shape
    options = [LayerOption(DENSE, None, None, positions * dense_weights(shape), 0.0)]
    for (layout, name), vector in ranks.items():
        key = tuple(vector.tolist())
        macs = positions * gdws_weights(shape, sum(key))
        if macs < options[0].macs:
            options.append(LayerOption(name, key, layout, macs, error_of[key]))
    return LayerOptions(
        name=holder.shares or holder.name,
        users=tuple(layer.name for layer in users),
        geometry=" + ".join(_geometry(layer) for layer in users),
        options=tuple(options),
    )


def _geometry(layer: Layer) -> str:
    """What the time of a convolution depends on, e.g. ``64x32x3x3 stride 2x2 dilation 1x1 to 14x14``."""
    conv = cast(nn.Conv2d, layer.module)
    grids = ", ".join(f"{height}x{width}" for height, width in layer.grids or ())
    sizes = "x".join(map(str, layer.weight_shape))
    stride, dilation = ("x".join(map(str, pair)) for pair in (conv.stride, conv.dilation))
    return f"{sizes} stride {stride} dilation {dilation} to {grids}"


def _ranks(spectrum: Spectrum) -> _Ranks:
    """Channel distribution vectors (C,) by layout and name; each pair of layout and vector once."""
    useful = spectrum.numerical_ranks
    channels, most = len(useful), int(useful.max())
    found: _Ranks = {}
    for layout, equal in _EQUAL.items():
        for rank in sorted({min(rank, most) for rank in equal}):
            found[layout, f"{layout}-{rank}"] = np.full(channels, rank)
    unit = VECTOR if channels >= VECTOR else 1
    for mean in _GATHER:
        total = min(unit * int(np.ceil(mean * channels / unit)), int(useful.sum()))
        found["gather", f"gather-{mean:g}"] = mego(spectrum, total)
    taken: set[tuple[Layout, bytes]] = set()
    for key, vector in list(found.items()):
        layout = "stacked" if set(vector.tolist()) <= {1} else key[0]
        if (layout, vector.tobytes()) in taken:
            del found[key]
        taken.add((layout, vector.tobytes()))
    return found


def _fitting(offered: _Ranks, users: Sequence[Layer], images: int) -> _Ranks:
    """The ranks that ``images`` calibration images are enough for, see :mod:`gdws.compression.fitting.patches`."""
    patches = sum(height * width for layer in users for height, width in layer.grids or ())
    name = users[0].name
    return {
        key: vector for key, vector in offered.items() if Demand(name, int(vector.sum()), patches).images(1) <= images
    }


def _distinct(vectors: Iterable[Ints]) -> list[Ints]:
    return [np.array(key) for key in dict.fromkeys(tuple(vector.tolist()) for vector in vectors)]
