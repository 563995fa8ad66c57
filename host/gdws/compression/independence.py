"""Whether a network treats each image by itself: its logits do not depend on what else is in the batch.

A device runs other batches than the host does, so a network for which that matters gives other logits there.
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

#: Outputs for an image, alone and in a batch, may differ by this over the largest of each tensor.
TOLERANCE = 1e-4
_IMAGES = 3
#: The one in the middle runs alone, too: it may depend on those before it and on those behind it.
_ALONE = slice(1, 2)


def require_independence(model: nn.Module, input_shape: Sequence[int]) -> None:
    """Raise :class:`~gdws.errors.ModelError` unless each image gets the same outputs alone and in any batch.

    Images (C, H, W) of ``input_shape`` are noise of different brightness. A copy of ``model`` runs in evaluation mode
    on all, on all in another order, and on one alone. The error names the layer where the images meet, and the fix. Of
    a network that gives other outputs at each run nothing can be told, and nothing is raised.
    """
    network = copied(model).eval()
    images = _images(network, input_shape)
    change = _change(network, images)
    if change <= TOLERANCE:
        return
    if isinstance(exact := _in_float64(network, images), float) and exact <= TOLERANCE:
        return  # rounding alone, in a network that turns last bits into the third digit
    if relative_difference(_outputs(network, images), _outputs(network, images)) > TOLERANCE:
        return  # it is random: nothing can be told
    name, module = _culprit(network, images)
    raise ModelError(
        f"the outputs for an image depend on the other images of its batch (alone, they change by {change:.1%}): "
        f"{_place(name, module)}",
        layer=name,
        hint=_hint(module),
    )


def _images(network: nn.Module, shape: Sequence[int]) -> Tensor:
    """(N, C, H, W); what all images have in common, e.g. their range, could be used without being seen."""
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
    """How far outputs change with the company that an image is in."""
    together = _outputs(network, images)
    try:
        alone = _outputs(network, images[_ALONE])
    except ModelError as error:
        raise ModelError(
            f"the network runs on {len(images)} images at once, but not on a single one: {error.message}",
            hint="a device runs single images: let the network treat each image by itself",
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
    """The first module whose input is the same alone and in the batch, and whose output is not."""
    names = {module: name for name, module in network.named_modules()}
    together, alone = (_calls(network, batch) for batch in (images, images[_ALONE]))
    for (module, x, output), (other, x_alone, output_alone) in zip(together, alone, strict=False):
        if module is not other:
            break
        if _same(x, x_alone) and not _same(output, output_alone):
            return names[module], module
    return "", network


def _calls(network: nn.Module, images: Tensor) -> list[tuple[nn.Module, list[Tensor], list[Tensor]]]:
    """What each module took and gave for the image that runs alone, too, in the order in which the calls end."""
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
        return "let eval() reach it: something keeps it in training mode, e.g. a train() of its parent"
    if isinstance(module, _BatchNorm):
        return (
            "give it running statistics: make it with track_running_stats=True, and run training images through it "
            "in training mode; or normalise each image by itself, e.g. by GroupNorm"
        )
    return "compute over the axes of one image alone, e.g. x.mean(dim=(1, 2, 3)), not over the batch or all axes"
