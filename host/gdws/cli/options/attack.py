"""Options for the attack under which robust accuracy is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from gdws.cli.options.common import Seed
from gdws.cli.options.groups import panel
from gdws.cli.views.output import errors
from gdws.errors import GdwsError

if TYPE_CHECKING:
    from gdws.evaluation.attacks import Spec
    from gdws.evaluation.tasks import Task


_attack = panel("Attack")


@dataclass(frozen=True)
class AttackOptions:
    """An attack by name, with deviations from its protocol."""

    attack: Annotated[
        str | None,
        _attack(
            "--attack",
            metavar="NAME",
            help="none, or: pgd, pgd-l2, pgd-l1 (steps of fixed size); apgd, apgd-l2 (adaptive steps, stronger); "
            "autoattack, autoattack-l2 (four attacks, the usual benchmark); union (an image must resist all norms). "
            "Default: pgd for a data set with a protocol, none for your own images.",
            show_default=False,
        ),
    ] = None
    protocol: Annotated[
        str | None,
        _attack(
            "--protocol",
            metavar="NAME",
            help="Radius, steps and restarts as in the literature: mnist, fashion-mnist, cifar10, imagenet or msd. The "
            "options below override single settings. Default: the data set's protocol.",
        ),
    ] = None
    eps: Annotated[
        float | None,
        _attack("--eps", help="Radius of the ball, in pixel units of [0, 1]; 0: no attack."),
    ] = None
    step: Annotated[float | None, _attack("--step", help="Step size of pgd, in pixel units.")] = None
    iterations: Annotated[int | None, _attack("--iterations", help="Steps of each run of the attack.")] = None
    restarts: Annotated[
        int | None, _attack("--restarts", help="Number of runs on each image, stopping at the first that succeeds.")
    ] = None
    random_start: Annotated[
        bool | None,
        _attack(
            "--random-start/--no-random-start",
            help="Start the first run at a random point of the ball, or at the image itself.",
        ),
    ] = None
    seed: Seed = 0

    def spec(self, data: str, task: Task | None = None) -> Spec | None:
        """The attack, by default the protocol of ``data``; None for no attack.

        If ``data`` has no protocol, or the ``task`` no attack, there is none unless an option requests one. Nor is
        there one of radius 0; a note on standard error says so. Raises :class:`~gdws.errors.GdwsError` for an invalid
        value, and for an attack on a task without one.
        """
        from gdws.evaluation.attacks import protocols
        from gdws.evaluation.attacks.spec import is_void

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
        if is_void(spec):
            errors().print("note: the radius of the attack is 0, so no image changes: accuracies are natural ones")
            return None
        if name.startswith("autoattack"):  # say at once what is missing, not after the natural accuracy
            from gdws.evaluation.attacks.autoattack import require_installed

            require_installed()
        return spec

    def _asks(self) -> bool:
        """Whether an option sets a property of an attack, which requests one."""
        changes = (self.protocol, self.eps, self.step, self.iterations, self.restarts, self.random_start)
        return any(each is not None for each in changes)
