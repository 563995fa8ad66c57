"""The rows of the paper's tables name what exists, and the judge's columns are those of the tables."""

import pytest
import torch
from torch import nn

from benchmarks.paper import judge, markdown, networks, rows
from gdws._util.progress import SILENT
from gdws.datasets import Split
from gdws.evaluation.attacks import AttackSpec
from gdws.networks import checkpoints
from gdws.networks import zoo as nets

NUMBERS = ("1", "2", "3", "4", "5", "6")


@pytest.mark.parametrize("number", NUMBERS)
def test_rows_name_what_exists(number):
    table = rows.read_table(number)
    assert len({row.key for row in table.rows}) == len(table.rows)
    for row in table.rows:
        network = row.network
        assert set(row.paper) == set(table.columns), row.model
        assert {network.net, network.stand_in or network.net} <= set(nets.names())
        assert network.options.get("family", "plain") in checkpoints.FAMILIES
        assert network.data in ("cifar10", "imagenet")
        assert network.where
        assert (row.beta is None) == (row.stand_in_mean_rank is None)


def test_a_table_without_any_network_says_where_to_get_them():
    table = rows.read_table("4")
    absent = [network.key for network in table.networks()]
    results = {"on": "nothing yet", "attack": "none", "machine": {}, "rows": {}, "absent": absent, "stand_ins": False}
    text = markdown.render(table, results)
    assert text.count("| not present |") == 16
    assert text.count("github.com/inspire-group/hydra") == 8
    assert "[57.23]" in text
    assert "| no stand-in |" in markdown.render(table, results | {"stand_ins": True})


def test_shares_are_of_the_images():
    """A linear network of known margins: what an attack of a given radius can change is known too."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(1, 6, bias=False))
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([[1.0], [0.9], [0.8], [0.7], [0.6], [-1.0]]))
    images = Split(torch.full((4, 1, 1, 1), 0.5), torch.tensor([0, 1, 4, 5]))
    attacks = {
        "linf": AttackSpec(eps=0.1, step=0.1, iterations=2),
        "l2": AttackSpec(norm="l2", eps=0.2, step=0.1, iterations=2),
    }
    found = judge.accuracies(network, images, attacks, top5=True, progress=SILENT)
    assert {name: share["successes"] for name, share in found.items()} == {
        **dict.fromkeys(("natural", "linf", "l2", "union"), 1),
        **{f"{name}_top5": 3 for name in ("natural", "linf", "l2", "union")},
    }


@pytest.mark.parametrize(("what", "share"), [("weights", 0.75), ("channels", 0.5)])
def test_stand_ins_are_pruned_by_size(what, share):
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 8, 3))
    pruned = networks.pruned(network, rows.Pruned(what, share))
    assert torch.equal(pruned[0].weight, network[0].weight)  # the first is left alone
    assert int((pruned[1].weight == 0).sum()) == share * network[1].weight.numel()
    kept = pruned[1].weight != 0
    assert torch.equal(pruned[1].weight[kept], network[1].weight[kept])
    assert set(pruned.state_dict()) == set(network.state_dict())
