"""A search as it is told: networks, layers, and why each layer became what it is."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from gdws.evaluation.attacks import Spec
from gdws.pipeline.optimize.forms import Form, Outcome
from gdws.planning.search.evidence import Loss, PointsLost, Profile
from gdws.planning.search.explorer import Explorer
from gdws.planning.search.memory import mebibytes_of
from gdws.planning.search.options import Offer
from gdws.planning.search.space import Choice, LayerOptions, Space
from gdws.results.optimisation import Change, LayerVerdict, Network, Rival
from gdws_contract.rest import DeviceInfo

_LAYERS_IN_INT8 = "the network that is delivered runs in INT8; times of layers are those of its form in floating point"


def notes(outcome: Outcome, device: DeviceInfo, *, choosing: Spec | None, attack: Spec | None) -> list[str]:
    """What to know of the figures beside what the search found doubtful.

    Networks were chosen under the attack ``choosing``; final figures are under ``attack``.
    """
    found = []
    if device.simulated:
        found.append("the device is simulated: its times and power describe no hardware")
    if outcome.delivered and outcome.delivered[0].int8:
        found.append(_LAYERS_IN_INT8)
    if outcome.final and choosing not in (None, attack):
        found.append(f"networks were chosen under {choosing}; figures on test images are under {attack}")
    return found


def unfitted_words(offered: Offer, images: int) -> str:
    """Which options so few calibration images rule out."""
    count = sum(offered.unfitted.values())
    most = max(offered.unfitted, key=lambda name: offered.unfitted[name])
    return (
        f"{count} options of {len(offered.unfitted)} layers, most of them of {most}, have more components than the "
        f"calibration images, at most {images}, have patches there: left out. More images would allow them"
    )


def residuals(explorer: Explorer) -> tuple[float | None, float | None]:
    """Median and 90th percentile of the relative errors of the model on networks that it has not seen."""
    found = sorted(map(abs, explorer.model.residuals))
    if not found:
        return None, None
    return statistics.median(found), found[min(len(found) - 1, int(0.9 * len(found)))]


def networks(explorer: Explorer, outcome: Outcome) -> list[Network]:
    """Every network that was timed, fastest first, those of the last measurement by that."""
    timings = {Form(choice): timing for choice, timing in explorer.timings.items()} | dict(outcome.timings)
    predicted = {Form(check.choice): check.predicted for check in explorer.checks}
    dense = explorer.space.dense
    found = []
    for form, timing in timings.items():
        interval = timing.speedup()
        judged, final = outcome.losses.get(form), outcome.final.get(form)
        found.append(
            Network(
                name=form.name(explorer.space),
                int8=form.int8,
                predicted=predicted.get(form),
                cost=timing.ratio * explorer.dense,
                speedup=1 / timing.ratio,
                speedup_low=interval.low,
                speedup_high=interval.high,
                error=explorer.space.error(form.choice),
                macs=explorer.space.macs(form.choice),
                natural=None if judged is None else _change(judged.natural),
                robust=None if judged is None else _change(judged.robust),
                final_natural=None if final is None else _change(final.natural),
                final_robust=None if final is None else _change(final.robust),
                delivered=form in outcome.delivered,
                peak_memory_mib=mebibytes_of(timing.memory),
                carrier=form not in predicted and not form.int8 and form.choice != dense,
            )
        )
    return sorted(found, key=lambda network: network.cost)


def rival(space: Space, outcome: Outcome) -> Rival | None:
    """The fastest dense form that keeps the limits; None where the dense network ran in one precision alone."""
    if outcome.rival is None:
        return None
    gain, low, high = outcome.gain or (None, None, None)
    return Rival(name=outcome.rival.name(space), gain=gain, gain_low=low, gain_high=high)


def layer_verdicts(
    offer: Offer, explorer: Explorer | None, choice: Choice, loss: Loss | None, profiles: Mapping[Choice, Profile]
) -> list[LayerVerdict]:
    """What becomes of every layer under ``choice``, those included that have no option."""
    places = {user: place for place, layer in enumerate(offer.space.layers) for user in layer.users}
    plan = offer.plan(choice, fitted=False)
    found = []
    for layer in plan.layers:
        place = places.get(layer.name)
        holder = None if place is None else offer.space.layers[place]
        is_first = holder is None or holder.name == layer.name
        option = None if holder is None else holder.options[choice[places[layer.name]]]
        found.append(
            LayerVerdict(
                name=layer.name,
                shape="×".join(map(str, layer.weight_shape)),
                option="dense" if option is None else option.name,
                layout=layer.layout,
                mean_rank=layer.mean_rank,
                macs_dense=layer.macs_dense,
                macs=layer.macs_gdws,
                dense_ms=_time(explorer, profiles, offer.space.dense, holder) if is_first else None,
                ms=_time(explorer, profiles, choice, holder) if is_first else None,
                error=option.error if option is not None and is_first else None,
                why=layer.left_alone or ""
                if place is None or explorer is None
                else _why(explorer, choice, place, loss),
            )
        )
    return found


def _why(explorer: Explorer, choice: Choice, place: int, loss: Loss | None) -> str:
    """Why a layer takes its option, in the model's figures."""
    layer, prices = explorer.space.layers[place], explorer.model.costs.layers[place]
    taken, unit = choice[place], explorer.unit
    per_error = _points_per_error(explorer, choice, loss)
    if taken:
        saved = prices[0] - prices[taken]
        words = f"saves {saved:.3g} {unit}" if saved > 0 else "lets its neighbours save time"
        return words + _cost_words(layer.options[taken].error, per_error)
    gains = [index for index, price in enumerate(prices) if price < prices[0]]
    if not gains:
        what = "is the fastest" if unit == "ms" else "takes the least"
        return f"dense {what} here: {prices[0]:.3g} {unit}, any option {min(prices[1:], default=0):.3g} or more"
    best = min(gains, key=lambda index: layer.options[index].error / (prices[0] - prices[index]))
    return f"{layer.options[best].name} would save {prices[0] - prices[best]:.3g} {unit}" + _cost_words(
        layer.options[best].error, per_error
    )


def _points_per_error(explorer: Explorer, choice: Choice, loss: Loss | None) -> float | None:
    """Points of accuracy that a unit of error costs, where the network lost more than nothing."""
    error = explorer.space.error(choice)
    lost = [each.points for each in (loss.natural, loss.robust) if each is not None] if loss is not None else []
    return max(lost) / error if error > 0 and max(lost, default=0.0) > 0 else None


def _cost_words(error: float, per_error: float | None) -> str:
    return f" for an error of {error:.2g}" + ("" if per_error is None else f", about {per_error * error:.2f} points")


def _time(
    explorer: Explorer | None, profiles: Mapping[Choice, Profile], choice: Choice, holder: LayerOptions | None
) -> float | None:
    """The time of a layer in a network: its share of the profile, of the time of the whole."""
    profile = profiles.get(choice)
    if explorer is None or profile is None or holder is None or holder.name not in profile.shares:
        return None
    whole = explorer.measured(choice)
    total = profile.rest.ms + sum(share.ms for share in profile.shares.values())
    return None if whole is None or total <= 0 else whole * profile.shares[holder.name].ms / total


def _change(lost: PointsLost | None) -> Change | None:
    return None if lost is None else Change(points=lost.points, low=lost.low, high=lost.high, images=lost.images)


def by_choice(profiles: Sequence[Profile] | None) -> dict[Choice, Profile]:
    """The newest profile of each network."""
    return {profile.choice: profile for profile in profiles or []}
