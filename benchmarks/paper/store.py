"""Rounds trained weights to half precision and compresses them, as ``benchmarks/networks`` has them.

    python -m benchmarks.paper.store trained.safetensors ... [--out benchmarks/networks]

The file has the whole network, which :func:`benchmarks.paper.networks.load` reads. What pruning set to zero takes next
to no room. Neither do weights that only read channels of pruned filters, which have the same value at every pixel
of every image: one such channel of a block can stand for all. The metadata, which tell how it was trained, stay.
"""

from __future__ import annotations

import argparse
import lzma
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import nn

from benchmarks.paper import networks
from benchmarks.paper.networks import COMPRESSED, TRAINED
from gdws._util.files import write_atomic
from gdws.networks import checkpoints
from gdws.networks.zoo.preact_resnet import PreActBlock
from gdws.networks.zoo.vgg import VGG16

#: Numbers of two bytes: the literal coder tells even positions from odd ones.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 0, "lp": 1, "pb": 1}]


def main(argv: Sequence[str]) -> int:
    """Store the files that ``argv`` names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trained", nargs="+", type=Path, help="files that gdws train wrote")
    parser.add_argument("--out", type=Path, default=TRAINED, help="folder of the compressed files")
    options = parser.parse_args(argv)
    for path in options.trained:
        stored = store(path, options.out)
        print(f"{stored}: {stored.stat().st_size:,} bytes")
    return 0


def store(trained: Path, folder: Path) -> Path:
    """Write the weights in the file ``trained`` to ``folder``, rounded and compressed, and return the file."""
    found = checkpoints.read(trained)
    network = networks.load(trained).module
    fold_constants(network)
    weights = {key: _rounded(tensor) for key, tensor in network.state_dict().items()}
    metadata = {key: value for key, value in found.metadata.items() if key != "format"}
    metadata["rounding"] = "kernels rounded to bfloat16, others to float16 after training; constant channels folded"
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / trained.name
        checkpoints.save(plain, weights, metadata)
        content = lzma.compress(plain.read_bytes(), filters=_FILTERS)
    stored = folder / f"{trained.name}{COMPRESSED}"
    write_atomic(stored, content)
    return stored


@torch.no_grad()
def fold_constants(network: nn.Module) -> None:
    """Let one channel between two convolutions stand for all whose filters are zero, in place.

    After normalisation and ReLU such a channel is a constant. Its readers' weights, times the constant, are added to
    those of the first, whose constant becomes 1, so the network computes the same up to rounding.
    """
    for convolution, norm, following in read_by_one(network):
        dead = (convolution.weight.flatten(1) == 0).all(1).nonzero().flatten()
        if len(dead) == 0:
            continue
        reader = following.weight
        constants = norm(torch.zeros(1, norm.num_features, 1, 1)).relu().flatten()
        together = torch.einsum("mdhw,d->mhw", reader[:, dead], constants[dead])
        for tensor, value in ((norm.weight, 0.0), (norm.bias, 0.0), (norm.running_mean, 0.0), (norm.running_var, 1.0)):
            tensor[dead] = value
        norm.bias[dead[0]] = 1.0
        reader[:, dead] = 0.0
        reader[:, dead[0]] = together


def read_by_one(network: nn.Module) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d, nn.Conv2d]]:
    """Each convolution that one other reads alone, through the normalisation between them and ReLU."""
    for module in network.modules():
        if isinstance(module, PreActBlock) and isinstance(module.conv1, nn.Conv2d):
            yield module.conv1, module.bn2, module.conv2
        elif isinstance(module, VGG16):
            convolutions = [each for each in module.features if isinstance(each, nn.Conv2d)]
            norms = [each for each in module.features if isinstance(each, nn.BatchNorm2d)]
            yield from zip(convolutions, norms, convolutions[1:], strict=False)


def _rounded(tensor: torch.Tensor) -> torch.Tensor:
    if not tensor.is_floating_point():
        return tensor
    return tensor.bfloat16() if tensor.ndim > 1 else tensor.half()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
