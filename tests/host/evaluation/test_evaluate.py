from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from gdws.errors import DataError, GdwsError, ModelError, ResultError
from gdws.evaluation.attacks import AttackSpec, UnionSpec
from gdws.evaluation.evaluate import evaluate
from gdws.planning.conversion import convert
from gdws_contract.manifest import HostEvaluation
from support.networks import SmallResNet, seeded


class Brightness(nn.Module):
    """Class 1 above mean brightness one half, else class 0; notes the size of each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.dropout = nn.Dropout(0.9)
        self.sizes: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(x))
        over = self.dropout(x).mean(dim=(1, 2, 3)) - 0.5
        return torch.stack([-over, over], dim=1) * self.scale


def grey(*levels: float) -> torch.Tensor:
    return torch.tensor(levels).reshape(-1, 1, 1, 1).expand(-1, 1, 4, 4).clone()


IMAGES = grey(0.1, 0.45, 0.55, 0.9, 0.95)
LABELS = torch.tensor([0, 0, 1, 1, 0])  # the last is misclassified
ATTACK = AttackSpec(eps=0.1, step=0.05, iterations=10)


def test_natural_and_robust_accuracy_are_counted():
    result = evaluate(Brightness(), IMAGES, LABELS, ATTACK)
    assert (result.natural.successes, result.natural.count) == (4, 5)
    assert result.robust is not None
    assert (result.robust.successes, result.robust.count) == (
        2,
        5,
    )  # 0.45 and 0.55 can be moved over one half
    assert result.natural.interval is not None
    assert result.natural.interval.low == pytest.approx(0.3755, abs=1e-4)


def test_without_an_attack_nothing_is_said_of_robustness():
    result = evaluate(Brightness(), IMAGES, LABELS)
    assert (result.robust, result.attack) == (None, None)


def test_budget_zero_is_natural_accuracy():
    result = evaluate(Brightness(), IMAGES, LABELS, AttackSpec(eps=0))
    assert result.robust == result.natural


def test_misclassified_images_are_not_attacked():
    model = Brightness()
    evaluate(model, IMAGES, LABELS, AttackSpec(eps=0.1, step=0.05, iterations=3), check=False)
    assert model.sizes == [5, 4, 4, 4, 4]


def test_a_batch_that_is_all_wrong_is_not_attacked():
    model = Brightness()
    result = evaluate(model, IMAGES, 1 - LABELS, ATTACK, batch_size=4, check=False)
    assert result.robust is not None
    assert (result.natural.successes, result.robust.successes) == (1, 1)
    assert model.sizes == [4, 1, *[1] * 11]


def test_the_result_does_not_depend_on_the_batch_size_and_follows_the_seed():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    images, labels = torch.rand(40, 1, 4, 4), torch.randint(3, (40,))

    def robust(batch_size: int, seed: int) -> int:
        spec = AttackSpec(eps=0.6, step=1e-4, iterations=1, seed=seed)
        found = evaluate(model, images, labels, spec, batch_size=batch_size, check=False).robust
        assert found is not None
        return found.successes

    assert robust(40, 0) == robust(7, 0) == robust(1, 0)
    assert len({robust(40, seed) for seed in range(5)}) > 1


@pytest.mark.parametrize("training", [True, False])
def test_the_network_runs_in_evaluation_mode_and_is_left_as_it_was(training):
    model = Brightness().train(training)
    assert evaluate(model, IMAGES, LABELS).natural.successes == 4  # dropout would spoil this
    assert (model.training, model.dropout.training) == (training, training)
    assert model.scale.grad is None


def test_the_mode_is_put_back_after_an_error():
    model = Brightness().train()
    with pytest.raises(DataError):
        evaluate(model, IMAGES, LABELS + 5)
    assert model.dropout.training


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_an_error(value):
    model = Brightness()
    model.scale.data.fill_(value)
    with pytest.raises(ModelError, match="NaN or infinity"):
        evaluate(model, IMAGES, LABELS, ATTACK)


def test_an_output_that_is_no_logits_is_an_error():
    with pytest.raises(ModelError, match=r"\(5, 1, 4, 4\)"):
        evaluate(nn.Identity(), IMAGES, LABELS)


@pytest.mark.parametrize("labels", [LABELS + 1, LABELS - 1])
def test_labels_beyond_the_classes_are_an_error(labels):
    with pytest.raises(DataError, match="2 classes"):
        evaluate(Brightness(), IMAGES, labels)


def test_images_out_of_range_are_an_error():
    with pytest.raises(DataError, match=r"scale|from"):
        evaluate(Brightness(), IMAGES * 255, LABELS)


def test_batch_size_zero_is_an_error():
    with pytest.raises(GdwsError, match="invalid batch size 0"):
        evaluate(Brightness(), IMAGES, LABELS, batch_size=0)


def test_progress_counts_each_image_once():
    class Notes:
        total = 0
        done = 0
        figures: dict[str, float | str] | None = None

        def start(self, total: int, description: str) -> None:
            self.total = total

        def advance(self, n: int = 1, **figures: float | str) -> None:
            self.done += n
            self.figures = figures

    notes = Notes()
    evaluate(Brightness(), IMAGES, LABELS, ATTACK, batch_size=2, check=False, progress=notes)
    assert (notes.total, notes.done) == (5, 5)
    assert notes.figures == {"natural": "80.00%", "robust": "40.00%"}


@pytest.mark.parametrize("attack", [ATTACK, None])
def test_its_fields_are_those_of_the_contract(attack):
    result = evaluate(Brightness(), IMAGES, LABELS, attack)
    stored = json.loads(json.dumps(result.to_dict()))
    metrics = {f"{kind}_accuracy": stored[kind] for kind in ("natural", "robust") if stored[kind] is not None}
    known = HostEvaluation(data="grey", origin="labelled", metrics=metrics, attack=stored["attack"])
    assert (known.natural, known.robust) == (result.natural, result.robust)
    assert stored["torch_version"] == torch.__version__
    assert stored["duration_s"] > 0


class Interrupting(Brightness):
    """Ends the program at a given call."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.left = calls

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().forward(x)


