"""``gdws evaluate``: attacks by name and protocol, and results that go on where they were interrupted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import Result

from support.command import gdws
from support.tiny import tiny_checkpoint


def run(*arguments: object) -> Result:
    return gdws("evaluate", *arguments, "-q")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("net"))


@pytest.mark.parametrize("name", ["pgd-l2", "pgd-l1", "apgd", "union"])
def test_attacks_by_name(checkpoint: Path, name: str) -> None:
    found = run(checkpoint, "--images", 4, "--attack", name, "--iterations", 1, "--json")
    assert found.exit_code == 0, found.output
    attack = json.loads(found.stdout)["attack"]
    assert name.startswith(attack["name"])
    assert attack["seed"] == 0
    if name == "union":
        assert [part["norm"] for part in attack["parts"]] == ["linf", "l2", "l1"]


def test_a_protocol_sets_what_is_not_given(checkpoint: Path) -> None:
    options = ["--images", 2, "--protocol", "cifar10", "--iterations", 1, "--seed", 4]
    found = run(checkpoint, *options)
    assert found.exit_code == 0, found.output
    assert "PGD-1 (l_inf, eps 0.0313725, step 0.00392157, random start), white-box, seed 4" in found.stdout


@pytest.mark.parametrize("name", ["pgd", "union", "autoattack"])
def test_a_radius_of_0_is_no_attack_and_there_is_no_robust_accuracy(checkpoint: Path, name: str) -> None:
    found = run(checkpoint, "--images", 4, "--attack", name, "--eps", 0)
    assert found.exit_code == 0, found.output
    assert "natural accuracy" in found.stdout
    assert "robust" not in found.stdout
    assert "radius of the attack is 0" in found.stderr


def test_a_result_is_stored_and_its_state_removed(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "result.json"
    found = run(checkpoint, "--images", 4, "--iterations", 1, "--out", out, "--json")
    assert found.exit_code == 0, found.output
    assert json.loads(out.read_text()) == json.loads(found.stdout)
    assert [path.name for path in out.parent.iterdir()] == ["result.json"]


def test_interrupted_work_is_kept_and_gone_on_with(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gdws.evaluation import evaluate

    judge, left = evaluate.judge, [1]

    def once(*arguments: object, **options: object) -> object:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return judge(*arguments, **options)

    out = tmp_path / "result.json"
    options = [checkpoint, "--images", 150, "--attack", "none", "--out", out]
    monkeypatch.setattr(evaluate, "judge", once)
    stopped = run(*options)
    assert stopped.exit_code == 130
    assert "repeat the command" in stopped.stderr
    assert json.loads((tmp_path / "result.json.state").read_text())["marks"].count("-") == 22
    monkeypatch.setattr(evaluate, "judge", judge)
    assert run(*options[:-2], "--out", out).exit_code == 0
    assert json.loads(out.read_text())["natural"]["count"] == 150


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--attack", "fgsm"], "no attack 'fgsm'"),
        (["--protocol", "cifar"], "no protocol 'cifar'"),
        (["--attack", "pgd-l1", "--protocol", "imagenet"], "no attack in l1"),
        (["--attack", "union", "--eps", 0.1], "own radius"),
        (["--attack", "apgd", "--step", 0.1], "adapts its step size"),
        (["--eps", -1], "eps is -1"),
    ],
    ids=str,
)
def test_what_cannot_be_is_exit_2_with_the_fix(checkpoint: Path, options: list[object], words: str) -> None:
    found = run(checkpoint, *options)
    assert found.exit_code == 2
    assert words in found.stderr
    assert "hint:" in found.stderr


def test_what_an_attack_did_not_find_is_printed(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gdws.evaluation.attacks.second_opinion._VANISHING", 1e9)  # as if no gradient were to be seen
    options = ["--images", 60, "--eps", 0.001, "--iterations", 1]
    found = run(checkpoint, *options)
    assert found.exit_code == 0, found.output
    assert "- The attack cannot be trusted here" in found.stdout
    checked = json.loads(run(checkpoint, *options, "--json").stdout)
    assert checked["attack_check"]["trusted"] is False
    assert checked["attack_check"]["blind"] > 0
