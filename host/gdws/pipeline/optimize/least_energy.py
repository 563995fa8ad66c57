"""The least energy within a deadline, over power modes and clocks, each of them with its own times and energies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gdws.pipeline.optimize.forms import Form, Outcome
from gdws.pipeline.optimize.known_costs import KnownCosts
from gdws.pipeline.optimize.meter import AgentMeter
from gdws.pipeline.optimize.setting import BoardState, Setting
from gdws.planning.search.deadline import DeadlineAnswer, DeadlineSearch
from gdws.planning.search.energy import per_period
from gdws.planning.search.evidence import Judge, Measurement
from gdws.planning.search.explorer import Explorer, Tell
from gdws.planning.search.goals import AccuracyLimits, Effort, Goal
from gdws.planning.search.memory import MemoryLimit
from gdws.planning.search.space import Choice, Space
from gdws.results.optimisation import EnergyPoint, LeastEnergy
from gdws_contract.rest import DeviceInfo

_Z = 1.96
#: Rest before each measurement, for the idle power; sensors that read more slowly take the time that they need.
IDLE_MS = 2_000.0


@dataclass(frozen=True, eq=False)
class Found:
    """The outcome with the state of the board that it holds in, and all states in figures."""

    outcome: Outcome
    setting: Setting
    meter: AgentMeter
    explorer: Explorer
    figures: LeastEnergy


def settings_of(setting: Setting, states: Sequence[BoardState]) -> dict[str, Setting]:
    """``setting`` in each of ``states``, by their words; without states as it is. The idle power is measured, too."""
    own = BoardState(setting.power_mode, setting.jetson_clocks)
    protocol = {"idle_ms": IDLE_MS, **dict(setting.protocol)}
    return {
        state.words(): replace(
            setting,
            power_mode=state.power_mode,
            jetson_clocks=state.jetson_clocks,
            protocol=tuple(protocol.items()),
        )
        for state in states or (own,)
    }


def find_least_energy(
    space: Space,
    settings: Mapping[str, Setting],
    device: DeviceInfo,
    meter_for: Callable[[Setting], AgentMeter],
    judge: Judge,
    goal: Goal,
    limits: AccuracyLimits,
    *,
    memory: MemoryLimit | None,
    known_costs: Path | None,
    effort: Effort,
    tell: Tell,
) -> Found:
    """Search all ``settings``; raises what :meth:`DeadlineSearch.run` raises."""
    deadline_ms = goal.value or 0.0
    period_ms = deadline_ms if goal.kind == "least_period_energy" else None
    meters = {state: meter_for(setting) for state, setting in settings.items()}
    unit = "mj" if period_ms is None else f"period-{period_ms:g}-mj"
    energies = {state: KnownCosts(known_costs, meter.fingerprint, unit) for state, meter in meters.items()}
    times = {state: KnownCosts(known_costs, meter.fingerprint, "ms") for state, meter in meters.items()}
    explorers = {
        state: Explorer(
            space,
            meter,
            known=energies[state].at_start(meters[state].state),
            known_ms=times[state].at_start(meters[state].state),
            energy=True,
            period_ms=period_ms,
            seed=effort.seed,
            tell=tell,
        )
        for state, meter in meters.items()
    }
    search = DeadlineSearch(space, explorers, judge, deadline_ms, limits, memory=memory, effort=effort, tell=tell)
    answer = search.run()
    for state, explorer in search.explorers.items():
        energies[state].add(explorer.learned(), device, settings[state].words())
        times[state].add(explorer.learned_ms(), device, settings[state].words())
    state = answer.pick.state if answer.pick is not None else _fastest(search)
    return Found(
        outcome=_outcome(answer, search.explorers[state], state),
        setting=settings[state],
        meter=meters[state],
        explorer=search.explorers[state],
        figures=_figures(search, answer, deadline_ms, limits, period_ms is not None),
    )


def _fastest(search: DeadlineSearch) -> str:
    """The state in which the dense network is the fastest."""
    return min(search.explorers, key=lambda state: search.explorers[state].latency_model.dense)


def _outcome(answer: DeadlineAnswer, explorer: Explorer, state: str) -> Outcome:
    """The answer in the terms of every other search, in one state."""
    confirmed = answer.confirmed.get(state)
    is_delivered = answer.status == "delivered" and answer.pick is not None
    return Outcome(
        answer.status,
        answer.reason,
        (Form(answer.pick.choice),) if is_delivered and answer.pick is not None else (),
        timings={} if confirmed is None else {Form(each.choice): each for each in confirmed.timings},
        losses={Form(choice): loss for choice, loss in answer.judged.items()},
        final={Form(choice): loss for choice, loss in answer.final.items()},
        doubts=answer.doubts,
    )


def _figures(
    search: DeadlineSearch, answer: DeadlineAnswer, deadline_ms: float, limits: AccuracyLimits, is_period: bool
) -> LeastEnergy:
    """Every network in every state, as it was measured last."""

    def keeps(choice: Choice) -> bool | None:
        if not any(choice):
            return True
        loss = answer.final.get(choice, answer.judged.get(choice))
        return None if loss is None else limits.excess(loss) <= 1

    points = []
    for state, explorer in search.explorers.items():
        newest: dict[Choice, EnergyPoint] = {}
        for found in [*explorer.measurements, *explorer.confirmations]:
            newest.update(_points(found, state, explorer.space, deadline_ms))
        points += [
            point.model_copy(update={"keeps_limits": keeps(choice), "chosen": answer.pick == (state, choice)})
            for choice, point in newest.items()
        ]
    return LeastEnergy(
        deadline_ms=deadline_ms,
        minimised="period" if is_period else "inference",
        states=list(search.explorers),
        points=points,
    )


def _points(found: Measurement, state: str, space: Space, deadline_ms: float) -> dict[Choice, EnergyPoint]:
    """The networks of one measurement, the dense one first."""
    whole = None if found.idle_w is None else per_period(found, deadline_ms)
    rows = [(space.dense, found.dense_ms, found.dense_tail_ms, found.dense_mj, found.dense_sd)]
    rows += [(t.choice, t.ratio * found.dense_ms, t.tail_ms, t.energy_mj, t.energy_sd) for t in found.timings]
    period_mj = {} if whole is None else {space.dense: whole.dense_mj, **{t.choice: t.energy_mj for t in whole.timings}}
    return {
        choice: EnergyPoint(
            network=Form(choice).name(space),
            state=state,
            latency_ms=latency_ms,
            tail_ms=tail_ms,
            energy_mj=energy_mj,
            energy_low_mj=None if sd is None else energy_mj * (1 - _Z * sd),
            energy_high_mj=None if sd is None else energy_mj * (1 + _Z * sd),
            period_mj=period_mj.get(choice),
        )
        for choice, latency_ms, tail_ms, energy_mj, sd in rows
        if energy_mj is not None
    }
