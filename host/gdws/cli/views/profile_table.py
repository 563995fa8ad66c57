"""Prints a layer profile as a table, with bars for the shares."""

from __future__ import annotations

from collections.abc import Sequence

from gdws.cli.views.output import print_table, results
from gdws_contract.findings import text
from gdws_contract.findings.layers import by_source
from gdws_contract.profiles import LayerProfile, LayerTime
from gdws_contract.rest import CellKey

_BAR_WIDTH = 20
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def print_profile(key: CellKey, profile: LayerProfile, *, summed: bool) -> None:
    """Print the layers in order of execution, or the total time of each source layer, longest first."""
    results().print(
        f"{key.variant}, {key.backend}, {key.precision}, batch {key.batch_size}: "
        f"{text.plural(len(profile.layers), 'layer')}, {text.milliseconds(profile.total_ms)} in total",
        markup=False,
    )
    results().print(f"mean of {text.plural(profile.iterations, 'inference')}, by {profile.tool}", markup=False)
    blocks = _can_print_blocks()
    if summed:
        sums = sum_by_source(profile.layers)
        longest = max((share for _, _, _, share in sums), default=0.0)
        rows = [[name, str(count), *_figures(ms, share, longest, blocks)] for name, count, ms, share in sums]
        print_table(("source", "layers", "ms", "share", ""), rows, words=[""])
    else:
        longest = max((layer.share for layer in profile.layers), default=0.0)
        rows = [
            [layer.name, layer.source or "", layer.kind or "", *_figures(layer.mean_ms, layer.share, longest, blocks)]
            for layer in profile.layers
        ]
        print_table(("layer", "source", "kind", "ms", "share", ""), rows, words=["source", "kind", ""])


def sum_by_source(layers: Sequence[LayerTime]) -> list[tuple[str, int, float, float]]:
    """Return (source, number of runtime layers, ms, share) of each source, longest first."""
    return sorted(((name, *figures) for name, figures in by_source(layers).items()), key=lambda each: -each[2])


def bar(share: float, longest: float, *, blocks: bool) -> str:
    """Return a bar of length ``share`` relative to the ``longest``, in eighths of a block, or in whole number signs."""
    length = 0.0 if longest <= 0 else _BAR_WIDTH * min(share / longest, 1.0)
    if not blocks:
        return "#" * round(length)
    whole, eighths = divmod(round(8 * length), 8)
    return ("█" * whole + _EIGHTHS[eighths]).strip()


def _figures(ms: float, share: float, longest: float, blocks: bool) -> list[str]:
    return [text.significant(ms), text.percent(share), bar(share, longest, blocks=blocks)]


def _can_print_blocks() -> bool:
    return results().encoding.lower().startswith("utf")
