"""The rows of the paper's tables name what exists, and the judge's columns are those of the tables."""

import json

import pytest
import torch
from torch import nn

from benchmarks.paper import __main__ as tables
from benchmarks.paper import judge, markdown, networks, rows, store
from benchmarks.paper.kinds import KINDS
from gdws._util.progress import SILENT
from gdws.datasets import Split
from gdws.evaluation.attacks import AttackSpec
from gdws.networks import checkpoints
from gdws.networks import zoo as nets
from gdws.training.pruning import Pruning, prune

NUMBERS = ("1", "2", "3", "4", "5", "6")


@pytest.mark.parametrize("number", NUMBERS)
def test_rows_name_what_exists(number):
    table = rows.read_table(number)
    assert len({row.key for row in table.rows}) == len(table.rows)
    for row in table.rows:
        network = row.network
        assert set(row.paper) == set(table.columns), row.model
        assert network.net in nets.names()
        assert set(network.stand_ins) <= set(KINDS)
        assert network.pruned_from in {None, *(other.key for other in table.networks())}
        assert network.options.get("family", "plain") in checkpoints.FAMILIES
        assert network.data in ("cifar10", "imagenet")
        assert network.where
        assert (row.beta is None) == (row.stand_in_mean_rank is None)


def test_a_table_without_any_network_says_where_to_get_them():
    table = rows.read_table("4")
    absent = [network.key for network in table.networks()]
    results = {
        "on": "nothing yet",
        "attack": "none",
        "machine": None,
        "rows": {},
        "absent": absent,
        "stand_ins": None,
        "note": [],
    }
    text = markdown.render(table, results)
    assert text.count("| not present |") == 16
    assert text.count("github.com/inspire-group/hydra") == 8
    assert "[57.23]" in text
    assert "| no stand-in |" in markdown.render(table, results | {"stand_ins": "noise"})


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
    assert judge.natural_outcome(network, images, batch_size=3).tolist() == [True, False, False, False]
    found = judge.outcomes(network, images, attacks, top5=True, progress=SILENT)
    assert {name: judge.share(each)["successes"] for name, each in found.items()} == {
        **dict.fromkeys(("natural", "linf", "l2", "union"), 1),
        **{f"{name}_top5": 3 for name in ("natural", "linf", "l2", "union")},
    }


def test_outcomes_are_stored_as_text():
    right = torch.rand(21) < 0.5
    assert judge.unpacked(judge.packed(right), len(right)) == right.tolist()


def test_data_aware_rows_stand_beside_those_of_the_paper():
    table = rows.read_table("3")
    assert table.on_stand_ins("fashion", ()) == table
    found = table.on_stand_ins("fashion", KINDS["fashion"].data_aware)
    ours = [row for row in found.rows if row.data_aware is not None]
    assert [row.key for row in ours] == [
        "admm-resnet18/data-rank-2-stacked",
        "admm-resnet18/data-rank-2-stacked-distilled",
        "admm-resnet18/data-rank-1-stacked-distilled",
    ]
    place = found.rows.index(ours[0])
    assert found.rows[place - 1].network is ours[0].network
    assert found.rows[place - 1].beta is not None
    assert len({row.key for row in found.rows}) == len(table.rows) + len(ours)
    results = {"on": "", "attack": "", "machine": None, "rows": {}, "absent": [], "stand_ins": "noise", "note": []}
    text = markdown.render(found, results)
    assert "+ GDWS, data-aware | not measured | data-aware, data-rank-2-stacked-distilled |" in text


def test_pruned_networks_have_no_data_aware_rows():
    found = rows.read_table("4").on_stand_ins("fashion", (rows.DataAware(2),))
    assert [row.network.key for row in found.rows if row.data_aware is not None] == ["hydra-wrn"]


