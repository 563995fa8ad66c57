"""Square Attack on an engine: many searches share its batches, and what became of the images is summed up."""

from __future__ import annotations

import itertools
import time
from typing import Callable, List, NamedTuple, Optional, Sequence

import numpy as np

from gdws_agent.backends.base import Engine
from gdws_contract.attacks import SQUARE, AttackedImage, AttackOptions, AttackProgress, AttackResult
from gdws_contract.findings.intervals import proportion
from gdws_contract.manifest import Attack
from gdws_contract.measures import Flag

from .square import Search

#: How far an attack is, is told at most this often.
_PROGRESS_INTERVAL_S = 1.0


class Labelled(NamedTuple):
    """Images (N, C, H, W) in [0, 1] with their classes (N,)."""

    images: np.ndarray
    labels: np.ndarray


class Replays(NamedTuple):
    """Whether replayed inputs (N,) were classified correctly; adversarial ones are None where the bundle has none."""

    device_natural: np.ndarray
    device_adversarial: Optional[np.ndarray]
    host_natural: np.ndarray
    host_adversarial: Optional[np.ndarray]


def attack_engine(
    engine: Engine,
    data: Labelled,
    options: AttackOptions,
    batch_size: int,
    done: Sequence[AttackedImage],
    on_images: Callable[[List[AttackedImage]], None],
    on_progress: Callable[[AttackProgress], None],
) -> List[AttackedImage]:
    """Attack ``engine`` on the first ``options.images`` images and return what became of each, by index.

    ``done`` are known already and not attacked again. ``on_images`` is told of others as soon as they are done: one
    that is fooled makes room for the next, so that all places of a batch are in use up to the end.

    Raises:
        RunFailed, OutOfMemory: as the engine does.
    """
    known = {image.position: image for image in done}
    total = options.images or len(data.images)
    waiting = iter([index for index in range(total) if index not in known])
    meter = _Meter(total, options.queries, on_progress)
    searches: List[Search] = []
    while True:
        searches += [
            Search(data.images[index], int(data.labels[index]), index, options)
            for index in itertools.islice(waiting, batch_size - len(searches))
        ]
        meter.tell(list(known.values()), searches)
        if not searches:
            return [known[index] for index in sorted(known)]
        asked = [search.query() for search in searches]
        asked += [asked[0]] * (batch_size - len(asked))
        logits = engine.bind(np.ascontiguousarray(np.stack(asked)))()[0]
        for search, row in zip(searches, logits):
            search.take(row)
        ended = [search.result for search in searches if search.result is not None]
        if ended:
            known.update((image.position, image) for image in ended)
            on_images(ended)
            searches = [search for search in searches if search.result is None]


class _Meter:
    """Tells from time to time how far an attack is."""

    def __init__(self, total: int, queries: int, tell: Callable[[AttackProgress], None]) -> None:
        self._total = total
        self._queries = queries
        self._tell = tell
        self._before: Optional[int] = None
        self._began_s = time.monotonic()
        self._told_s = -_PROGRESS_INTERVAL_S

    def tell(self, known: Sequence[AttackedImage], searches: Sequence[Search]) -> None:
        """Tell, unless that was a moment ago; ``searches`` are under way."""
        now_s = time.monotonic()
        self._before = len(known) if self._before is None else self._before
        if now_s - self._told_s < _PROGRESS_INTERVAL_S:
            return
        self._told_s = now_s
        here, left = len(known) - self._before, self._total - len(known)
        self._tell(
            AttackProgress(
                images=len(known),
                images_total=self._total,
                correct=sum(image.is_right for image in known),
                queries=_queries(known, self._queries) + sum(max(search.queries, 0) for search in searches),
                left_s=(now_s - self._began_s) / here * left if here else None,
            )
        )


def attack_result(images: Sequence[AttackedImage], options: AttackOptions, replays: Replays) -> AttackResult:
    """Return what the attack shows: ``images`` are all that it was made on, by index."""
    rows = [image.position for image in images]
    withstood = np.array([image.is_right for image in images])
    both = None
    if replays.device_adversarial is not None:
        both = withstood & replays.device_natural[rows] & replays.device_adversarial[rows]
    host = None if replays.host_adversarial is None else (replays.host_natural & replays.host_adversarial)[rows]
    return AttackResult(
        attack=Attack(
            name=SQUARE, norm=str(options.norm), eps=options.eps, iterations=options.queries, seed=options.seed
        ),
        natural=proportion(sum(image.fooled_after != 0 for image in images), len(images)),
        robust=proportion(int(withstood.sum()), len(images)),
        robust_to_both=None if both is None else proportion(int(both.sum()), len(images)),
        host=None if host is None else proportion(int(host.sum()), len(images)),
        queries=_queries(images, options.queries),
        images=list(images),
        host_wrong=None if host is None else [index for index, right in zip(rows, host) if not right],
    )


def attack_flags(images: Sequence[AttackedImage]) -> List[Flag]:
    """Return the doubts about an attack that it raises itself."""
    found = []
    broken = sum(not image.finite for image in images)
    if broken:
        detail = f"{broken} images count as fooled because the engine's outputs for them are NaN or infinite"
        found.append(Flag(code="non-finite-outputs", detail=detail))
    right = [image for image in images if image.is_right]
    still = sum(not image.moved for image in right)
    if still:
        detail = (
            f"no query changed the margin of {still} of the {len(right)} images that withstand the attack, which had "
            "nothing to follow there and shows nothing: outputs saturate, or do not depend on the input"
        )
        found.append(Flag(code="attack-without-effect", detail=detail))
    return found


def _queries(images: Sequence[AttackedImage], budget: int) -> int:
    return sum(budget if image.fooled_after is None else image.fooled_after for image in images)
