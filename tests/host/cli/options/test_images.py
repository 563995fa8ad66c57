from __future__ import annotations

import pytest
import torch

from gdws.cli.options.attack import AttackOptions
from gdws.cli.options.images import ImageOptions, UnreadableName
from gdws.errors import DataError
from gdws.networks.sources import Source
from support.image_files import write_classes
from support.networks import SmallResNet, seeded


def source() -> Source:
    return Source("it", seeded(SmallResNet), (3, 6, 8), {})


def test_images_of_ones_own(tmp_path, capsys):
    root = write_classes(tmp_path / "data", dict.fromkeys("edcba", 4))
    names = tmp_path / "names.txt"
    names.write_text("e\nd\nc\nb\na\n")
    data = ImageOptions(str(root), labels=names, resize="crop").open(source())
    assert (data.name, data.class_names[0], data.preparation["resize"]) == ("data", "e", "crop")
    assert "20 images, 5 classes" in capsys.readouterr().err
    (root / "a" / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="1 of 21 files"):
        ImageOptions(str(root)).open(source())
    skipping = ImageOptions(str(root), unreadable=UnreadableName.skip)
    assert torch.equal(skipping.open(source(), seed=1).test.images, skipping.open(source()).test.images)


def test_what_is_no_data(tmp_path):
    with pytest.raises(DataError, match="neither a data set nor a file") as caught:
        ImageOptions(str(tmp_path / "absent")).open(source())
    assert "mnist-sample" in str(caught.value.hint)
    of_signals = Source("it", seeded(SmallResNet), (3, 8), {})
    with pytest.raises(DataError, match="takes signals of"):
        ImageOptions(str(tmp_path)).open(of_signals)
    with pytest.raises(DataError, match="mnist-sample are 1x28x28, but the network takes 3x8") as caught:
        ImageOptions("mnist-sample").open(of_signals)
    assert "--data FILE.npy" in str(caught.value.hint)
    for data in ("random", "mnist-sample"):
        with pytest.raises(DataError, match="--labels and --resize applies to your own images"):
            ImageOptions(data, labels=tmp_path, resize="crop").open(source())


def test_an_attack_is_not_made_where_none_is_usual():
    assert AttackOptions().spec("some/folder") is None
    assert AttackOptions(eps=0.1, protocol="mnist").spec("some/folder") is not None
    assert AttackOptions().spec("mnist-sample") == AttackOptions(attack="pgd").spec("mnist-sample") is not None
