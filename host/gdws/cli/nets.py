"""List the networks known by name, and those that ship with weights.

Sizes are those of the learnable parameters in float32. GMAC: billions of multiply-accumulates of convolutions and
linear layers for one image.
"""

from __future__ import annotations

from gdws.cli.options.common import Json
from gdws.cli.views.output import print_json, print_table
from gdws.errors import ModelError


def nets(as_json: Json = False) -> None:
    """List the networks known by name, and those that ship with weights."""
    from gdws.networks import zoo as nets

    infos = [nets.info(name) for name in nets.names()]
    sizes = {name: nets.measure(name) for name in nets.names()}
    shipped = {name: _weights_ship(name) for name in nets.names()}
    if as_json:
        print_json(
            [
                {
                    "name": info.name,
                    "input_shape": info.input_shape,
                    "classes": info.classes,
                    "parameters": sizes[info.name].parameters,
                    "size_mib": round(sizes[info.name].mib, 3),
                    "macs": sizes[info.name].macs,
                    "summary": info.summary,
                    "weights": shipped[info.name],
                }
                for info in infos
            ]
        )
        return
    print_table(
        ["name", "input", "classes", "parameters", "MiB", "GMAC", "weights", "summary"],
        [
            [
                info.name,
                " x ".join(map(str, info.input_shape)),
                str(info.classes),
                f"{sizes[info.name].parameters:,}",
                f"{sizes[info.name].mib:.2f}",
                f"{sizes[info.name].macs / 1e9:.3f}",
                "ship" if shipped[info.name] else "-",
                info.summary,
            ]
            for info in infos
        ],
        words=["input", "weights", "summary"],
    )


def _weights_ship(name: str) -> bool:
    from gdws.networks import zoo as nets

    try:
        nets.pretrained_path(name)
    except ModelError:
        return False
    return True
