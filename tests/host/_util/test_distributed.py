"""Work that several processes share."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from gdws._util.distributed import Workers, launched
from gdws.errors import DataError, GdwsError
from gdws.training import finetune
from support import shared_descent
from support.toy import DATA


def test_one_process_does_it_all():
    with launched() as workers:
        assert (workers.rank, workers.size, workers.leads) == (0, 1, True)
        rows = torch.arange(5)
        assert torch.equal(workers.share(rows), rows)
        assert workers.mean(0.3) == 0.3
        assert workers.agree("x") == "x"
        model = nn.BatchNorm2d(2)
        assert workers.parallel(model) is model
        assert workers.shared_statistics(model) is model


def test_each_row_is_done_by_one_process():
    rows = torch.arange(12)
    shares = [Workers(rank, 3).share(rows) for rank in range(3)]
    assert [len(share) for share in shares] == [4, 4, 4]
    assert sorted(torch.cat(shares).tolist()) == rows.tolist()
    assert [Workers(rank, 3).leads for rank in range(3)] == [True, False, False]


@pytest.mark.parametrize(("device", "words"), [("gpu", "not a device of torch"), ("cuda", "no GPU")])
def test_a_device_that_is_not_there_is_told(device, words, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(GdwsError, match=words), launched(device):
        pass


def test_batches_that_cannot_be_shared_equally_are_refused():
    settings = dataclasses.replace(shared_descent.SETTINGS, batch_size=9)
    with pytest.raises(DataError, match="batches of 9 images cannot be shared equally by 2"):
        finetune(shared_descent.network(), DATA, settings, workers=Workers(1, 2))


def test_two_processes_give_what_one_gives(tmp_path):
    """The same batches, attacks and steps; gradients differ by the rounding of another order of sums."""
    out = tmp_path / "two.pt"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    tests = str(Path(shared_descent.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": tests, "OMP_NUM_THREADS": "1"}
    subprocess.run([*torchrun, shared_descent.__file__, str(out)], env=environment, check=True, timeout=240)
    two = torch.load(out, weights_only=True)
    assert two["processes"] == 2
    one = shared_descent.run(Workers())
    assert one.improved
    assert [record["robust"] for record in two["history"]] == [record.robust for record in one.history]
    losses = [record["loss"] for record in two["history"]]
    assert losses == pytest.approx([record.loss for record in one.history], rel=1e-3)
    for key, tensor in one.network.state_dict().items():
        torch.testing.assert_close(two["weights"][key], tensor, rtol=1e-2, atol=1e-3)
