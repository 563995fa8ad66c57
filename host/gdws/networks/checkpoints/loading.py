"""Loads a network with weights from a file."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gdws._util.outputs import Chosen
from gdws.compression.eligibility import require_weights
from gdws.errors import CheckpointError, CheckpointMismatch, CheckpointUnreadable, GdwsWarning, ModelError
from gdws.networks import zoo as nets
from gdws.networks.checkpoints import masks
from gdws.networks.checkpoints.families import FAMILIES, Contents, Normalisation, sniff
from gdws.networks.checkpoints.files import FORMAT, read_file, require_finite, shortened
from gdws.networks.checkpoints.fit import require_fit, unexpected
from gdws.networks.checkpoints.prefixes import under_one_prefix

#: The usual names of the state dict in a file. Any other name is accepted if there is only one state dict.
_USUAL = ("state_dict", "model", "model_state_dict", "net")
_DEPTH = 4


class CheckpointWarning(GdwsWarning):
    """A change to a checkpoint before it was loaded that the user should know about."""


@dataclass(frozen=True)
class Checkpoint:
    """``weights``: tensors by parameter or buffer name; ``metadata``: text by field, empty for foreign files.

    ``family`` is a name in :data:`FAMILIES`, ``normalisation`` what the network must do to pixels in [0, 1], as
    :func:`gdws.networks.zoo.build` takes it. With ``loose`` entries that the network lacks may be left out. ``prefix``
    is what was asked for, see :func:`read`. ``notes`` say what was done to the file's contents.
    """

    weights: Mapping[str, torch.Tensor]
    metadata: Mapping[str, str]
    family: str = "plain"
    normalisation: Normalisation = None
    loose: bool = False
    notes: tuple[str, ...] = ()
    prefix: str | None = None


@dataclass(frozen=True, eq=False)
class Loaded:
    """A network with weights: its registered name and options, and what was done to the file's contents."""

    name: str
    options: Mapping[str, Any]
    module: nn.Module
    family: str
    notes: tuple[str, ...]


def load(
    path: str | Path,
    net: str | nn.Module | None = None,
    *,
    family: str | None = None,
    kept: float | None = None,
    prefix: str | None = None,
    **options: Any,
) -> nn.Module:
    """The network with the weights of a file, on the CPU, in evaluation mode.

    ``net`` is a registered name, built with ``options``, or a module, which is copied. Without it the
    file's metadata must name the network; ``options`` then override those of the file. The option ``normalisation``
    overrides that of the family. ``family``, ``kept`` and ``prefix`` as for :func:`read`.
    Changes to the contents of the file are reported as :class:`CheckpointWarning`.
    Raises :class:`CheckpointUnreadable`, :class:`CheckpointUnsafe`, :class:`CheckpointMismatch` if keys or
    shapes are not the network's, and :class:`NonFiniteWeights`.
    """
    if isinstance(net, nn.Module):
        module, notes = read_into(net, path, family=family, kept=kept, prefix=prefix)
    else:
        loaded = load_named(path, net, family=family, kept=kept, prefix=prefix, **options)
        module, notes = loaded.module, loaded.notes
    for note in notes:
        warnings.warn(f"{path}: {note}", CheckpointWarning, stacklevel=2)
    return module


def read_into(
    network: nn.Module,
    path: str | Path,
    *,
    family: str | None = None,
    kept: float | None = None,
    prefix: str | None = None,
) -> tuple[nn.Module, tuple[str, ...]]:
    """A copy of ``network`` with the weights of a file, as :func:`load` gives it, and notes without warnings."""
    require_weights(network)
    checkpoint = read(path, family=family, kept=kept, prefix=prefix)
    module, notes = deepcopy(network).cpu().eval(), list(checkpoint.notes)
    inner = module.network if isinstance(module, Chosen) else module  # the file does not know the choice of an output
    _fill(inner, _fitting(inner, checkpoint, Path(path), notes))
    if checkpoint.normalisation is not None:
        notes.append(f"the weights are for pixels normalised as {_named(checkpoint.normalisation)}")
    return module, tuple(notes)


