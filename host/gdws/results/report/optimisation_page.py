"""The page of an optimisation: verdict, front, prediction against measurement, and the layers."""

from __future__ import annotations

from gdws.results.optimisation import Network, Optimisation
from gdws.results.report.energy_plot import energy_plot
from gdws.results.report.html import template_environment
from gdws.results.report.optimisation import (
    answer,
    energy_table,
    energy_words,
    layer_table,
    network_table,
    residual_words,
)
from gdws.results.report.plots import Plot
from gdws.results.report.svg import ACCENT, GOOD, INK, MUTED, new_figure, to_svg
from gdws_contract import __version__
from gdws_contract.findings.agreement import AGREEMENT

_LOSSES = ("natural", "robust", *AGREEMENT.values())
#: Columns of sentences and of figures with intervals, which wrap.
_PROSE = ("why", *_LOSSES, *(f"test {name}" for name in _LOSSES))


def render_page(found: Optimisation) -> str:
    """One HTML file that needs nothing else. Every string is escaped: names of layers may come from anyone."""
    energy = None if found.energy is None else energy_plot(found.energy)
    plots = [plot for plot in (energy, front_plot(found), prediction_plot(found)) if plot is not None]
    return (
        template_environment()
        .get_template("optimisation.html.j2")
        .render(
            found=found,
            answer=answer(found),
            residual=residual_words(found),
            energy=energy_words(found),
            energies=None if found.energy is None else energy_table(found.energy),
            layers=layer_table(found),
            networks=network_table(found),
            plots=plots,
            prose=_PROSE,
            version=__version__,
        )
    )


def front_plot(found: Optimisation) -> Plot | None:
    """Accuracy lost over the speed-up, with the limits drawn in; None if no network was judged."""
    judged = [(network, loss) for network in found.networks if (loss := _loss(network)) is not None]
    if not judged:
        return None
    figure, (axes,) = new_figure(height_in=3.2)
    limits = {limit for limit in (found.robust_limit_points, found.natural_limit_points) if limit is not None}
    for limit in sorted(limits):
        axes.axhline(-limit, color=GOOD, linewidth=1.2, linestyle="--")
    axes.plot([1.0], [0.0], marker="D", color=INK, markersize=7)
    for network, loss in judged:
        axes.plot([network.speedup_low, network.speedup_high], [-loss, -loss], color=ACCENT, linewidth=1.3, alpha=0.5)
        axes.plot([network.speedup], [-loss], marker="*" if network.delivered else "o", color=ACCENT,
                  markersize=13 if network.delivered else 6)  # fmt: skip
    axes.set_xlabel(
        "times as fast as dense, measured" if found.unit == "ms" else "times less energy than dense, measured"
    )
    axes.set_ylabel(f"change of {found.agreement or 'accuracy'} (points)")
    shown = "; ".join(f"{network.speedup:.2f} times and {-loss:+.1f} points" for network, loss in judged)
    what = found.agreement or "natural or robust accuracy, whichever fell further,"
    gain = "speed-up" if found.unit == "ms" else "the gain in energy"
    alt = f"Change of {what} over {gain}; the star is what is delivered, a dashed line a limit: {shown}."
    return Plot(to_svg(figure, alt=alt, key="front"), alt)


def prediction_plot(found: Optimisation) -> Plot | None:
    """Predicted against measured cost of the networks that were predicted first; None if there is none."""
    checked = [(network.predicted, network.cost) for network in found.networks if network.predicted is not None]
    if not checked:
        return None
    figure, (axes,) = new_figure(height_in=3.2)
    ends = [min(min(pair) for pair in checked) * 0.97, max(max(pair) for pair in checked) * 1.03]
    axes.plot(ends, ends, color=MUTED, linewidth=1.0)
    axes.plot([cost for _, cost in checked], [predicted for predicted, _ in checked], "o", color=ACCENT, markersize=6)
    axes.set_xlabel(f"measured ({found.unit})")
    axes.set_ylabel(f"predicted ({found.unit})")
    worst = max(abs(predicted / cost - 1) for predicted, cost in checked)
    alt = f"Predicted against measured {found.unit} of {len(checked)} networks, at most {100 * worst:.1f} % apart."
    return Plot(to_svg(figure, alt=alt, key="prediction"), alt)


def _loss(network: Network) -> float | None:
    """Points lost, of the accuracy that fell further, on the final images if it was judged there."""
    changes = (network.final_natural or network.natural, network.final_robust or network.robust)
    return max((change.points for change in changes if change is not None), default=None)
