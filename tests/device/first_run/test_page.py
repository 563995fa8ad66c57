from html.parser import HTMLParser

import pytest
from pydantic import ValidationError

from gdws_agent.first_run.page import render
from gdws_agent.first_run.report import CheckResult, Figure, Report, Table

HOSTILE = '<script>alert("x")</script>&'


def report(**fields):
    check = CheckResult(
        name="stack",
        title=f"Title {HOSTILE}",
        status="failed",
        started_at="2026-11-29T10:00:00.000Z",
        duration_s=12.0,
        limit_s=60.0,
        summary=f"Summary {HOSTILE}",
        figures=[Figure(name=f"Name {HOSTILE}", value=HOSTILE, unit="<ms>"), Figure(name="unknown")],
        tables=[Table(title=HOSTILE, columns=["<a>", "ms"], rows=[[HOSTILE, 1.23456], [None, True]])],
        advice=[f"Advice {HOSTILE}"],
        log=[f"Log {HOSTILE}"],
    )
    defaults = {
        "version": "1",
        "started_at": "2026-11-29T10:00:00.000Z",
        "duration_s": 60.0,
        "complete": True,
        "quick": False,
        "simulated": False,
        "device": {"board": f"Board {HOSTILE}", "l4t": "35.4.1"},
        "checks": [check],
    }
    return Report(**{**defaults, **fields})


class Reader(HTMLParser):
    """Collects tags, the texts outside of styles, and whatever refers to something outside of the page."""

    def __init__(self):
        super().__init__()
        self.tags, self.texts, self.references, self._open = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.references += [
            value for name, value in attributes if name in ("src", "href") and not value.startswith("#")
        ]
        if tag not in ("meta", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open[-1:] != ["style"]:
            self.texts.append(data)


def read(page):
    reader = Reader()
    reader.feed(page)
    assert not reader._open
    return reader


def test_every_text_is_escaped_and_shown():
    reader = read(render(report()))
    assert "script" not in reader.tags
    shown = "".join(reader.texts)
    assert shown.count(HOSTILE) == 11  # the title and the summary twice
    for text in ("Title ", "Summary ", "Name ", "Advice ", "Log ", "Board ", "not known", "1.235", "yes", "<ms>"):
        assert text in shown


def test_the_page_needs_nothing_else():
    page = render(report())
    assert read(page).references == []
    assert "@import" not in page
    assert "url(" not in page


def test_what_the_reader_must_know_first_stands_at_the_top():
    plain = render(report())
    for field, words in (("simulated", "is simulated"), ("quick", "A quick run")):
        assert words not in plain
        assert words in render(report(**{field: True}))
    assert "has not come to its end" in render(report(complete=False))
    assert "1 failed" in plain


def test_code_in_a_sentence_stands_as_such():
    check = report().checks[0].model_copy(update={"advice": ["start it with `runtime: <nvidia>`, ` or not"]})
    assert "<li>start it with <code>runtime: &lt;nvidia&gt;</code>, ` or not</li>" in render(report(checks=[check]))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_heard_where_it_is_made(value):
    with pytest.raises(ValidationError):
        Figure(name="x", value=value)


@pytest.mark.parametrize("value", [True, 1, 1.0, 1.5, "1", None])
def test_values_keep_their_type(value):
    back = Figure.model_validate_json(Figure(name="x", value=value).model_dump_json()).value
    assert (back, type(back)) == (value, type(value))