def load_named(
    path: str | Path,
    net: str | None = None,
    *,
    family: str | None = None,
    kept: float | None = None,
    prefix: str | None = None,
    **options: Any,
) -> Loaded:
    """As :func:`load`, with name, options and notes, and without warnings."""
    path = Path(path)
    checkpoint = read(path, family=family, kept=kept, prefix=prefix)
    name, options = _named_network(checkpoint, net, options, path)
    notes = list(checkpoint.notes)
    if "normalisation" not in options and checkpoint.normalisation is not None:
        options["normalisation"] = checkpoint.normalisation
        notes.append(f"pixels are normalised as {_named(checkpoint.normalisation)}; another normalisation may be given")
    with torch.device("meta"):  # checks the names before allocating memory
        weights = _fitting(nets.build(name, **options), checkpoint, path, notes)
    with torch.random.fork_rng(devices=[]):
        module = nets.build(name, **options)
    return Loaded(name, options, _fill(module, weights), checkpoint.family, tuple(notes))


def read(
    path: str | Path, *, family: str | None = None, kept: float | None = None, prefix: str | None = None
) -> Checkpoint:
    """The weights in a file, on the CPU, under the names that the file gives them; a ``module.`` prefix is taken off.

    What else stands before the names of a network is taken off when they are loaded into it. ``prefix`` says where in
    the file it is, where there are several: names of containers and of keys, joined by dots, e.g. ``state_dict_ema``
    or ``ema_model``; an empty one means the names as they are.

    ``family`` is a name in :data:`FAMILIES`; by default it is recognised by the file's structure. ``kept`` is the share
    of its weights that each layer with HYDRA's popup scores keeps, as trained; 1 for a dense network.
    Raises :class:`CheckpointError` if a family or a share is not as it must be, :class:`CheckpointUnreadable` and
    :class:`CheckpointUnsafe`.
    """
    path = Path(path)
    if family is not None and family not in FAMILIES:
        raise CheckpointError(
            f"there is no family of checkpoints {family!r}", path=str(path), hint=f"use one of: {', '.join(FAMILIES)}"
        )
    content, metadata = read_file(path)
    notes: list[str] = []
    contents = Contents(_under(content, prefix, path) if prefix else _state_dict(content, path, notes), notes=notes)
    contents.strip("module.")
    if family is None:
        ours = metadata.get("format") == FORMAT
        family = "plain" if ours else sniff(content, contents.weights).name
    FAMILIES[family].arrange(contents)
    if masks.has_scores(contents.weights):
        _apply_scores(contents, kept if kept is not None else content.get("k"), path)
    elif kept is not None:
        contents.notes.append("there are no popup scores, so every weight is kept")
    return Checkpoint(
        contents.weights, metadata, family, contents.normalisation, contents.loose, tuple(contents.notes), prefix
    )


def _apply_scores(contents: Contents, kept: Any, path: Path) -> None:
    if not isinstance(kept, (int, float)):
        raise CheckpointError(
            f"{path} has popup scores, but does not say which fraction of the weights to keep",
            path=str(path),
            hint="give the fraction that it was trained for, e.g. --kept 0.1; --kept 1 for a dense network",
        )
    count = sum(key.endswith(masks.SCORES) for key in contents.weights)
    try:
        contents.weights = masks.apply_scores(contents.weights, kept)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}", path=str(path), hint="give a fraction such as 0.1") from error
    contents.notes.append(
        f"popup scores of {count} layers: {kept:.4g} of the weights of each are kept, the others set to 0"
    )


def _state_dict(content: Any, path: Path, notes: list[str]) -> dict[str, torch.Tensor]:
    """The tensors of a state dict: bare, under one of the usual names, or under the only name there is."""
    found = _state_dicts(content)
    usual = next((places for name in _USUAL if (places := [each for each in found if each.split(".")[0] == name])), [])
    if len(usual) == 1:
        [taken] = usual
        others = [place for place in found if found[place].keys() == found[taken].keys() and place != taken]
        notes += [f"using {taken}; {place} has the same names, use --prefix {place} for that" for place in others]
        return found[taken]
    if len(found) > 1:
        raise _several(path, list(found))
    if found:
        return next(iter(found.values()))
    if not isinstance(content, Mapping) or not content:
        raise CheckpointUnreadable(f"{path} contains no state dict", path=str(path))
    content = next((content[name] for name in _USUAL if isinstance(content.get(name), Mapping)), content)
    key, value = next(((key, value) for key, value in content.items() if not _is_entry(key, value)), ("", None))
    raise CheckpointUnreadable(
        f"{path} contains no state dict: {key!r} is a {type(value).__name__}, not a tensor", path=str(path)
    )


