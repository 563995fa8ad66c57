"""Checks that a network processes each image independently of the other images in the batch.

A device runs other batches than the host, so other networks would give different outputs there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gdws._util.calls import observed
from gdws._util.copies import copied
from gdws._util.outputs import relative_difference, run, tensors_in
from gdws.errors import ModelError

#: Largest difference of outputs for an image, alone and in a batch, relative to the largest value of each tensor.
TOLERANCE = 1e-4
_IMAGES = 3
#: The one in the middle also runs alone: it could depend on images before and after it.
_ALONE = slice(1, 2)


def require_independence(model: nn.Module, input_shape: Sequence[int]) -> None:
    """Raise :class:`~gdws.errors.ModelError` unless each image has the same outputs alone and in any batch.

    Images (C, H, W) of ``input_shape`` are noise of different brightness. A copy of ``model`` runs in evaluation mode
    on all, on all in another order, and on one alone. The error names the layer that mixes images, and the fix. Nothing
    is raised for a random network, which cannot be checked.
    """
    network = copied(model).eval()
    images = _images(network, input_shape)
    change = _change(network, images)
    if change <= TOLERANCE:
        return
    if isinstance(exact := _in_float64(network, images), float) and exact <= TOLERANCE:
        return  # only rounding, in a network that amplifies it
    if relative_difference(_outputs(network, images), _outputs(network, images)) > TOLERANCE:
        return  # it is random and cannot be checked
    name, module = _culprit(network, images)
    raise ModelError(
        f"the outputs for an image depend on the other images of its batch (alone, they change by {change:.1%}): "
        f"{_place(name, module)}",
        layer=name,
        hint=_hint(module),
    )


def _images(network: nn.Module, shape: Sequence[int]) -> Tensor:
    """Images (N, C, H, W) with different ranges, so that a dependence on statistics of the batch shows."""
    like = next((p for p in network.parameters() if p.is_floating_point()), torch.empty(0))
    noise = torch.rand(_IMAGES, *shape, generator=torch.Generator().manual_seed(0))
    brightness = torch.arange(1, _IMAGES + 1).view(-1, *[1] * len(shape)) / _IMAGES
    return (noise * brightness).to(like)


@torch.no_grad()
def _outputs(network: nn.Module, images: Tensor) -> list[Tensor]:
    """The outputs that have a row for each image."""
    return [
        tensor.clone() for tensor in tensors_in(run(network, images.clone())) if tensor.shape[:1] == images.shape[:1]
    ]


def _change(network: nn.Module, images: Tensor) -> float:
    """The largest relative change of an image's outputs between batches."""
    together = _outputs(network, images)
    try:
        alone = _outputs(network, images[_ALONE])
    except ModelError as error:
        raise ModelError(
            f"the network runs on {len(images)} images at once, but not on a single one: {error.message}",
            hint="a device runs single images: make the network process each image independently",
        ) from error
    in_other_order = [tensor.flip(0) for tensor in _outputs(network, images.flip(0))]
    return max(
        relative_difference(alone, [tensor[_ALONE] for tensor in together]),
        relative_difference(in_other_order, together),
    )


def _in_float64(network: nn.Module, images: Tensor) -> float | None:
    """As :func:`_change`, without rounding; None if the network does not run in float64."""
    try:
        return _change(copied(network).double(), images.double())
    except ModelError:
        return None


def _culprit(network: nn.Module, images: Tensor) -> tuple[str, nn.Module]:
    """The first module whose output depends on the batch although its input does not."""
    names = {module: name for name, module in network.named_modules()}
    together, alone = (_calls(network, batch) for batch in (images, images[_ALONE]))
    for (module, x, output), (other, x_alone, output_alone) in zip(together, alone, strict=False):
        if module is not other:
            break
        if _same(x, x_alone) and not _same(output, output_alone):
            return names[module], module
    return "", network


def _calls(network: nn.Module, images: Tensor) -> list[tuple[nn.Module, list[Tensor], list[Tensor]]]:
    """Inputs and outputs of each module for the image that also runs alone, in the order in which calls end."""
    rows = _ALONE if len(images) > 1 else slice(None)
    calls: list[tuple[nn.Module, list[Tensor], list[Tensor]]] = []

    def note(module: nn.Module, x: Any, output: Any) -> None:
        taken, given = ([each[rows].clone() for each in tensors_in(side) if each.ndim] for side in (x, output))
        calls.append((module, taken, given))

    with torch.no_grad(), observed((module, note) for module in network.modules()):
        network(images.clone())
    return calls


def _same(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    return relative_difference(one, other) <= TOLERANCE


def _place(name: str, module: nn.Module) -> str:
    if isinstance(module, _BatchNorm):
        state = "which is in training mode" if module.training else "which has no running statistics"
        return f"layer {name!r} normalises by the statistics of the batch ({type(module).__name__}, {state})"
    return f"it happens in {name!r} ({type(module).__name__})" if name else "it happens in the network's own forward"


def _hint(module: nn.Module) -> str:
    if isinstance(module, _BatchNorm) and module.training:
        return "make eval() take effect: something keeps it in training mode, e.g. a train() of its parent"
    if isinstance(module, _BatchNorm):
        return (
            "give it running statistics: create it with track_running_stats=True, and run training images through it "
            "in training mode; or normalise each image separately, e.g. with GroupNorm"
        )
    return "reduce over the axes of a single image, e.g. x.mean(dim=(1, 2, 3)), not over the batch or all axes"
