"""All steps from a network to a bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from gdws._util.files import require_writable
from gdws._util.progress import SILENT, Progress
from gdws.bundles.variant import Variant
from gdws.datasets import Dataset, require_images, require_shape
from gdws.errors import GdwsError
from gdws.evaluation.attacks import Spec
from gdws.networks.sources import Source
from gdws.onnx_io.int8 import Int8Settings
from gdws.pipeline.calibration import AlphaSettings, find_alphas
from gdws.pipeline.conversion import convert_fitted, with_tuned
from gdws.pipeline.distillation import distilled
from gdws.pipeline.evaluation import evaluate_all, evaluation_doubts
from gdws.pipeline.packing import pack, with_preparation
from gdws.pipeline.quantisation import int8_doubts, range_images, with_int8
from gdws.planning.recipe import Recipe
from gdws.training import DistillSettings, state_path
from gdws_contract.plan import Plan


@dataclass(frozen=True, kw_only=True)
class BundleSettings:
    """The contents of a bundle besides the dense network, and the settings of its evaluation.

    A GDWS network is made for each of ``recipes`` and each of ``plans`` (by name), and distilled with ``distill``;
    ``tuned`` are files of ``gdws finetune``. With ``int8``, an INT8 version of each network is added, including the
    dense one. ``calibration``, ``test`` and ``verification`` are numbers of images: for fitting, distillation and
    quantisation; for the evaluation, 0 for none; and for the replay on a device.
    Raises :class:`~gdws.errors.GdwsError` if only the dense network is requested.
    """

    recipes: tuple[Recipe, ...] = ()
    plans: Mapping[str, Plan] = field(default_factory=dict)
    tuned: tuple[Path, ...] = ()
    convert_first: bool = False
    distill: DistillSettings | None = None
    int8: Int8Settings | None = None
    alphas: AlphaSettings = field(default_factory=AlphaSettings)
    attack: Spec | None = None
    calibration: int = 1024
    test: int = 1000
    verification: int = 128
    description: str | None = None

    def __post_init__(self) -> None:
        if not self.count and self.int8 is None:
            raise GdwsError(
                "no GDWS network was requested", hint="give --mean-rank, --budget, --beta, --plan, --tuned or --int8"
            )

    @property
    def count(self) -> int:
        """The number of requested GDWS networks."""
        return len(self.recipes) + len(self.plans) + len(self.tuned)


@dataclass(frozen=True, eq=False)
class MadeBundle:
    """A written bundle; ``notes`` are reservations about its accuracies."""

    id: str
    variants: tuple[Variant, ...]
    notes: tuple[str, ...]


def make_bundle(
    path: Path,
    source: Source,
    data: Dataset,
    settings: BundleSettings,
    *,
    progress: Progress = SILENT,
    tell: Callable[[str], None] = lambda line: None,
) -> MadeBundle:
    """Convert ``source``, evaluate every network and write the bundle to ``path``.

    ``tell`` is called with a line for each step. After an interruption the same call resumes distillation, the longest
    step, where it was. Raises whatever the steps raise.
    """
    require_writable(path)
    require_shape(f"the images of {data.name}", data.test.by_row.shape[1:], source.input_shape)
    if settings.attack is not None:
        require_images(data.test.by_row, "an attack")
    test = f"{data.name}, test"
    tell(f"convert {source.name} in {settings.count} ways")
    weights = None
    if any(recipe.method == "weights" for recipe in settings.recipes):
        weights = find_alphas(source, settings.alphas, data.train.first, progress=progress)
    calibration = data.train.first(settings.calibration)
    variants = convert_fitted(
        source,
        settings.recipes,
        calibration,
        settings.attack,
        plans=settings.plans,
        weights=weights,
        convert_first=settings.convert_first,
        progress=progress,
    )
    if settings.distill is not None:
        train, state_of = f"{data.name}, train", partial(_state_beside, path)
        variants = distilled(
            variants, source, data.train, train, settings.distill, state_of=state_of, progress=progress
        )
    variants = with_tuned(variants, source, settings.tuned)
    if settings.int8 is not None:
        seen = range_images(source, calibration, settings.attack, progress=progress)
        variants = with_int8(variants, source, seen, settings.int8, progress=progress)
    if settings.test:
        under = "" if settings.attack is None else f", and under {settings.attack}, white-box"
        tell(f"evaluate each on {settings.test} test images{under}")
        images = data.test.first(settings.test)
        variants = evaluate_all(variants, images, test, settings.attack, task=source.task, progress=progress)
    tell(f"pack them with {settings.verification} images for the parity check on the device")
    replayed = data.test.first(settings.verification)
    bundle_id = pack(
        path,
        with_preparation(source, data),
        variants,
        replayed,
        test,
        settings.attack,
        class_names=data.class_names,
        description=settings.description,
        progress=progress,
    )
    for variant in variants:
        _state_beside(path, variant.name).unlink(missing_ok=True)
    doubts = evaluation_doubts(source, variants)
    if settings.int8 is not None:
        doubts += int8_doubts(variants, settings.int8)
    return MadeBundle(bundle_id, tuple(variants), tuple(doubts))


def _state_beside(path: Path, name: str) -> Path:
    """The file for the unfinished distillation of ``name``."""
    return state_path(path.with_name(f"{path.name}.{name}"))
