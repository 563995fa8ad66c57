from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from gdws.datasets import Preparation, Resize
from gdws.datasets.preparation import PADDING
from gdws.errors import DataError
from support.image_files import pixels


def as_tensor(array: np.ndarray, most: int = 255) -> torch.Tensor:
    planes = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    return torch.from_numpy(planes.astype(np.float32)) / most


def test_an_image_of_the_right_size_stays_as_it_is(tmp_path):
    array = pixels(0)
    Image.fromarray(array).save(tmp_path / "a.png")
    for resize in ("stretch", "crop", "letterbox"):
        prepared = Preparation((3, 6, 8), Resize.parse(resize)).of_file(tmp_path / "a.png")
        assert torch.equal(prepared, as_tensor(array))


def is_halved(image: torch.Tensor) -> bool:
    return bool(image[:, :, :4].min() > 0.9 and image[:, :, 6:].max() < 0.1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [8, 16])
def test_how_each_policy_places_an_image(channels, bits):
    """A bright left half: what becomes of its border and of the padding tells the policy."""
    bright = np.zeros((20, 40, channels), dtype=np.float32)
    bright[:, :20] = 1
    array = (255 * bright).astype(np.uint8) if bits == 8 else bright
    made = {
        name: Preparation((channels, 10, 10), Resize.parse(name)).of_pixels(array)
        for name in ("stretch", "crop", "crop:20", "letterbox")
    }
    for name in ("stretch", "crop", "crop:20"):
        assert made[name].shape == (channels, 10, 10)
        assert is_halved(made[name]), name
    assert torch.allclose(made["crop:20"][:, :, 4:6], torch.tensor([1.0, 0.0]))  # cut out, not resized
    boxed = made["letterbox"]
    assert torch.allclose(boxed[:, [0, 1, 8, 9]], torch.tensor(PADDING), atol=1e-6)
    assert is_halved(boxed[:, 3:7])


def test_sixteen_bits_keep_their_precision(tmp_path):
    """Neighbours of 16 bits that 8 bits would not tell apart."""
    array = np.array([[32_000, 32_001], [65_535, 0]], dtype=np.uint16)
    Image.fromarray(array).save(tmp_path / "grey.png")
    for channels in (1, 3):
        found = Preparation((channels, 2, 2)).of_file(tmp_path / "grey.png")
        assert torch.allclose(found, as_tensor(array, 65_535).expand(channels, -1, -1), atol=1e-7)


def test_kinds_of_files(tmp_path):
    colour, grey = pixels(1), pixels(2, channels=1)
    Image.fromarray(np.dstack([colour, grey])).save(tmp_path / "rgba.png")
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(colour).convert("P").save(tmp_path / "palette.png")
    in_colour, in_grey = Preparation((3, 6, 8)), Preparation((1, 6, 8))
    assert torch.equal(in_colour.of_file(tmp_path / "rgba.png"), as_tensor(colour))
    assert torch.equal(in_colour.of_file(tmp_path / "grey.png"), as_tensor(grey).expand(3, -1, -1))
    assert in_colour.of_file(tmp_path / "palette.png").shape == (3, 6, 8)
    luma = as_tensor(np.asarray(Image.fromarray(colour).convert("L")))
    assert torch.equal(in_grey.of_file(tmp_path / "rgba.png"), luma)
    assert torch.allclose(in_grey.of_pixels(colour), luma, atol=1.01 / 255)


def test_the_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.fromarray(pixels(3)).save(tmp_path / "a.png", exif=exif)
    found = Preparation((3, 8, 6)).of_file(tmp_path / "a.png")
    assert torch.equal(found, as_tensor(np.rot90(pixels(3), -1).copy()))


def test_what_cannot_be_prepared(tmp_path):
    Image.fromarray(np.ones((4, 4), dtype=np.float32)).save(tmp_path / "float.tiff")
    with pytest.raises(DataError, match=r"float\.tiff cannot be read: .*range is not known"):
        Preparation((1, 4, 4)).of_file(tmp_path / "float.tiff")
    with pytest.raises(DataError, match="images with 2 channels cannot be converted to the 3"):
        Preparation((3, 4, 4)).of_pixels(np.zeros((4, 4, 2), dtype=np.uint8))
    with pytest.raises(DataError, match="a shorter side of 100 pixels is smaller"):
        Preparation((3, 224, 224), Resize("crop", 100))
    for text in ("squash", "crop:x", "stretch:256", ""):
        with pytest.raises(DataError, match="not a valid resize policy"):
            Resize.parse(text)
    assert [str(Resize.parse(text)) for text in ("crop:256", "letterbox")] == ["crop:256", "letterbox"]