def test_a_network_judged_for_one_table_is_known_in_another_but_its_speed_is_not(tmp_path):
    of = {"weights": "abc", "plan": None}
    stored = {"of": of, "size": 1.0, "speed": [{"fps": 9}], "speed_of": {"networks": []}}
    (tmp_path / "table-4.json").write_text(json.dumps({"rows": {"another": stored}}))
    options = tables.parsed(["--out", str(tmp_path), "--checkpoints", str(tmp_path)])
    table = rows.read_table("3")
    run = tables.Run(table, options, None)
    assert run.judged_before(table.rows[0], of) == {"of": of, "size": 1.0}
    assert run.judged_before(table.rows[0], of | {"plan": "mean-rank-2"}) is None
    mine = {"of": of, "size": 2.0, "speed": []}
    run.rows[table.rows[0].key] = mine
    assert run.judged_before(table.rows[0], of) == mine


def test_one_kind_of_network_at_a_time():
    assert tables.parsed([]).kind is None
    assert tables.parsed(["--skip", "a/b", "--skip", "c"]).skip == ["a/b", "c"]
    with pytest.raises(SystemExit):
        tables.parsed(["--speed-only", "--skip", "a"])
    assert tables.parsed(["--fashion"]).kind is KINDS["fashion"]
    with pytest.raises(SystemExit):
        tables.parsed(["--fashion", "--mnist"])


def pruned(name):
    """A narrow network, half of whose filters are zero, with statistics of batch normalisation as of one in use."""
    torch.manual_seed(0)
    network = nets.build(name, width=4)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                    tensor.uniform_(0.1, 1.0)
    prune(network, Pruning("filters", 0.5))
    return network.eval()


@pytest.mark.parametrize(("name", "pairs"), [("mnist-preact-resnet", 6), ("mnist-vgg16", 12)])
def test_constant_channels_are_folded_into_one(name, pairs):
    network, images = pruned(name), torch.rand(4, 1, 28, 28)
    expected = network(images)
    store.fold_constants(network)
    assert torch.allclose(network(images), expected, rtol=1e-4, atol=1e-5)
    left = []
    for convolution, _, following in store.read_by_one(network):
        dead = (convolution.weight.flatten(1) == 0).all(1)
        read = (following.weight != 0).flatten(2).any(2).any(0)
        left.append(int((dead & read).sum()))
    assert len(left) == pairs
    assert max(left) == 1


@pytest.mark.parametrize("name", ["mnist-preact-resnet", "mnist-vgg16"])
def test_weights_are_stored_compressed_with_what_is_known_of_them(name, tmp_path):
    network, images = pruned(name), torch.rand(4, 1, 28, 28)
    trained = tmp_path / "trained.safetensors"
    known = {"net": name, "net_options": '{"width": 4}', "command": "gdws train"}
    checkpoints.save(trained, network.state_dict(), known)
    stored = store.store(trained, tmp_path)
    trained.unlink()
    assert networks.weights_path("trained", tmp_path) == stored
    found = networks.load(stored)
    assert found.name == name
    expected = network(images)
    assert (found.module(images) - expected).abs().max() < 0.02 * expected.abs().max()


def test_without_weights_there_is_no_stand_in(tmp_path):
    assert networks.weights_path("no-such-network", tmp_path) is None
    assert networks.weights_path("mnist-preact-resnet", tmp_path) == nets.pretrained_path("mnist-preact-resnet")


def test_gradients_in_bfloat16_fool_what_those_in_float32_do():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).eval()
    pixels = torch.rand(24, 1, 8, 8)
    images = Split(pixels, network(pixels).argmax(1))
    attacks = {"robust": AttackSpec(eps=0.02, step=0.01, iterations=5)}
    fast, slow = (judge.outcomes(network, images, attacks, fast=fast, progress=SILENT) for fast in (True, False))
    assert int(fast["natural"].sum()) == int(slow["natural"].sum()) == 24
    assert abs(int(fast["robust"].sum()) - int(slow["robust"].sum())) <= 2
    assert 0 < int(slow["robust"].sum()) < 24
