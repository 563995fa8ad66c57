#!/usr/bin/env python3
"""Build the images on stand-in bases, start each profile of docker-compose.yml, and measure through it.

    python tests/e2e/docker/run.py              what cannot be tested here is skipped, with one line why
    python tests/e2e/docker/run.py --strict     what is skipped counts as failed

Starts a Docker engine where none runs and this is root, and removes whatever it made.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TESTS))

import profiles  # noqa: E402
import standin  # noqa: E402
from console import Failed, Skipped, say  # noqa: E402
from engine import open_engine  # noqa: E402
from profiles import Project  # noqa: E402

from support.bundles import tiny_bundle  # noqa: E402


def main() -> int:
    """Run every test that can be run here; return 1 when one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strict", action="store_true", help="count what is skipped as failed")
    parser.add_argument("--keep", action="store_true", help="leave the images for the next run")
    arguments = parser.parse_args()
    outcomes: list[Failed | Skipped] = []
    with tempfile.TemporaryDirectory(prefix="gdws-docker-") as folder:
        outcomes += attempt("containers", lambda: run_tests(Path(folder), outcomes, keep=arguments.keep))
    for outcome in outcomes:
        say(f"{'SKIPPED' if isinstance(outcome, Skipped) else ' FAILED'}  {outcome}")
    wrong = [outcome for outcome in outcomes if arguments.strict or isinstance(outcome, Failed)]
    return 1 if wrong else 0


def run_tests(work: Path, outcomes: list[Failed | Skipped], *, keep: bool) -> None:
    """Run the tests one after the other; what keeps one from passing goes to ``outcomes``, and the next is run.

    Raises:
        Failed, Skipped: nothing can be tested.
    """
    with open_engine(work) as engine:
        standin.build_image(engine, work)
        bundle = tiny_bundle(work / "tiny.gdws")
        project = Project(engine, TESTS.parent, work)
        try:
            outcomes += attempt("profile cpu", lambda: profiles.check_cpu(project, bundle))
            outcomes += attempt("profile simulated", lambda: profiles.check_simulated(project, bundle))
            outcomes += attempt("profile jetson", lambda: profiles.check_jetson(project, bundle))
        finally:
            if not keep:
                project.remove_images()


def attempt(name: str, test: Callable[[], None]) -> list[Failed | Skipped]:
    """Run ``test`` and return what kept it from passing, if anything."""
    try:
        test()
    except (Failed, Skipped) as outcome:
        return [type(outcome)(f"{name}: {outcome}")]
    return []


if __name__ == "__main__":
    sys.exit(main())
