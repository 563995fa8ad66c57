"""What commands print of the text of others."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from gdws._util.progress import RichProgress
from gdws.cli.views.live import LiveBenchmark, stage
from gdws.cli.views.output import errors, print_json, print_line, print_plain, print_table, results
from gdws_contract.rest import BenchmarkRequest, Job, Progress
from support.benchmark_results import MODEL_ID

HOSTILE = "\x1b[2J\x9b31m\u202eSSAP\u2066\r:fire:[/red]\x07\u2028\x00"


@pytest.mark.parametrize(
    "show",
    [
        lambda text: results().print(text, markup=False),
        lambda text: errors().print(text, markup=False),
        print_line,
        print_plain,
        lambda text: print_table([text, "b"], [[text, text]], title=text),
    ],
)
def test_control_characters_and_markup_are_printed_as_text(
    capsys: pytest.CaptureFixture[str], show: Callable[[str], object]
) -> None:
    show(HOSTILE)
    told = "".join(capsys.readouterr())
    assert not {each for each in HOSTILE if not each.isprintable()} & set(told)
    for part in (r"\x1b[2J\x9b31m\u202eSSAP", ":fire:[/red]"):
        assert part in told.replace("\n", "")


def test_a_line_stays_one(capsys: pytest.CaptureFixture[str]) -> None:
    print_line("dense: it fails\nPASS")
    results().print("dense: it fails\n::error::x", markup=False)
    print_line("x" * 1_000)
    assert len(capsys.readouterr().out.splitlines()) == 3
    print_plain("a\nb")
    assert capsys.readouterr().out == "a\nb\n"


def test_json_is_ascii_and_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": HOSTILE + "é"})
    told = capsys.readouterr().out
    assert told.isascii()
    assert json.loads(told) == {"name": HOSTILE + "é"}


def test_bars_take_any_text() -> None:
    job = Job(
        id="job-1",
        state="running",
        request=BenchmarkRequest(model_id=MODEL_ID),
        created_at="2026-01-02T03:04:00Z",
        progress=Progress(cells_total=2, cells_finished=0, stage=HOSTILE),
    )
    assert stage(job) == HOSTILE
    with LiveBenchmark(quiet=False) as live:
        live.show(job)
    with RichProgress() as progress:
        progress.start(2, HOSTILE)
        progress.advance(figure=HOSTILE)
