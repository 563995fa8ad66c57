"""Can any network be converted? More than sixty from pytorchcv, of as many families as it has.

    pip install pytorchcv
    python -m benchmarks.any_network.families [--only NAME ...] [--again] [--jobs 1] [--timeout 600]

Each network has random weights and the smallest images that it takes. It is converted at full rank, where it must
compute what it did before, and at mean rank 3; both are exported to ONNX and run in ONNX Runtime. Each network has a
process and a time limit of its own, so that a huge one does not stop the others. What is done is kept in
``results.json`` beside this file, and the next run goes on from there; ``--again`` starts over. Writes ``results.md``
too. Returns 1 if a network crashed, ran out of time, or computes something else.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from benchmarks.any_network.families.networks import FAMILIES

HERE = Path(__file__).resolve().parent

#: Largest relative difference that counts as the same outputs; float32 rounding through a hundred layers.
TOLERANCE = 1e-3
_DIFFERENCES = ("full_rank_torch", "full_rank_onnx", "rank_3_onnx")


def one(name: str, timeout_s: float) -> dict[str, Any]:
    """The trial of one network in a process of its own; ``crashed`` says what ended it, if anything did."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.any_network.families", "--one", name],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"name": name, "crashed": f"not done within {timeout_s:g} s"}
    if done.returncode == -signal.SIGKILL:
        return {"name": name, "crashed": "killed, as the system does where memory runs out"}
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return {"name": name, "crashed": lines[-1][:300]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def passed(found: Mapping[str, Any]) -> bool:
    """Whether the network was converted and computes the same, or was refused in words."""
    if "crashed" in found:
        return False
    differences = [found.get(key) for key in _DIFFERENCES]
    return "refused" in found or all(value is not None and value <= TOLERANCE for value in differences)


def table(results: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    rows = [(family, results["networks"][name]) for family, names in FAMILIES.items() for name in names
            if name in results["networks"]]  # fmt: skip
    outcomes = [found for _, found in rows]
    same = [found for found in outcomes if passed(found) and "refused" not in found]
    reasons: Counter[str] = Counter()
    for found in outcomes:
        reasons.update(found.get("left_alone", {}))
    lines = [
        "# Any network",
        "",
        f"{len(outcomes)} networks of {len(FAMILIES)} families of pytorchcv {results['pytorchcv']}, random weights,",
        "the smallest of a few image sizes that each takes. Converted at full rank (beta 0) and at mean rank 3,",
        "exported, run in ONNX Runtime. Differences are relative to the largest logit: at full rank to the network",
        "before conversion, in torch and in ONNX Runtime; at mean rank 3 between ONNX Runtime and torch.",
        "",
        f"**{len(same)} computed the same** within {TOLERANCE:g}; "
        f"{sum('refused' in found for found in outcomes)} were refused with a reason; "
        f"{sum('crashed' in found for found in outcomes)} crashed or ran out of time.",
        "",
        "| family | network | side | convolutions | converted | parameters (M) | full rank | mean rank 3 "
        "| full rank, torch | full rank, ONNX | rank 3, ONNX |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(_row(family, found) for family, found in rows),
        "",
        "## Why convolutions were left alone",
        "",
        "| reason | convolutions | networks |",
        "|---|---|---|",
        *(
            f"| {reason} | {count} | {sum(reason in found.get('left_alone', {}) for found in outcomes)} |"
            for reason, count in reasons.most_common()
        ),
        "",
        f"Software: `{json.dumps(results['software'])}`.",
        "",
    ]
    return "\n".join(lines)


def _row(family: str, found: Mapping[str, Any]) -> str:
    problem = found.get("crashed") or found.get("refused")
    counts = [found.get(key) for key in ("size", "convolutions", "converted")]
    millions = [found.get(key) for key in ("parameters", "parameters_full_rank", "parameters_rank_3")]
    cells = [
        family,
        found["name"],
        *("" if count is None else str(count) for count in counts),
        *("" if value is None else f"{value / 1e6:.2f}" for value in millions),
        *_differences(found, problem),
    ]
    return f"| {' | '.join(cells)} |"


def _differences(found: Mapping[str, Any], problem: str | None) -> Iterable[str]:
    known = ["" if found.get(key) is None else f"{found[key]:.1e}" for key in _DIFFERENCES]
    return known if problem is None else [*known[:2], problem.replace("|", "\\|").replace("\n", " ")]


def software() -> dict[str, str]:
    """The versions that the outcome depends on."""
    import onnxruntime
    import torch

    return {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__}


def main() -> int:
    """Run what is not done yet, write the results, and return 1 if a network did not pass."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these networks, whether done or not")
    parser.add_argument("--again", action="store_true", help="forget what is done")
    parser.add_argument("--jobs", type=int, default=1, help="networks at once")
    parser.add_argument("--timeout", type=float, default=600, metavar="SECONDS", help="of each network")
    parser.add_argument("--one", metavar="NAME", help="try this one in this process, and print JSON")
    options = parser.parse_args()
    if options.one:
        from benchmarks.any_network.families.trial import trial

        print(json.dumps(trial(options.one)))
        return 0
    from importlib.metadata import PackageNotFoundError, version

    try:
        release = version("pytorchcv")
    except PackageNotFoundError:
        print("skipped: pytorchcv is not installed; pip install pytorchcv")
        return 0
    path = HERE / "results.json"
    known = json.loads(path.read_text())["networks"] if path.exists() and not options.again else {}
    wanted = options.only or [name for names in FAMILIES.values() for name in names if name not in known]
    results = {"pytorchcv": release, "software": software(), "networks": known}
    with ThreadPoolExecutor(options.jobs) as pool:
        for done in as_completed([pool.submit(one, name, options.timeout) for name in wanted]):
            found = done.result()
            known[found["name"]] = found
            path.write_text(json.dumps({**results, "networks": dict(sorted(known.items()))}, indent=1) + "\n")
            print(found["name"], found.get("crashed") or found.get("refused") or "done", flush=True)
    (HERE / "results.md").write_text(table(results))
    return 0 if all(passed(found) for found in known.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
