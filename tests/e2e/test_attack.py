"""Attacks for real: the command line, an agent in its own process, its worker, and ONNX Runtime."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnxruntime")
import torch
from torch import Tensor, nn
from torch.nn import functional

from gdws import datasets, pipeline
from gdws.bundles.packing import VerificationSet, pack
from gdws.bundles.variant import Variant
from gdws.evaluation.attacks import AttackSpec
from gdws.results.stored import load_result
from gdws_agent.measuring.attacking import Labelled, attack_engine
from gdws_contract.attacks import AttackOptions, AttackRequest, AttackResult
from gdws_contract.findings.accuracy import accuracy_change
from gdws_contract.findings.intervals import proportion
from gdws_contract.rest import Cell
from support.agent_process import running_agent
from support.bundles import tiny_bundle
from support.command import gdws
from support.masked import Masked, problem

PATIENCE_S = 300.0
pytestmark = pytest.mark.timeout(PATIENCE_S)


def attacked(bundle: Path, out: Path, *options: object) -> dict[tuple[str, int], Cell]:
    """The cells that ``gdws attack`` brings, by variant and batch size."""
    shown = gdws("attack", bundle, "--threads", 1, "--out", out, "-q", *options)
    assert shown.exit_code == 0, shown.output
    return {(cell.key.variant, cell.key.batch_size): cell for cell in load_result(out).job.cells}


def found_in(cell: Cell) -> AttackResult:
    assert cell.attack is not None, cell.error
    return cell.attack


def packed(path: Path, module: nn.Module, images: Tensor, labels: Tensor, attack: AttackSpec | None = None) -> Path:
    verification = VerificationSet(images, labels, "some images", attack)
    pack(path, name="net", variants=[Variant("dense", module)], verification=verification)
    return path


def test_a_result_does_not_depend_on_the_batch_and_is_in_the_report(tmp_path: Path) -> None:
    bundle, out = tiny_bundle(tmp_path / "tiny.gdws", net="linear"), tmp_path / "attack.json"
    cells = attacked(bundle, out, "--batch", "1,8", "--queries", 60, "--eps", 0.07)
    assert len(cells) == 4
    for variant in ("dense", "gdws"):
        alone, shared = (found_in(cells[variant, size]) for size in (1, 8))
        assert alone == shared
        assert 0 < alone.robust.successes < alone.natural.successes
        assert [image.position for image in alone.images] == list(range(16))
        assert alone.attack.eps == 0.07
    report = gdws("report", out, "--out", tmp_path / "report.md")
    assert report.exit_code == 0, report.output
    assert "## Attacked on the device" in (tmp_path / "report.md").read_text()


def test_what_cannot_be_attacked_is_refused_with_the_reason(tmp_path: Path) -> None:
    outputs = tiny_bundle(tmp_path / "outputs.gdws", two_outputs=True)
    shown = gdws("attack", outputs, "--out", tmp_path / "x.json", "-q")
    assert shown.exit_code != 0
    assert "its task is outputs, and Square Attack is for classifiers" in shown.stderr

    plain = tiny_bundle(tmp_path / "plain.gdws", adversarial=False)
    shown = gdws("attack", plain, "--out", tmp_path / "x.json", "-q", "--norm", "l2")
    assert shown.exit_code != 0
    assert "the radius eps is not known" in shown.stderr


def test_a_job_that_is_killed_resumes_at_the_images_that_were_not_done(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "tiny.gdws", variants=["dense"], count=24)
    options = AttackOptions(queries=3_000)
    with running_agent(tmp_path / "data") as agent:
        stored = agent.client.post("/models", content=bundle.read_bytes()).raise_for_status().json()
        request = AttackRequest(model_id=stored["id"], options=options, threads=1).model_dump(mode="json")
        job = agent.client.post("/attack", json=request).raise_for_status().json()["id"]
        before = until(lambda: progress_of(agent, job), lambda told: told is not None and told["images"] >= 4)
        agent.process.kill()
        agent.process.wait()
    with running_agent(tmp_path / "data") as agent:
        after = until(lambda: progress_of(agent, job), lambda told: told is not None)
        assert after["images"] >= before["images"]
        ended = until(lambda: agent.get(f"/jobs/{job}"), lambda told: told["state"] not in ("queued", "running"))
        assert ended["state"] == "done", ended
        again = agent.client.post("/attack", json=request, params={"wait": 120}).raise_for_status().json()
    (interrupted,), (whole,) = ended["cells"], again["cells"]
    assert interrupted["attack"] == whole["attack"]


def progress_of(agent: Any, job: str) -> Any:
    return agent.get(f"/jobs/{job}")["progress"]["attack"]


def until(look: Any, is_there: Any) -> Any:
    """What ``look`` gives once ``is_there`` says so."""
    ends_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends_s:
        found = look()
        if is_there(found):
            return found
        time.sleep(0.05)
    raise AssertionError(json.dumps(found))


def test_gradients_that_are_hidden_hide_nothing_from_it(tmp_path: Path) -> None:
    """PGD on the host fools next to nothing, and the report says so of the engine that queries fool."""
    clear, images, labels = problem(48)
    hidden = Masked(clear, lambda network, x: network(x.detach())).eval()
    bundle = packed(tmp_path / "hidden.gdws", hidden, images, labels, AttackSpec(eps=0.05, step=0.01, iterations=10))
    out = tmp_path / "attack.json"
    (cell,) = attacked(bundle, out, "--queries", 150, "--batch", 8).values()
    found = found_in(cell)
    assert found.host is not None
    assert found.robust.successes < found.host.successes - 10
    shown = gdws("report", out, "--out", tmp_path / "report.md")
    assert shown.exit_code == 0
    assert "is less robust than its record on the host shows" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_it_fools_as_many_as_torchattacks_does(tmp_path: Path, norm: str) -> None:
    """On the shipped network: the two success rates differ by no more than chance, by a 95 % interval."""
    torchattacks = pytest.importorskip("torchattacks")
    count, queries, eps = 32, 100, {"linf": 0.28, "l2": 3.5}[norm]
    split = datasets.load("mnist-sample").test
    source = pipeline.load("mnist-preact-resnet")
    images, labels = split.images[:count], split.labels[:count]
    bundle = packed(tmp_path / "net.gdws", source.module, images, labels)
    options = ["--norm", norm, "--eps", eps, "--queries", queries, "--batch", 4]
    (cell,) = attacked(bundle, tmp_path / "attack.json", *options).values()
    ours = found_in(cell).robust

    kind = {"linf": "Linf", "l2": "L2"}[norm]
    with torch.random.fork_rng():
        other = torchattacks.Square(source.module, norm=kind, eps=eps, n_queries=queries, p_init=0.8, seed=0)
        adversarial = other(images, labels)
    theirs = int((answers(source.module, adversarial) == labels).sum())
    assert 4 <= theirs <= count - 4, "a rate near 0 or 1 would compare nothing"
    change = accuracy_change(proportion(theirs, count), ours)
    assert change.low <= 0 <= change.high, (theirs, ours.successes)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_on_a_small_network_as_many_of_many_images(norm: str) -> None:
    """More images than the shipped network allows in a test: the searches alone, on the same torch module."""
    torchattacks = pytest.importorskip("torchattacks")
    clear, count, eps = problem()[0], 200, {"linf": 0.03, "l2": 0.4}[norm]
    model = Masked(clear, lambda network, x: network(functional.interpolate(x, size=(12, 12)))).eval()
    images = torch.rand(count, 1, 15, 15, generator=torch.Generator().manual_seed(2))  # torchattacks' tiles must fit
    labels = answers(model, images)

    class Engine:
        def bind(self, inputs: Any) -> Any:
            return lambda: [logits(model, torch.from_numpy(inputs)).numpy()]

    data = Labelled(images.numpy(), labels.numpy())
    options = AttackOptions(norm=norm, eps=eps, queries=100, images=count)
    found = attack_engine(Engine(), data, options, 50, [], lambda images: None, lambda progress: None)
    with torch.random.fork_rng():
        kind = {"linf": "Linf", "l2": "L2"}[norm]
        other = torchattacks.Square(model, norm=kind, eps=eps, n_queries=100, p_init=0.8, seed=0)
        theirs = int((answers(model, other(images, labels)) == labels).sum())
    assert 50 <= theirs <= 150
    change = accuracy_change(proportion(theirs, count), proportion(sum(image.is_right for image in found), count))
    assert change.low <= 0 <= change.high, (theirs, change)


def logits(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(images)
        return found


def answers(model: nn.Module, images: Tensor) -> Tensor:
    return logits(model, images).argmax(dim=1)
