"""Weights of the input channels (alphas, Equation 8 of the paper), from data.

alpha_c of a layer is the expected noise gain from its sub-matrix W_c to the logit differences that decide::

    alpha_c = 1 / (M Kh Kw) * E_x [ sum over j != n_x of ||D_{x,j}||_F^2 / (2 delta_{x,j}^2) ]

n_x is the predicted class of x, delta_{x,j} = z_j - z_{n_x}, and D_{x,j} its derivative by W_c.

A backward pass serves a whole batch: it starts from one class difference of each sample and stops at the
outputs of the convolutions. The weight gradient of each sample is the product of these output gradients and
the unfolded input, and only its squared norm is needed.

**Many classes.** The exact form needs a backward pass for each class but one. For independent random signs r_j,
E ||sum_j r_j v_j||^2 = sum_j ||v_j||^2, so one pass from the sum of all scaled differences with random signs gives an
unbiased estimate of a sample's term, whatever the number of classes. The mean over samples evens out its noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Literal, NamedTuple, cast, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from gdws._util.calls import observed
from gdws._util.modes import evaluation_mode, frozen
from gdws._util.outputs import logits_in, logits_of, run, tensors_in
from gdws._util.seeds import derive_seed
from gdws.compression import surgery
from gdws.compression.calibration import margins
from gdws.compression.calibration.gradient_norms import Call, SquaredNorms, squared_norms
from gdws.compression.calibration.projections import Projection
from gdws.compression.eligibility import require_weights
from gdws.compression.independence import require_independence
from gdws.compression.layers import Conv
from gdws.compression.plain import plain
from gdws.compression.surgery import Layer
from gdws.errors import DataError, ModelError

#: ``attack(model, x, y) -> x_adv``, all of shape (N, C, H, W) but the labels y, (N,).
Attack = Callable[[nn.Module, Tensor, Tensor], Tensor]

#: ``exact``: a backward pass for each class but one. ``random-signs``: unbiased, one pass for each draw of signs.
Method = Literal["exact", "random-signs"]
METHODS: tuple[str, ...] = get_args(Method)


@dataclass(frozen=True, eq=False)
class Calibration:
    """Alphas of a network and how they came about.

    ``alphas`` has (C,) float64 values for each layer, by name, as :func:`gdws.convert` takes them.
    ``samples`` is the number of samples of the mean. ``guarded`` is the number of samples with a class
    difference so near zero that it was raised to the guard. ``draws`` counts the draws of signs for each sample and
    ``seed`` is theirs; both are None for the exact method.
    """

    alphas: dict[str, npt.NDArray[np.float64]]
    samples: int
    guarded: int
    method: Method = "exact"
    draws: int | None = None
    seed: int | None = None


def alphas(
    model: nn.Module,
    batches: Iterable[Tensor | Sequence[Tensor]],
    *,
    layers: Iterable[str] | None = None,
    attack: Attack | None = None,
    method: Method = "exact",
    projection: Projection | None = None,
    draws: int = 1,
    seed: int = 0,
    tie: float = 1e-4,
    chunk: int = 16,
    progress: Callable[[int], object] | None = None,
) -> Calibration:
    """Return the alphas of Equation 8: exact up to rounding, or an unbiased estimate of them by random signs.

    ``model`` runs in evaluation mode and is left as it was: modes, gradients and ``requires_grad`` included,
    whatever the attack does. A layer that is called several times, or that shares its weight, gets the
    gradient summed over all uses.

    Args:
        model: a classifier, (N, C, H, W) -> logits (N, classes), or any network if there is a ``projection``.
        batches: inputs (N, C, H, W), or tuples that begin with inputs and labels. Labels serve the attack only;
            without them it is given the predicted classes.
        layers: names of convolutions with ``groups`` = 1; by default all that GDWS can replace, the first
            convolution included.
        attack: makes the inputs at which the mean is taken, ``attack(model, x, y) -> x_adv``.
        method: ``exact`` takes as many backward passes as there are classes, less one; ``random-signs`` takes
            ``draws``, which makes networks with many classes feasible. With two classes both are the same.
        projection: what matters of the outputs of a network that does not classify, in place of the differences of
            logits; by ``random-signs``.
        draws: sets of random signs for each sample. The variance of the estimate falls with their number as it
            does with that of the samples, and so does the speed; more samples are the better use of the time.
        seed: of the signs. Those of a sample depend on the seed and its place in ``batches`` alone, not on how
            samples are grouped into batches.
        tie: guard against ties. A class difference below ``tie`` times the range of the sample's logits is
            raised to that; a sample whose logits are all equal is left out of the sum. Both are counted.
        chunk: samples in one forward pass; memory grows with it.
        progress: called with the number of samples that were done since the last call.

    Raises :class:`~gdws.errors.ModelError` if the model is not such a classifier, if samples of a batch influence
    each other, or if a layer cannot be calibrated, :class:`~gdws.errors.DataError` if there is no sample, and
    ``ValueError`` if ``method`` is unknown, ``draws`` is less than 1, or ``tie`` is not between 0 and 1.
    """
    if not 0 < tie < 1:
        raise ValueError(f"tie: expected a fraction between 0 and 1, got {tie}")
    if method not in METHODS:
        raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    if projection is not None and method != "random-signs":
        raise ValueError("a projection requires the method random-signs")
    if draws < 1:
        raise ValueError(f"draws: expected at least 1, got {draws}")
    require_weights(model)
    model = plain(model)
    targets = _targets(model, layers)
    sums = {name: np.zeros(group[0].weight_shape[1]) for name, group in targets.items()}
    samples = guarded = 0
    device = next(model.parameters()).device
    with evaluation_mode(model), frozen(model), torch.enable_grad():
        for batch in batches:
            if samples == 0:
                require_independence(model, (batch if isinstance(batch, Tensor) else batch[0]).shape[1:])
            inputs = _inputs(model, batch, attack, device)
            for x in torch.split(inputs, chunk) if len(inputs) else ():
                if projection is not None:
                    starts_of = partial(_projected, projection, draws, seed, samples)
                elif method == "random-signs":
                    starts_of = partial(_random_signs, tie, draws, seed, samples)
                else:
                    starts_of = partial(_exact, tie)
                ties = _accumulate(model, x, targets, sums, starts_of)
                samples, guarded = samples + len(x), guarded + ties
                if progress is not None:
                    progress(len(x))
    if samples == 0:
        raise DataError("no sample to calibrate on")
    means = {}
    for name, group in targets.items():
        M, _, Kh, Kw = group[0].weight_shape
        for layer in group:
            means[layer.name] = sums[name] / (samples * M * Kh * Kw)
    drawn = {} if method == "exact" else {"draws": draws, "seed": seed}
    return Calibration(alphas=means, samples=samples, guarded=guarded, method=method, **drawn)


class _Starts(NamedTuple):
    """The scalars to go back from, ``passes`` of them, and the ``weight`` of each one's squared norms in the sum."""

    scalars: Iterable[Tensor]
    passes: int
    weight: float
    guarded: int = 0