def interrupted(state: Path, attack: AttackSpec | None = ATTACK) -> None:
    """Judge two batches of two images, and end within the third."""
    model = Interrupting(24 if attack else 2)
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, IMAGES, LABELS, attack, batch_size=2, check=False, state=state)


def marks(state: Path) -> str:
    return json.loads(state.read_text())["marks"]


def test_it_goes_on_where_it_was_interrupted(tmp_path):
    state = tmp_path / "result.json.state"
    interrupted(state)
    assert marks(state) == "rffr-"
    model = Interrupting(1000)
    result = evaluate(model, IMAGES, LABELS, ATTACK, batch_size=3, check=False, state=state)
    assert model.sizes == [1]  # the last image alone, which is misclassified
    whole = evaluate(Brightness(), IMAGES, LABELS, ATTACK, check=False)
    assert (result.natural, result.robust) == (whole.natural, whole.robust)
    assert marks(state) == "rffrw"
    again = Interrupting(0)
    assert evaluate(again, IMAGES, LABELS, ATTACK, check=False, state=state).robust == whole.robust


@pytest.mark.parametrize("calls", [0, 1, 30, 60, 90, 120, 200, 400])
def test_a_second_opinion_goes_on_where_it_was_interrupted(tmp_path, calls):
    state = tmp_path / "state"
    whole = evaluate(Interrupting(10_000), IMAGES, LABELS, ATTACK)
    with contextlib.suppress(KeyboardInterrupt):
        evaluate(Interrupting(calls), IMAGES, LABELS, ATTACK, batch_size=1, state=state)
    result = evaluate(Interrupting(10_000), IMAGES, LABELS, ATTACK, batch_size=3, state=state)
    assert (result.natural, result.robust, result.attack_check) == (whole.natural, whole.robust, whole.attack_check)
    assert evaluate(Interrupting(0), IMAGES, LABELS, ATTACK, state=state).attack_check == whole.attack_check


def test_without_an_attack_it_goes_on_too(tmp_path):
    interrupted(tmp_path / "state", None)
    result = evaluate(Interrupting(1), IMAGES, LABELS, None, state=tmp_path / "state")
    assert (result.natural.successes, result.robust) == (4, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attack": AttackSpec(eps=0.1, step=0.05, iterations=10, seed=1)}, "different attack"),
        ({"attack": None}, "different attack"),
        ({"images": IMAGES * 0.5}, "different images"),
        ({"labels": 1 - LABELS}, "different images"),
        ({"images": IMAGES[:3], "labels": LABELS[:3]}, "different images, count"),
        ({"model": Brightness().double()}, "different weights"),
        ({"attack_on": "dense-equivalent"}, "different place of the attack"),
        ({"check": False}, "different second opinion"),
    ],
    ids=str,
)
def test_a_state_of_another_evaluation_is_refused(tmp_path, change, message):
    state = tmp_path / "state"
    evaluate(Brightness(), IMAGES, LABELS, ATTACK, state=state)
    before = state.read_bytes()
    wanted = {"model": Brightness(), "images": IMAGES, "labels": LABELS, "attack": ATTACK, **change}
    with pytest.raises(ResultError, match=message) as caught:
        evaluate(**wanted, state=state)
    assert "delete" in caught.value.hint
    assert state.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format": "gdws.evaluation-state", "version": 9}'])
