"""Every kind of ONNX file that the project writes, made by its own exporter; needs torch."""

from __future__ import annotations

from functools import lru_cache

#: Name -> how :func:`gdws.convert` is asked; None leaves the network dense.
FORMS = {
    "dense": None,
    "gather": {"mean_rank": 2, "layout": "gather"},
    "stacked": {"mean_rank": 2, "layout": "stacked"},
    "grouped": {"mean_rank": 2, "layout": "grouped"},
    "no ranks": {"gamma": 0},
}
#: Network -> shape of its images. The last three are one convolution of that geometry, and a linear layer.
NETWORKS = {
    "small": (3, 12, 12),
    "sharing": (3, 12, 12),
    "preact-resnet18": (3, 32, 32),
    "mnist-preact-resnet": (1, 28, 28),
    "dilated": (3, 9, 8),
    "reflect": (3, 9, 8),
    "even": (3, 9, 8),
}
_GEOMETRIES = {
    "dilated": {"kernel_size": 3, "padding": "same", "dilation": 2},
    "reflect": {"kernel_size": 3, "padding": 1, "padding_mode": "reflect", "stride": 2},
    "even": {"kernel_size": (4, 2), "padding": "same"},
}


@lru_cache(maxsize=None)
def exported(network: str, form: str):
    """Return (ONNX bytes, images (2, C, H, W), logits (2, classes) by torch)."""
    import torch

    import gdws
    from gdws.export import export

    shape = NETWORKS[network]
    model = _network(network)
    options = FORMS[form]
    if options is not None:
        model, _ = gdws.convert(model, **options)
    images = torch.rand((2, *shape), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return export(model, shape), images.numpy(), model(images).numpy()


def _network(name):
    from torch import nn

    from gdws import nets
    from support.networks import Sharing, SmallResNet, seeded

    if name == "small":
        return seeded(SmallResNet)
    if name == "sharing":
        return seeded(Sharing)
    if name in _GEOMETRIES:
        layers = (
            nn.Conv2d(3, 6, **_GEOMETRIES[name]),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(6, 4),
        )
        return seeded(nn.Sequential, *layers)
    return seeded(nets.build, name)
