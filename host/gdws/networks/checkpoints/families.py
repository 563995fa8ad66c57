"""The families of released checkpoints: how each wraps and names its weights, and its preprocessing.

A family is recognised by its structure if possible; :data:`FAMILIES` says how. Otherwise the caller names it: bare
state dicts with and without normalisation look the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from gdws.networks.checkpoints.files import shortened

Weights = dict[str, torch.Tensor]
Normalisation = str | Mapping[str, Sequence[float]] | None


@dataclass
class Contents:
    """Weights while their names are changed from the file's to the network's, with notes.

    ``normalisation`` is that of :func:`gdws.networks.zoo.build`; ``notes`` are sentences for the user. ``loose`` allows
    entries that the network does not have; they are dropped with a note.
    """

    weights: Weights
    normalisation: Normalisation = None
    loose: bool = False
    notes: list[str] = field(default_factory=list)

    def strip(self, prefix: str) -> None:
        """Take ``prefix`` off, if every key has it."""
        if self.weights and all(key.startswith(prefix) for key in self.weights):
            self.weights = {key.removeprefix(prefix): tensor for key, tensor in self.weights.items()}

    def drop(self, stray: Callable[[str], bool], what: str) -> None:
        """Leave out the entries whose keys are ``stray``, with a note."""
        keys = [key for key in self.weights if stray(key)]
        if keys:
            self.notes.append(f"left out {len(keys)} entries, {what}: {shortened(keys)}")
            self.weights = {key: tensor for key, tensor in self.weights.items() if key not in set(keys)}


@dataclass(frozen=True)
class Family:
    """A family of checkpoints.

    ``told_by`` decides by the whole content of a file and the keys of its state dict, without ``module.``, whether the
    file belongs to it; None for a family that must be named. ``arrange`` puts the contents in order.
    """

    name: str
    summary: str
    arrange: Callable[[Contents], None]
    told_by: Callable[[Mapping[str, Any], Weights], bool] | None = None


def _nothing(contents: Contents) -> None:
    """Names and preprocessing are those of the network."""


def _normalise(name: str) -> Callable[[Contents], None]:
    def arrange(contents: Contents) -> None:
        contents.normalisation = name

    return arrange


def _hydra(contents: Contents) -> None:
    contents.drop(lambda key: key.startswith("sub_block1."), "a block that HYDRA registers and does not use")
    classifier = contents.weights.get("fc.weight")
    if classifier is not None and len(classifier) == 1000:
        contents.normalisation = "imagenet"


def _admm(contents: Contents) -> None:
    contents.strip("basic_model.")


def _robnet(contents: Contents) -> None:
    contents.loose = True


def _madrylab(contents: Contents) -> None:
    mean, std = (contents.weights.get(f"normalizer.new_{what}") for what in ("mean", "std"))
    if mean is not None and std is not None:
        contents.normalisation = {"mean": mean.flatten().tolist(), "std": std.flatten().tolist()}
    contents.drop(lambda key: key.startswith(("attacker.", "normalizer.")), "the attacker's copies and statistics")
    contents.strip("model.")


def _any_key(weights: Weights, *parts: str) -> bool:
    return any(part in key for key in weights for part in parts)


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "madrylab",
            "MadryLab's robustness package: model with attacker; statistics in the file",
            _madrylab,
            lambda _, weights: _any_key(weights, "normalizer.new_mean"),
        ),
        Family(
            "hydra",
            "HYDRA: arch and best_prec1 beside the weights, or popup scores; raw pixels, on ImageNet normalised",
            _hydra,
            lambda content, weights: (
                {"arch", "best_prec1"} <= content.keys() or _any_key(weights, "popup_scores", "sub_block1.")
            ),
        ),
        Family(
            "admm",
            "ADMM pruning: keys begin with basic_model; raw pixels",
            _admm,
            lambda _, weights: all(key.startswith("basic_model.") for key in weights),
        ),
        Family(
            "robnet",
            "RobNet: cells; raw pixels; entries that the network lacks are left out",
            _robnet,
            lambda _, weights: _any_key(weights, "cells.0._ops."),
        ),
        Family(
            "msd",
            "MSD: a bare state dict in half precision, BN included; raw pixels",
            _nothing,
            lambda content, weights: (
                content.keys() == weights.keys()
                and all(tensor.dtype == torch.float16 for tensor in weights.values() if tensor.is_floating_point())
            ),
        ),
        Family(
            "authors",
            "the paper's authors and Rice et al. on CIFAR-10: test_robust_acc beside the weights; normalised",
            _normalise("cifar10"),
            lambda content, _: "test_robust_acc" in content,
        ),
        Family("svhn", "Rice et al. on SVHN: a bare state dict; normalised. Must be named", _normalise("svhn")),
        Family("plain", "any other state dict; raw pixels", _nothing, lambda *_: True),
    )
}
"""The families by name, in the order in which they are tried."""


def sniff(content: Mapping[str, Any], weights: Weights) -> Family:
    """The family of a file, recognised by its structure; ``plain`` if no other matches."""
    found = (family for family in FAMILIES.values() if family.told_by is not None)
    return next(family for family in found if family.told_by is not None and family.told_by(content, weights))
