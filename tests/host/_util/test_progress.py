import io

from rich.console import Console

from gdws._util.progress import SILENT, RichProgress


def test_the_bar_shows_what_was_done_and_the_newest_figures():
    text = io.StringIO()
    with RichProgress(Console(file=text, width=200, force_terminal=True)) as progress:
        progress.start(10, "training")
        progress.advance(4, loss=1.23456)
        progress.advance(2, loss=0.5, robust="93.10%")
    shown = text.getvalue()
    assert "training" in shown
    assert "6/10" in shown
    assert "loss 0.5  robust 93.10%" in shown


def test_each_piece_of_work_has_its_bar():
    text = io.StringIO()
    with RichProgress(Console(file=text, width=200, force_terminal=True)) as progress:
        for name in ("first", "second"):
            progress.start(2, name)
            progress.advance(2)
    assert text.getvalue().count("2/2") >= 2


def test_progress_before_any_work_is_no_error():
    progress = RichProgress(Console(file=io.StringIO()))
    progress.advance(1)
    SILENT.start(1, "nothing")
    SILENT.advance(1, loss=0.1)