#: ``(output, samples)``: what the network gave for so many samples.
StartsOf = Callable[[Any, int], _Starts]


def _exact(tie: float, output: Any, samples: int) -> _Starts:
    """Each class but the predicted one by itself."""
    logits = logits_in(output, samples, classes=2)
    factors, guarded = margins.scales(logits.detach(), tie)
    count = factors.shape[1]
    differences = (margins.difference(logits.detach(), other, factors[:, other]) for other in range(count))
    return _Starts(((logits * each).sum() for each in differences), count, 1.0, guarded)


def _random_signs(tie: float, draws: int, seed: int, first: int, output: Any, samples: int) -> _Starts:
    """All classes at once with random signs, ``draws`` times; ``first`` is the place of the first sample."""
    logits = logits_in(output, samples, classes=2)
    factors, guarded = margins.scales(logits.detach(), tie)

    def drawn(draw: int) -> Tensor:
        rows = [
            margins.signs(factors.shape[1:], _generator(seed, sample, draw)) for sample in range(first, first + samples)
        ]
        return (logits * margins.signed_sum(logits.detach(), factors * torch.stack(rows).to(factors))).sum()

    return _Starts((drawn(draw) for draw in range(draws)), draws, 1 / draws, guarded)


def _projected(projection: Projection, draws: int, seed: int, first: int, output: Any, samples: int) -> _Starts:
    """The projection, ``draws`` times."""
    drawn = (projection(output, samples, _generator(seed, first, draw)) for draw in range(draws))
    return _Starts(drawn, draws, 1 / draws)


def _generator(seed: int, sample: int, draw: int) -> torch.Generator:
    return torch.Generator().manual_seed(derive_seed(seed, "signs", sample, draw))