def _state_dicts(content: Any, place: str = "", depth: int = 0) -> dict[str, dict[str, torch.Tensor]]:
    """The mappings of tensors in ``content`` by the names that lead to them, joined by dots; those that come first."""
    if not isinstance(content, Mapping) or not content or depth > _DEPTH:
        return {}
    if all(_is_entry(key, value) for key, value in content.items()):
        return {place: dict(content)}
    parts = [(key, value) for key, value in content.items() if isinstance(key, str)]
    found: dict[str, dict[str, torch.Tensor]] = {}
    for key, value in parts:
        found |= _state_dicts(value, f"{place}.{key}" if place else key, depth + 1)
    return found


def _is_entry(key: Any, value: Any) -> bool:
    return isinstance(key, str) and isinstance(value, torch.Tensor)


def _under(content: Any, prefix: str, path: Path) -> dict[str, torch.Tensor]:
    """The tensors whose names begin with ``prefix``, those of the containers they are in or their own, without it."""
    start = f"{prefix.removesuffix('.')}."
    known = _state_dicts(content)
    full = {f"{place}.{key}".lstrip("."): tensor for place, weights in known.items() for key, tensor in weights.items()}
    by_place = {place: weights for place, weights in known.items() if any(key.startswith(start) for key in weights)}
    if any(name.startswith(start) for name in full):
        return _cut(full, start)
    if len(by_place) == 1:
        return _cut(next(iter(by_place.values())), start)
    if by_place:
        raise _several(path, [f"{place}.{prefix}" for place in by_place])
    tops = dict.fromkeys(".".join(name.split(".")[: 2 if "" not in known else 1]) for name in full)
    raise CheckpointMismatch(
        f"{path} has nothing under {prefix!r}", path=str(path), hint=f"it has: {', '.join(list(tops)[:10])}"
    )


def _cut(weights: Mapping[str, torch.Tensor], start: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(start): tensor for key, tensor in weights.items() if key.startswith(start)}


def _several(path: Path, places: list[str]) -> CheckpointMismatch:
    return CheckpointMismatch(
        f"{path} contains {len(places)} state dicts: {', '.join(places)}",
        path=str(path),
        hint=f"choose one, e.g. --prefix {places[0]}",
    )


def _named_network(
    checkpoint: Checkpoint, net: str | None, options: Mapping[str, Any], path: Path
) -> tuple[str, dict[str, Any]]:
    """Name and options of the network: what the caller says, then what the file says."""
    if net is not None and net != checkpoint.metadata.get("net"):
        return net, dict(options)
    name = checkpoint.metadata.get("net")
    if name is None:
        fitting = _fitting_networks(checkpoint)
        raise CheckpointMismatch(
            f"{path} does not name its network",
            path=str(path),
            hint=f"its weights fit {' and '.join(fitting)}: give --net {fitting[0]}"
            if fitting
            else f"name the network, one of: {', '.join(nets.names())}",
        )
    try:
        stored = json.loads(checkpoint.metadata.get("net_options", "{}"))
        return name, {**stored, **options}
    except (ValueError, TypeError) as error:
        raise CheckpointUnreadable(f"{path}: the metadata field net_options is malformed", path=str(path)) from error


def _fitting_networks(checkpoint: Checkpoint) -> list[str]:
    """The registered networks that the weights fit without further options."""
    found = []
    with torch.device("meta"):
        for name in nets.names():
            try:
                _fitting(nets.build(name), checkpoint, Path(), [])
            except (CheckpointMismatch, ModelError):
                continue
            found.append(name)
    return found


def _fitting(model: nn.Module, checkpoint: Checkpoint, path: Path, notes: list[str]) -> Mapping[str, torch.Tensor]:
    """The weights for ``model``, checked, without entries that may be left out, for which a note is added."""
    require_finite(checkpoint.weights)
    weights, left_out = under_one_prefix(
        model.state_dict(), checkpoint.weights, path, as_they_are=checkpoint.prefix == ""
    )
    notes += left_out
    if checkpoint.loose and (stray := unexpected(model, weights)):
        notes.append(f"left out {len(stray)} entries that the network does not have: {shortened(stray)}")
        weights = {key: tensor for key, tensor in weights.items() if key not in set(stray)}
    require_fit(model, weights, path)
    return weights


def _fill(model: nn.Module, weights: Mapping[str, torch.Tensor]) -> nn.Module:
    model.load_state_dict(weights, strict=False)
    return model.eval()


def _named(normalisation: Normalisation) -> str:
    if isinstance(normalisation, Mapping):
        return "the file says, " + " and ".join(
            f"{what} {', '.join(f'{value:.4g}' for value in values)}" for what, values in normalisation.items()
        )
    return f"for {normalisation}"