def test_a_damaged_state_is_refused(tmp_path, content):
    state = tmp_path / "state"
    state.write_bytes(content)
    with pytest.raises(ResultError, match="not the state of an evaluation"):
        evaluate(Brightness(), IMAGES, LABELS, state=state)


def test_marks_that_do_not_fit_are_refused(tmp_path):
    state = tmp_path / "state"
    evaluate(Brightness(), IMAGES, LABELS, state=state)
    before = state.read_text()
    for letters in ('"rrrrw"', '"-----"'):
        state.write_text(before.replace(letters, '"rrx"'))
        with pytest.raises(ResultError, match="damaged"):
            evaluate(Brightness(), IMAGES, LABELS, state=state)


def problem() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    model = convert(seeded(SmallResNet), mean_rank=3)[0]
    images = torch.rand(24, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.head.bias -= model(images).mean(dim=0)  # so that all classes occur
    return model, images, model(images).argmax(dim=1)


def test_an_attack_on_the_dense_equivalent_finds_the_same():
    model, images, labels = problem()
    spec = AttackSpec(eps=0.006, step=0.0015, iterations=5)
    direct = evaluate(model, images, labels, spec)
    through = evaluate(model, images, labels, spec, attack_on="dense-equivalent")
    assert 0 < direct.robust.successes < 24
    assert abs(through.robust.successes - direct.robust.successes) <= 1  # rounding may turn a sign
    assert (direct.attack_on, through.attack_on) == ("itself", "dense-equivalent")
    assert through.to_dict()["attack_on"] == "dense-equivalent"


def test_a_dense_equivalent_that_is_none_is_refused(monkeypatch):
    model, images, labels = problem()
    other = convert(seeded(SmallResNet), mean_rank=1)[0]
    monkeypatch.setattr("gdws.evaluation.judging.to_dense", lambda module: other)
    with pytest.raises(ModelError, match="differ by"):
        evaluate(model, images, labels, ATTACK, attack_on="dense-equivalent")
    assert evaluate(model, images, labels, None, attack_on="dense-equivalent").natural.successes == 24


def test_an_unknown_place_of_the_attack_is_refused():
    with pytest.raises(GdwsError, match="'elsewhere'"):
        evaluate(Brightness(), IMAGES, LABELS, ATTACK, attack_on="elsewhere")


def test_a_union_has_the_fields_of_the_contract():
    union = UnionSpec((ATTACK, AttackSpec(norm="l2", eps=0.3, step=0.1, iterations=5)))
    stored = json.loads(json.dumps(evaluate(Brightness(), IMAGES, LABELS, union).to_dict()))
    metrics = {f"{kind}_accuracy": stored[kind] for kind in ("natural", "robust") if stored[kind] is not None}
    known = HostEvaluation(data="grey", origin="labelled", metrics=metrics, attack=stored["attack"])
    assert [part.norm for part in known.attack.parts] == ["linf", "l2"]
    assert known.robust.successes <= 2


WORKER = """
import json, sys, torch
sys.path.insert(0, sys.argv[1])
from torch import nn
from gdws.evaluation.attacks import AttackSpec
from gdws.evaluation.evaluate import evaluate
from gdws._util.distributed import launched
from pathlib import Path
torch.manual_seed(0)
model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
images, labels = torch.rand(21, 1, 4, 4), torch.randint(3, (21,))
sizes = []
model.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
spec = AttackSpec(eps=0.3, step=0.1, iterations=2)
with launched() as workers:
    found = evaluate(model, images, labels, spec, batch_size=4, state=Path(sys.argv[2]), workers=workers)
    calls = workers.gather(len(sizes))
    if workers.leads:
        print(json.dumps({"natural": found.natural.successes, "robust": found.robust.successes,
                          "total": found.natural.count, "calls": calls,
                          "check": found.attack_check.model_dump()}))
"""


def test_processes_of_torchrun_share_the_images(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def run(command: list[str], state: str) -> dict[str, object]:
        command = [*command, str(script), str(tmp_path), str(tmp_path / state)]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=200)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout.splitlines()[-1])

    alone = run([sys.executable], "one")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    shared = run(torchrun, "two")
    assert {**shared, "calls": None} == {**alone, "calls": None}
    assert sum(shared["calls"]) == sum(alone["calls"])
    assert min(shared["calls"]) > 0
    assert marks(tmp_path / "two") == marks(tmp_path / "one")
