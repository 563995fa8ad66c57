"""The dashboard's plain functions, run in the browser and held against the host's where both have one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gdws_contract.findings import text
from gdws_contract.manifest import Attack
from gdws_contract.measures import Interval
from support.agent_process import AgentProcess, running_agent
from support.browser import Page

Look = Callable[..., Page]


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    with running_agent(tmp_path_factory.mktemp("agent") / "data") as process:
        yield process


@pytest.fixture
def page(agent: AgentProcess, look: Look) -> Page:
    """A page on which nothing else is going on."""
    page = look(agent.url, "#/nowhere")
    page.find("h1", "There is no such page")
    return page


# text.js, as gdws_contract.findings.text

VALUES = [None, 0, 0.000123, 0.0123, 0.5, 0.9996, 1, 1.005, 9.994, 9.996, 12.34, 99.95, 999.4, 999.6, 1234.6, 694_634]
LARGE = [None, 0, 999, 999.6, 1_000, 12_345, 694_634, 999_499, 999_500, 80_500_000, 5.6e9, 1.2e12]
SHARES = [None, 0, 0.5, 0.93849, 1, 0.1234]
POINTS = [None, 0, -0.04, 0.04, -0.44, 1.26, -12.3]


@pytest.mark.parametrize(
    ("name", "reference", "values"),
    [
        ("significant", text.significant, VALUES),
        ("whole", text.whole, LARGE),
        ("scaled", text.scaled, LARGE),
        ("milliseconds", text.milliseconds, VALUES),
        ("percent", text.percent, SHARES),
        ("points", text.points, POINTS),
        ("ratio", text.ratio, VALUES),
    ],
)
def test_figures_are_written_as_in_the_report(
    page: Page, name: str, reference: Callable[[Any], str], values: list[Any]
) -> None:
    assert page.module("text.js", f"a[0].map((value) => m.{name}(value))", values) == [reference(v) for v in values]


def test_intervals_lists_and_attacks_are_written_as_in_the_report(page: Page) -> None:
    interval = Interval(low=1.384, high=1.456, method="x")
    attacks = [
        Attack(name=name, norm="linf", eps=0.1, iterations=steps) for name in ("pgd", "apgd-ce") for steps in (40, None)
    ]
    names = ["a", "b", "c"]
    assert page.module("text.js", "m.ratioInterval(a[0])", interval.model_dump()) == text.ratio_interval(interval)
    for count in (1, 2, 3):
        assert page.module("text.js", "m.listed(a[0])", names[:count]) == text.listed(names[:count])
        assert page.module("text.js", "m.plural(a[0], 'cell')", count) == text.plural(count, "cell")
    for attack in attacks:
        assert page.module("text.js", "m.attackName(a[0])", attack.model_dump()) == text.attack_name(attack)


def test_times_are_told_no_finer_than_they_are_known(page: Page) -> None:
    durations = page.module("times.js", "a[0].map(m.duration)", [0, 59.4, 60, 3_599, 3_600, 90_000])
    assert durations == ["0 s", "59 s", "1 min 00 s", "59 min 59 s", "1 h 00 min", "1 d 1 h"]
    left = page.module("times.js", "a[0].map(m.remaining)", [0, 12, 98, 130, 7_300])
    assert left == ["a moment", "about 10 s", "about 100 s", "about 2 min", "about 2 h 00 min"]


# events.js


def test_events_are_read_however_the_bytes_are_cut(page: Page) -> None:
    text_of_stream = (
        ': here\n\nevent: cell\nid: 3\ndata: {"name": "ü: x"}\n\nevent: end\ndata: {}\n\nevent: cut\ndata: {'
    )
    for size in (1, 2, 7, 1_000):
        found = page.driver.execute_async_script(
            """
            const [text, size, done] = arguments;
            const bytes = new TextEncoder().encode(text);
            const body = new ReadableStream({start(to) {
              for (let at = 0; at < bytes.length; at += size) to.enqueue(bytes.slice(at, at + size));
              to.close();
            }});
            import('/dashboard/events.js').then(async ({readEvents}) => {
              const found = [];
              for await (const event of readEvents(body)) found.push(event);
              done(found);
            });
            """,
            text_of_stream,
            size,
        )
        cell = {"event": "cell", "id": "3", "data": {"name": "ü: x"}}
        assert found == [None, cell, {"event": "end", "id": None, "data": {}}]


# render.js


def test_what_is_drawn_again_keeps_focus_and_what_was_opened(page: Page) -> None:
    found = page.driver.execute_async_script(
        """
        const done = arguments[0];
        Promise.all(['dom', 'render'].map((name) => import(`/dashboard/${name}.js`))).then(([{h}, {render}]) => {
          const root = document.body.appendChild(document.createElement('div'));
          let clicks = '';
          const draw = (keys) => render(root, keys.map((key) => h('section', {'data-key': key},
            h('button', {onclick: () => { clicks += keys.length + key; }}, key),
            h('details', {}, h('summary', {}, key)))));
          draw(['a', 'b', 'c']);
          const button = root.querySelector('[data-key="b"] button');
          button.focus();
          root.querySelector('[data-key="b"] details').open = true;
          draw(['x', 'b']);
          document.activeElement.click();
          const opened = [...root.querySelectorAll('details')].map((each) => each.open);
          done([root.innerText.split(/\\n+/), document.activeElement === button, opened, clicks]);
        });
        """
    )
    words, is_focused, opened, clicks = found
    assert [word for word in words if word] == ["x", "x", "b", "b"]
    assert (is_focused, opened, clicks) == (True, [False, True], "2b")


# polling.js


def test_a_page_that_nobody_sees_asks_for_nothing(page: Page) -> None:
    found = page.driver.execute_async_script(
        """
        const done = arguments[0];
        const turn = () => new Promise((go) => setTimeout(go, 0));
        const turns = async (count) => { for (let i = 0; i < count; i += 1) await turn(); };
        import('/dashboard/polling.js').then(async ({repeat}) => {
          let hidden = true;
          Object.defineProperty(document, 'hidden', {get: () => hidden, configurable: true});
          const stop = new AbortController();
          let asked = 0;
          repeat(() => { asked += 1; }, 0, {signal: stop.signal, onError: done});
          await turns(50);
          const unseen = asked;
          hidden = false;
          document.dispatchEvent(new Event('visibilitychange'));
          await turns(50);
          const seen = asked;
          stop.abort();
          await turns(5);
          const stopped = asked;
          await turns(50);
          done([unseen, seen > unseen, asked === stopped]);
        });
        """
    )
    assert found == [1, True, True]


def test_an_agent_that_is_gone_is_asked_less_and_less_often(page: Page) -> None:
    assert page.module("waiting.js", "[1, 2, 3, 4, 5, 9].map(m.backoff_s)") == [1, 2, 4, 8, 15, 15]


# Plots


def test_lines_across_a_plot_lie_at_round_values(page: Page) -> None:
    assert page.module("scale.js", "m.ticks(0, 10, 5)") == [0, 2, 4, 6, 8, 10]
    assert page.module("scale.js", "m.ticks(417, 1310, 5)") == [600, 800, 1000, 1200]
    assert page.module("scale.js", "m.ticks(3, 3, 5)") == [3]
    assert page.module("scale.js", "[0.2, 1, 50, 0.05].map(m.decimals)") == [1, 0, 0, 2]


def test_labels_cover_neither_points_nor_each_other(page: Page) -> None:
    crowded = [{"name": f"mean-rank-{index}", "x": 200 + 3 * index, "y": 150 + 2 * index} for index in range(5)]
    frame = {"left": 52, "right": 468, "top": 12, "bottom": 296}
    boxes = page.module("labels.js", "m.chooseBoxes(a[0], a[1])", crowded, frame)
    for one, other in itertools.combinations(boxes, 2):
        apart = one["right"] <= other["left"] or other["right"] <= one["left"]
        assert apart or one["bottom"] <= other["top"] or other["bottom"] <= one["top"]
    for box in boxes:
        assert frame["left"] <= box["left"]
        assert box["right"] <= frame["right"]
        assert not any(box["left"] < p["x"] < box["right"] and box["top"] < p["y"] < box["bottom"] for p in crowded)
