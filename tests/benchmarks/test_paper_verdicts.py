"""What a table says of data-aware networks, at equal accuracy and at equal speed, from rows that are made up."""

import pytest
import torch

from benchmarks.paper import judge, verdicts
from benchmarks.paper.rows import DataAware, Network, Row, Table
from benchmarks.paper.verdicts import BETTER, LIKELY, SAME, TRADE, WORSE

COUNT = 1000


def row(key, *, pruned_from=None, data_aware=None):
    network = Network(key, "net", "data", "file", "where", {}, {}, pruned_from)
    return Row(key, network, None, None, {}, data_aware)


def found(*, fps, robust, natural=900, count=COUNT):
    """The first images are those that are classified correctly, so that a difference is seen clearly."""
    right = {name: torch.arange(count) < known for name, known in (("natural", natural), ("robust", robust))}
    return {
        "on": f"{count} images",
        "accuracies": {name: judge.share(each) for name, each in right.items()},
        "right": {name: judge.packed(each) for name, each in right.items()},
        "speed": [{"fps": None}, {"fps": fps}],
    }


OURS = row("net", data_aware=DataAware(2))
SLOWER = row("net", data_aware=DataAware(4, distilled=True))


def verdict(rival, *ours):
    """The verdict on a rival, a network that was pruned from the one that ``ours`` are made of."""
    pruned = row("net-pruned", pruned_from="net")
    keys = (OURS, SLOWER)[: len(ours)]
    table = Table("0", "", ["natural", "robust", "fps"], [pruned, *keys])
    rows = {pruned.key: rival} | {key.key: each for key, each in zip(keys, ours, strict=True)}
    [line] = [line for line in verdicts.sentences(table, rows) if line.startswith("- net-pruned")]
    return line


@pytest.mark.parametrize(
    ("rival", "expected"),
    [
        (found(fps=100, robust=700), BETTER),  # ours is twice as fast and as robust
        (found(fps=100, robust=709), LIKELY),  # 0.9 points count as equal, and may be more
        (found(fps=205, robust=650), BETTER),  # as fast, and more robust
        (found(fps=100, robust=700, natural=911), TRADE),  # faster, but natural accuracy is lost
        (found(fps=100, robust=720), TRADE),
        (found(fps=300, robust=650), TRADE),
        (found(fps=205, robust=705), SAME),
        (found(fps=205, robust=695), SAME),
        (found(fps=205, robust=720), WORSE),
        (found(fps=300, robust=700), WORSE),
    ],
)
def test_the_better_network_is_told_from_the_worse(rival, expected):
    assert f"**{expected}**" in verdict(rival, found(fps=200, robust=700))


def test_each_respect_names_the_network_that_does_best_in_it():
    ours = found(fps=300, robust=650), found(fps=200, robust=700)
    line = verdict(found(fps=100, robust=645), *ours)
    at_accuracy, at_speed = line.split("At equal accuracy: ")[1].split(" At equal speed: ")
    assert at_accuracy.startswith("net at mean rank 2, 3.00 times as fast, natural +0.0")
    assert at_speed.startswith("net at mean rank 4, distilled, 2.00 times as fast, natural +0.0")
    assert "robust +5.5 (+" in at_speed
    line = verdict(found(fps=400, robust=800), *ours)
    assert "None is as accurate, the most robust: net at mean rank 4" in line
    assert "None is as fast, the fastest: net at mean rank 2, 0.75 times" in line


def test_a_rival_is_compared_with_what_was_made_of_the_same_network():
    other = row("other", data_aware=DataAware(2))
    small, pruned = row("small"), row("net-pruned", pruned_from="net")
    table = Table("0", "", ["natural", "robust", "fps"], [small, pruned, OURS, other])
    rows = {
        small.key: found(fps=150, robust=700),
        pruned.key: found(fps=150, robust=700),
        OURS.key: found(fps=100, robust=700),
        other.key: found(fps=200, robust=700),
    }
    lines = verdicts.sentences(table, rows)
    assert any(line.startswith(f"- small: **{BETTER}**. At equal accuracy; at equal speed: other") for line in lines)
    worse = f"- net-pruned: **{WORSE}**. At equal accuracy; none is as fast, the fastest: net"
    assert any(line.startswith(worse) for line in lines)
    assert lines[-2:] == [f"- **{BETTER}**: small.", f"- **{WORSE}**: net-pruned."]


def test_nothing_is_said_of_what_was_not_measured_or_is_not_of_the_same_images():
    dense = row("net")
    table = Table("0", "", ["natural", "robust", "fps"], [dense, OURS])
    rows = {dense.key: found(fps=100, robust=700), OURS.key: found(fps=200, robust=700)}
    assert verdicts.sentences(table, {dense.key: rows[dense.key]}) == []
    [line] = verdicts.sentences(table, rows | {OURS.key: rows[OURS.key] | {"speed": []}})
    assert "Speed is not measured yet" in line
    [line] = verdicts.sentences(table, rows | {OURS.key: found(fps=200, robust=350, natural=450, count=500)})
    assert "not compared" in line
