"""ONNX Runtime's own profile: sessions that write it, and what it says of each node."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Sequence, Tuple
from typing import Counter as CounterType

from gdws_agent.backends.layer_times import Timed
from gdws_agent.errors import RunFailed

#: Takes the path that the profile's name begins with, and returns a session that writes one.
ProfiledSession = Callable[[str], Any]

#: The first runs of a session allocate and pack; they are not what later runs cost.
_WARM_UP_RUNS = 3
#: ONNX Runtime drops what comes after a million events, and the file of one run is large: so several short ones.
_RUNS_PER_SESSION = 50
_NODE_SUFFIX = "_kernel_time"

Event = Mapping[str, Any]


def profile_nodes(
    make_session: ProfiledSession, outputs: Sequence[str], feed: Mapping[str, Any], iterations: int
) -> List[Timed]:
    """Return the nodes in the order in which they ran, with their times over ``iterations`` runs.

    Raises:
        RunFailed: the runtime wrote no profile, or a part of one. And what runs of the session raise.
    """
    totals: Dict[_Node, float] = {}
    kinds: Dict[_Node, str] = {}
    left = iterations
    while left:
        runs = min(left, _RUNS_PER_SESSION)
        for node, kind, duration_ms in node_events(
            _record(make_session, outputs, feed, _WARM_UP_RUNS + runs), _WARM_UP_RUNS, runs
        ):
            totals[node] = totals.get(node, 0.0) + duration_ms
            kinds[node] = kind
        left -= runs
    return [Timed(node.name, kinds[node], total) for node, total in totals.items()]


def count_providers(make_session: ProfiledSession, outputs: Sequence[str], feed: Mapping[str, Any]) -> CounterType[str]:
    """Return execution provider -> number of nodes that it ran.

    Raises:
        RunFailed: as :func:`profile_nodes`.
    """
    events = _record(make_session, outputs, feed, 1)
    return Counter(str(event["args"].get("provider", "unknown")) for event in events if _is_node(event))


class _Node(NamedTuple):
    name: str
    place: str


def node_events(events: Iterable[Event], skipped: int, runs: int) -> List[Tuple[_Node, str, float]]:
    """Return (node, operator, duration in ms) of each node of ``runs`` runs after the first ``skipped``, in order.

    Raises:
        RunFailed: there are not that many runs in ``events``.
    """
    in_order = sorted(events, key=lambda event: float(event["ts"]))
    starts = [float(event["ts"]) for event in in_order if event["cat"] == "Session" and event["name"] == "model_run"]
    if len(starts) != skipped + runs:
        raise RunFailed(f"the runtime's profile has {len(starts)} runs of {skipped + runs}")
    since = starts[skipped]
    return [
        (
            _Node(event["name"][: -len(_NODE_SUFFIX)], str(event["args"].get("node_index", ""))),
            str(event["args"].get("op_name", "")),
            float(event["dur"]) / 1e3,
        )
        for event in in_order
        if _is_node(event) and float(event["ts"]) >= since
    ]


def _is_node(event: Event) -> bool:
    return event["cat"] == "Node" and str(event["name"]).endswith(_NODE_SUFFIX)


def _record(make_session: ProfiledSession, outputs: Sequence[str], feed: Mapping[str, Any], runs: int) -> List[Event]:
    """Run a profiled session and return its events; the file that they came in is removed."""
    with TemporaryDirectory(prefix="gdws-profile-") as folder:
        session = make_session(str(Path(folder, "profile")))
        for _ in range(runs):
            session.run(outputs, feed)
        path = session.end_profiling()
        try:
            events: List[Event] = json.loads(Path(path).read_text())
        except (OSError, ValueError) as error:
            raise RunFailed(f"the runtime's profile cannot be read: {error}") from error
    return events