class _Uses:
    """One weight in one forward pass: its calls, and the norms of its gradients as they come in.

    ``edges`` has where the gradient by the output of each call is found.
    """

    def __init__(self) -> None:
        self.edges: list[GradientEdge] = []
        self._calls: list[Call] = []
        self._norms: SquaredNorms | None = None

    def record(self, conv: Conv, x: Tensor, output: Tensor) -> Tensor | None:
        """Note one call. Returns an output to use in place of one that no gradient would reach."""
        self._calls.append(Call.of(conv, x, output))
        if output.requires_grad:
            self.edges.append(get_gradient_edge(output))
            return None
        leaf = output.detach().requires_grad_()
        self.edges.append(get_gradient_edge(leaf))
        return leaf.clone()  # a leaf allows no operation in place

    def take(self, gradients: Sequence[Tensor | None], sets: int) -> None:
        """Take in one of ``sets`` sets of gradients by the outputs (B, M, H', W'), in the order of the edges.

        None stands for a call that the outputs do not depend on.
        """
        reached = [(call, g.flatten(2)) for call, g in zip(self._calls, gradients, strict=True) if g is not None]
        if not reached:
            return
        outputs = reached[0][1] if len(reached) == 1 else torch.cat([gradient for _, gradient in reached], dim=2)
        if self._norms is None:
            self._norms = squared_norms([call for call, _ in reached], outputs.shape[1], sets)
        self._norms.add(outputs)

    def squared_norms(self) -> npt.NDArray[np.float64] | float:
        """The squared norms by input channel, (C,), summed over samples and sets; 0 if nothing came in."""
        return 0.0 if self._norms is None else self._norms.total().cpu().numpy()


def _accumulate(
    model: nn.Module,
    x: Tensor,
    targets: Mapping[str, list[Layer]],
    sums: dict[str, npt.NDArray[np.float64]],
    starts_of: StartsOf,
) -> int:
    """Add the terms of Equation 8 of the samples ``x`` (B, C, H, W) to ``sums``; return how many were guarded."""
    output, uses = _forward(model, x, targets)
    edges = [edge for use in uses.values() for edge in use.edges]
    starts = starts_of(output, len(x))
    for number, scalar in enumerate(starts.scalars, start=1):
        gradients = torch.autograd.grad(scalar, edges, retain_graph=number < starts.passes, allow_unused=True)
        found = iter(gradients)
        for use in uses.values():
            use.take(list(islice(found, len(use.edges))), starts.passes)
    for name, use in uses.items():
        sums[name] += starts.weight * use.squared_norms()
    return starts.guarded


def _forward(model: nn.Module, x: Tensor, targets: Mapping[str, list[Layer]]) -> tuple[Any, dict[str, _Uses]]:
    """Run ``x``; return the output and the uses of each weight that is applied."""
    uses: dict[str, _Uses] = {}

    def record(name: str, conv: nn.Module, x_in: Tensor, output: Tensor) -> Tensor | None:
        if output.shape[0] != len(x):
            raise ModelError(
                f"layer {name!r} sees a batch of {output.shape[0]} for {len(x)} samples, so gradients of "
                "single samples are unknown",
                layer=name,
            )
        if not torch.is_grad_enabled():
            raise ModelError(
                f"layer {name!r} runs where gradients are switched off",
                layer=name,
                hint="remove torch.no_grad and re-entrant checkpointing from the model's forward",
            )
        return uses.setdefault(name, _Uses()).record(cast(Conv, conv), x_in, output)

    with observed((layer.module, partial(record, name)) for name, group in targets.items() for layer in group):
        output = run(model, x)
    if not any(tensor.requires_grad for tensor in tensors_in(output)):
        raise ModelError("no gradient of the outputs reaches any layer to calibrate")
    return output, uses


def _targets(model: nn.Module, names: Iterable[str] | None) -> dict[str, list[Layer]]:
    """The layers to calibrate, grouped by the weight they hold, by name of the first of each group."""
    found = surgery.inspect(model, convert_first=True)
    by_name = {name: layer for layer in found for name in (layer.name, *layer.aliases)}
    chosen = [layer for layer in found if layer.eligible]
    if names is not None:
        chosen = []
        for name in names:
            layer = by_name.get(name)
            if layer is None or not isinstance(layer.module, nn.Conv1d | nn.Conv2d) or layer.module.groups != 1:
                raise ModelError(f"{name!r} is not a convolution with groups = 1", layer=name)
            chosen.append(layer)
    if not chosen:
        raise ModelError("no layer to calibrate", hint="see gdws.compression.surgery.inspect for the reasons")
    groups: dict[str, list[Layer]] = {}
    wanted = {layer.shares or layer.name for layer in chosen}
    for layer in found:
        if (layer.shares or layer.name) in wanted:
            groups.setdefault(layer.shares or layer.name, []).append(layer)
    return groups


def _inputs(model: nn.Module, batch: Tensor | Sequence[Tensor], attack: Attack | None, device: torch.device) -> Tensor:
    """The inputs (N, C, H, W) of a batch, attacked if asked for."""
    x, y = (batch, None) if isinstance(batch, Tensor) else (batch[0], batch[1] if len(batch) > 1 else None)
    x = x.to(device)
    if attack is None:
        return x
    labels = _predictions(model, x) if y is None else y.to(device)
    attacked = attack(model, x, labels).detach()
    model.eval()  # the attack may have changed it
    return attacked


def _predictions(model: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return logits_of(model, x).argmax(dim=1)
