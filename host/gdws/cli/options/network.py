"""Options that say which network a command works on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Checkpoint = Annotated[
    str | None,
    typer.Argument(
        metavar="CHECKPOINT",
        help="A file of weights (safetensors or a torch state dict), or the name of a network whose weights "
        "ship with the package, e.g. mnist-preact-resnet. Left out with --onnx.",
        show_default=False,
    ),
]
Net = Annotated[
    str | None,
    typer.Option("--net", metavar="NAME", help="The network, where the file does not name it: see gdws nets."),
]
_CHECKPOINT = "Checkpoints of other projects"
_MODEL = "Networks of your own, and pruned ones"

Family = Annotated[
    str | None,
    typer.Option(
        "--family",
        metavar="NAME",
        help="Whose file it is: authors, svhn (Rice et al.), hydra, admm, msd, robnet, madrylab or plain. Default: "
        "told by its structure, but for svhn, which looks like plain.",
        rich_help_panel=_CHECKPOINT,
    ),
]
Kept = Annotated[
    float | None,
    typer.Option(
        "--kept",
        metavar="SHARE",
        help="Of a file with popup scores (HYDRA): the share of its weights that each layer keeps, as it was trained, "
        "e.g. 0.1.",
        rich_help_panel=_CHECKPOINT,
    ),
]
Prefix = Annotated[
    str | None,
    typer.Option(
        "--prefix",
        metavar="NAME",
        help="Where in the file the network is, if it holds several, e.g. state_dict_ema or ema_model. What wrappers "
        "put before the names of one network is found without it.",
        rich_help_panel=_CHECKPOINT,
    ),
]
Normalisation = Annotated[
    str | None,
    typer.Option(
        "--normalisation",
        metavar="NAME",
        help="What the network does to pixels in [0, 1] first: cifar10, svhn, imagenet or none. Default: what the "
        "file's family does.",
        rich_help_panel=_CHECKPOINT,
    ),
]
NetOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--net-option",
        metavar="NAME=VALUE",
        help="An option of the network, e.g. classes=100. Repeatable.",
        rich_help_panel=_CHECKPOINT,
    ),
]
Onnx = Annotated[
    Path | None,
    typer.Option(
        "--onnx",
        metavar="FILE",
        help="The network in an ONNX file, in place of a checkpoint: float images (N, C, H, W) to logits.",
        rich_help_panel=_MODEL,
    ),
]
Module = Annotated[
    str | None,
    typer.Option(
        "--module",
        metavar="PACKAGE.MODULE:FACTORY",
        help="A network that Python code makes, e.g. torchvision.models:resnet18, with the weights of CHECKPOINT if "
        "one is given. The code runs; the current folder is looked in, too.",
        rich_help_panel=_MODEL,
    ),
]
ModuleOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--module-option",
        metavar="NAME=VALUE",
        help="What the factory is called with, e.g. num_classes=10. Repeatable.",
        rich_help_panel=_MODEL,
    ),
]
InputShape = Annotated[
    str | None,
    typer.Option(
        "--input-shape",
        metavar="C,H,W",
        help="Of an image, e.g. 3,224,224. Needed with --module, and where an ONNX file leaves it open.",
        rich_help_panel=_MODEL,
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        metavar="NAME",
        help="Which output has the logits, where the network gives several: its name, key or place, counted from 0.",
        rich_help_panel=_MODEL,
    ),
]
Slim = Annotated[
    bool,
    typer.Option(
        "--slim",
        help="Of a pruned network: first remove channels that are zero, constant or not read, where that leaves the "
        "function as it is.",
        rich_help_panel=_MODEL,
    ),
]
