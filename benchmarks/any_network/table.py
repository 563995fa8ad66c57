"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.any_network.networks import Network

_HEAD = """# Networks that others ship

From PyPI packages, by `gdws convert`, `gdws bench` and `gdws report`, with nothing prepared by hand. Converted
data-aware at mean rank 2, layout `stacked`, from a few dozen images: drawn text and crops of the photographs that
scikit-image, scikit-learn and foolbox ship. So metrics tell how a converted network compares with the dense one, not
how good either is. One rank for all is a first try, not the best plan: `gdws optimize` looks for that. The ratio of
times is of the dense network over the converted one, measured in turns in one run of the local agent on one thread of
an x86 machine that others used meanwhile, with its 95 % interval; it is no claim for a Jetson.
"""


def table(networks: Sequence[Network], results: Mapping[str, Any]) -> str:
    """One row for each network that was tried, then the reasons why networks stayed graphs."""
    tried = [results[network.name] for network in networks if network.name in results]
    graphs = [found for found in tried if found.get("kept_as_graph")]
    done = [found for found in tried if "refused" not in found]
    tasks = {found["task"] for found in done}
    return "\n".join(
        [
            _HEAD,
            f"{len(done)} networks of {len(tasks)} tasks went all the way; {len(tried) - len(done)} did not, and why "
            "is in the table.",
            "",
            "| network | task | package | converted | dense | converted at rank 2 | times as fast |",
            "|---|---|---|---|---|---|---|",
            *map(_row, tried),
            "",
            "## Kept as graphs",
            "",
            *(f"- {found['name']}: {_short(found['kept_as_graph'])}" for found in graphs),
            "",
        ]
    )


def _row(found: Mapping[str, Any]) -> str:
    cells = [found["name"], found["task"], f"`{found['package']}`"]
    if "variants" not in found:
        return f"| {' | '.join(cells)} | {_cell(found['refused'])} | | | |"
    dense, *others = found["variants"].items()
    graph = ", in the graph" if found["kept_as_graph"] else ""
    cells.append(f"{found['converted']} of {found['convolutions']} convolutions{graph}")
    cells.append(_metrics(dense[1]["metrics"]))
    cells.append("; ".join(_metrics(variant["metrics"]) for _, variant in others))
    cells.append(
        _cell(found["refused"]) if "refused" in found else _speed(found["speed"], [name for name, _ in others])
    )
    return f"| {' | '.join(cells)} |"


def _metrics(metrics: Mapping[str, float | None]) -> str:
    known = {name: value for name, value in metrics.items() if value is not None}
    return "<br>".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in known.items()) or "not compared"


def _speed(speeds: Mapping[str, Any], names: Sequence[str]) -> str:
    found = []
    for name in names:
        cell = speeds.get(name, {"state": "missing", "reason": None, "speedup": None})
        if cell["speedup"] is None:
            found.append(_cell(cell["reason"] or cell["state"]))
        else:
            interval = cell["interval"]
            found.append(f"{cell['speedup']:.2f} [{interval['low']:.2f}, {interval['high']:.2f}]")
    return "<br>".join(found)


def _short(reason: str) -> str:
    """Without the folder of whoever ran it."""
    return " ".join(word.rpartition("/")[2] if word.startswith("/") else word for word in reason.split())


def _cell(text: str) -> str:
    return _short(text).replace("|", "\\|").replace("\n", " ")
