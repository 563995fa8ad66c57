"""The attack that robust accuracy is measured under."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from gdws.errors import GdwsError

if TYPE_CHECKING:
    from gdws.evaluation.attacks import Spec
    from gdws.evaluation.tasks import Task


_ATTACK = "The attack"


@dataclass(frozen=True)
class AttackOptions:
    """An attack by name, with what differs from its protocol."""

    attack: Annotated[
        str | None,
        typer.Option(
            "--attack",
            metavar="NAME",
            help="none, or: pgd, pgd-l2, pgd-l1 (steps of fixed size); apgd, apgd-l2 (adaptive steps, stronger); "
            "autoattack, autoattack-l2 (four attacks, the usual yardstick); union (an image must resist all norms). "
            "Default: pgd for a data set that has a protocol, none for your own images.",
            show_default=False,
            rich_help_panel=_ATTACK,
        ),
    ] = None
    protocol: Annotated[
        str | None,
        typer.Option(
            "--protocol",
            metavar="NAME",
            help="Radii, steps and restarts as in the literature: mnist, fashion-mnist, cifar10, imagenet or msd. The "
            "options below change single settings. Default: what goes with the data set.",
            rich_help_panel=_ATTACK,
        ),
    ] = None
    eps: Annotated[
        float | None,
        typer.Option(
            "--eps",
            help="Radius of the ball, in pixel units of [0, 1]; 0 leaves the images as they are.",
            rich_help_panel=_ATTACK,
        ),
    ] = None
    step: Annotated[
        float | None, typer.Option("--step", help="Step size of pgd, in pixel units.", rich_help_panel=_ATTACK)
    ] = None
    iterations: Annotated[
        int | None, typer.Option("--iterations", help="Steps of each run of the attack.", rich_help_panel=_ATTACK)
    ] = None
    restarts: Annotated[
        int | None,
        typer.Option(
            "--restarts", help="Runs on each image, the first included, until one fools it.", rich_help_panel=_ATTACK
        ),
    ] = None
    random_start: Annotated[
        bool | None,
        typer.Option(
            "--random-start/--no-random-start",
            help="Start the first run at a random point of the ball, or at the image.",
            rich_help_panel=_ATTACK,
        ),
    ] = None
    seed: Annotated[int, typer.Option("--seed", help="Seed of every random draw.")] = 0

    def spec(self, data: str, task: Task | None = None) -> Spec | None:
        """The attack, by default as the literature runs it on ``data``; None for none.

        Where nothing is usual on ``data``, and for a ``task`` that has no attack, there is none unless an option asks
        for one. Raises :class:`~gdws.errors.GdwsError` for a value that cannot be, and for an attack on such a task.
        """
        from gdws.evaluation.attacks import protocols

        attackable = task is None or task.loss is not None
        name = self.attack or ("pgd" if (attackable and protocols.is_known(data)) or self._asks() else "none")
        if name == "none":
            return None
        if task is not None and not attackable:
            raise GdwsError(
                f"no attack is known for networks of the task {task.contract.kind}", hint="give --attack none"
            )
        spec = protocols.attack(
            name,
            self.protocol or protocols.for_data(data),
            eps=self.eps,
            step=self.step,
            iterations=self.iterations,
            restarts=self.restarts,
            random_start=self.random_start,
            seed=self.seed,
        )
        if name.startswith("autoattack"):  # say at once what is missing, not after the natural accuracy
            from gdws.evaluation.attacks.autoattack import require_installed

            require_installed()
        return spec

    def _asks(self) -> bool:
        """Whether an option changes an attack, so that one is wanted."""
        changes = (self.protocol, self.eps, self.step, self.iterations, self.restarts, self.random_start)
        return any(each is not None for each in changes)
