"""What holds for all tests.

Figures that tests record with ``record_property("figure", ...)`` are printed at the end, passed or not. Property tests
draw the same examples each time; ``--hypothesis-profile=default`` has them look for new ones.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import signal
from typing import Any

import pytest

# Shells start background jobs with SIGINT ignored, and so would all be that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

with contextlib.suppress(ImportError):  # some environments run only tests that need none
    from hypothesis import settings

    settings.register_profile("repeatable", derandomize=True)
    settings.register_profile("fuzz", max_examples=3_000)
    settings.load_profile("repeatable")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Binary values are named after their argument: such as are compressed hold the time, and workers must agree."""
    return argname if isinstance(val, bytes) and not val.isascii() else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests go first, each with a short one behind it.

    A worker holds two tests, the one that it runs and the next: so no long test waits for another.
    """
    long = [item for item in items if item.get_closest_marker("long")]
    if long:
        short = [item for item in items if not item.get_closest_marker("long")]
        pairs = itertools.chain.from_iterable(itertools.zip_longest(long, short))
        items[:] = [item for item in pairs if item is not None]


def pytest_collection_finish() -> None:
    """What was imported and collected stays: measurements collect garbage before each window, and would walk it all."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for key in ("passed", "failed") for report in terminalreporter.getreports(key)]
    figures = [value for report in reports for name, value in report.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("figures")
        for figure in sorted(figures):
            terminalreporter.write_line(figure)
