"""What attacks on engines show: how robust each is at most, and where one is less robust than what it came from.

Square Attack searches at random, so what it does not fool says nothing. What it does fool is fooled: a robust accuracy
that falls is a fact, and only a fall whose whole interval is below 0 is told. Comparisons are on the very same images.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from pydantic import Field
from typing_extensions import Literal

from gdws_contract.attacks import AttackResult
from gdws_contract.base import Reading
from gdws_contract.manifest import Manifest
from gdws_contract.rest import Cell, CellKey
from gdws_contract.steps import GdwsStep, Step

from . import text
from .accuracy import AccuracyChange, paired_change
from .setting import Setting

#: What an engine in another precision is beside.
_REFERENCE = "fp32"


Against = Literal["record", "fp32", "floating-form", "baseline"]


class AttackChange(Reading):
    """Robust accuracy under the attack, less that of something else, in points on the same images."""

    against: Against = Field(
        description="record: the host's network under the attack that its adversarial inputs come from; fp32: the "
        "same network's engine in fp32; floating-form: the network that this one is the INT8 form of; baseline: the "
        "dense one."
    )
    name: str = Field(description="What the other is called, in words.")
    count: int = Field(gt=0, description="Images that both were tried on.")
    change: AccuracyChange

    @property
    def is_origin(self) -> bool:
        """Whether the other is the network that the engine came from, in a form of its own."""
        return self.against != "baseline"

    @property
    def is_less(self) -> bool:
        """Whether the engine is shown to be less robust."""
        return self.change.high < 0


class AttackFindings(Reading):
    """The attack on one engine beside others. ``sentences`` say where it is less robust."""

    key: CellKey
    changes: Tuple[AttackChange, ...]
    sentences: Tuple[str, ...]

    @property
    def is_less_robust(self) -> bool:
        """Whether the engine is shown to be less robust than the network that it came from."""
        return any(each.is_origin and each.is_less for each in self.changes)


class _Reference(NamedTuple):
    """Whether another gets images right, by index."""

    against: Against
    name: str
    right: Dict[int, bool]


def attacks_of(
    cells: Sequence[Cell], manifest: Optional[Manifest], settings: Sequence[Setting]
) -> Tuple[AttackFindings, ...]:
    """The findings on each cell that was attacked, in their order. ``manifest`` is None where the bundle is gone."""
    attacked = [cell for cell in cells if cell.attack is not None]
    return tuple(_findings(cell, attacked, manifest, settings) for cell in attacked)


def attack_headline(cells: Sequence[Cell], findings: Sequence[AttackFindings], settings: Sequence[Setting]) -> str:
    """What the attacks of a result show: of the first of its ``settings``, and where an engine is less robust."""
    attacked = [cell for cell in cells if cell.attack is not None]
    where = next((each for each in settings if any(cell.key == each.cell(cell.key.variant) for cell in attacked)), None)
    if where is None:
        return "No attack came to its end, so nothing is known of how robust these engines are."
    shown = [cell for cell in attacked if cell.key == where.cell(cell.key.variant)]
    assert shown[0].attack is not None
    found = shown[0].attack
    words = f"Under {square_words(found)}, by queries to the engine {where.among(settings)}, at most this share of "
    words += f"{text.plural(found.robust.count, 'image')} is robust: {'; '.join(map(_share, shown))}."
    less = [sentence for each in findings if each.is_less_robust for sentence in each.sentences]
    more = "" if len(less) < 2 else f" ({len(less) - 1} more such findings below.)"
    return f"{words} {less[0]}{more}" if less else words


def square_words(found: AttackResult) -> str:
    """The attack with its settings, e.g. ``Square Attack (linf, eps 0.2, 1,000 queries for each image)``."""
    attack = found.attack
    return f"Square Attack ({attack.norm}, eps {attack.eps:g}, {text.whole(attack.iterations)} queries for each image)"


def _share(cell: Cell) -> str:
    assert cell.attack is not None
    robust = cell.attack.robust
    return f"{cell.key.variant} {text.percent(robust.value)} ({text.percent_interval(robust)})"


def _findings(
    cell: Cell, attacked: Sequence[Cell], manifest: Optional[Manifest], settings: Sequence[Setting]
) -> AttackFindings:
    found = cell.attack
    assert found is not None
    changes = []
    for reference in _references(cell, attacked, manifest):
        right = {image.position: image.is_right for image in found.images}
        both = [index for index in right if index in reference.right]
        if both:
            change = paired_change([reference.right[each] for each in both], [right[each] for each in both])
            changes.append(AttackChange(against=reference.against, name=reference.name, count=len(both), change=change))
    where = Setting(cell.key.backend, cell.key.precision, cell.key.batch_size, cell.key.power_mode).among(settings)
    return AttackFindings(
        key=cell.key,
        changes=tuple(changes),
        sentences=tuple(_sentence(cell.key.variant, where, each) for each in changes if each.is_less),
    )


def _sentence(variant: str, where: str, less: AttackChange) -> str:
    change = less.change
    sentence = (
        f"{variant} {where} is less robust than {less.name}: {text.points(change.points)} points under "
        f"Square Attack (95 % interval {text.points(change.low)} to {text.points(change.high)}), on "
        f"the same {text.plural(less.count, 'image')}."
    )
    if less.against != "record":
        return sentence
    return f"{sentence} Either the engine is not what the network was, or the attack on the host missed what there is."


def _references(cell: Cell, attacked: Sequence[Cell], manifest: Optional[Manifest]) -> List[_Reference]:
    """What the engine of ``cell`` came from, and the baseline beside it, as far as they are known."""
    own = cell.attack
    assert own is not None
    found = []
    if own.host_wrong is not None:
        wrong = set(own.host_wrong)
        right = {image.position: image.position not in wrong for image in own.images}
        found.append(_Reference("record", "its record on the host shows", right))
    floating = None if manifest is None else _floating_form(cell.key.variant, manifest)
    baseline = None if manifest is None else manifest.baseline
    wanted: Tuple[Tuple[Against, str, CellKey], ...] = (
        ("fp32", "the same network in fp32", cell.key.model_copy(update={"precision": _REFERENCE})),
        ("floating-form", f"{floating}, whose INT8 form it is", cell.key.model_copy(update={"variant": floating})),
        ("baseline", "the dense network", cell.key.model_copy(update={"variant": baseline})),
    )
    for against, name, key in wanted:
        other = next((each.attack for each in attacked if each.key == key != cell.key), None)
        if other is not None and other.attack == own.attack:
            found.append(_Reference(against, name, {image.position: image.is_right for image in other.images}))
    return found


def _floating_form(name: str, manifest: Manifest) -> Optional[str]:
    """The variant that ``name`` is the quantised form of: that of the same steps but for the quantisation."""
    own = manifest.variant(name)
    if not own.is_quantised:
        return None
    steps = [step for step in own.steps if step.kind != "int8"]
    return next((each.name for each in manifest.variants if each.name != name and _is_same(each.steps, steps)), None)


def _is_same(steps: Sequence[Step], others: Sequence[Step]) -> bool:
    """Whether two networks were made alike; where their plans are stored does not matter."""
    return [_made(step) for step in steps] == [_made(step) for step in others]


def _made(step: Step) -> Step:
    return step.model_copy(update={"plan": None}) if isinstance(step, GdwsStep) else step
