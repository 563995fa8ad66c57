"""Reports on stored benchmark results: Markdown, HTML with plots, JSON and CSV.

Nothing here measures, evaluates or reaches a device. :mod:`gdws_contract.findings` says what a result shows,
:mod:`~gdws.results.report.figures` arranges it and :mod:`~gdws.results.report.doubts` adds reservations; the other
modules only render it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gdws._util.files import write_atomic
from gdws.errors import ResultError
from gdws.results.report.summary import Summary, summarise
from gdws_contract.rest import BenchmarkResult

__all__ = ["FORMATS", "Summary", "render", "summarise", "write"]

#: Suffixes of files that :func:`write` makes.
FORMATS = (".html", ".md", ".json", ".csv")


def render(results: Sequence[BenchmarkResult], suffix: str) -> str:
    """The report on ``results``, side by side, in the format of a file ``suffix``.

    Raises :class:`ResultError` if there are no results or the format is not one of :data:`FORMATS`.
    """
    if not results:
        raise ResultError("there are no results to report on")
    summaries = [summarise(result) for result in results]
    # Each renderer is imported when it is asked for: plots take longer to load than the rest together.
    if suffix == ".html":
        from gdws.results.report.html import render_html

        return render_html(summaries)
    if suffix == ".md":
        from gdws.results.report.markdown import render_markdown

        return render_markdown(summaries)
    if suffix in (".json", ".csv"):
        from gdws.results.report.flat import render_csv, render_json

        return render_json(summaries) if suffix == ".json" else render_csv(summaries)
    raise ResultError(f"there is no report format {suffix!r}", hint=f"end the file name in {', '.join(FORMATS)}")


def write(results: Sequence[BenchmarkResult], path: Path) -> None:
    """Write the report on ``results`` to ``path``, in the format of its suffix.

    Raises :class:`ResultError` as :func:`render` does, and OSError if the file cannot be written.
    """
    write_atomic(path, render(results, path.suffix.lower()).encode())
