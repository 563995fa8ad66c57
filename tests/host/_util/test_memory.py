"""How much memory there is."""

import psutil
import torch

from gdws._util import memory


def test_that_of_this_machine():
    assert memory.total_bytes() == psutil.virtual_memory().total


def test_that_of_a_gpu_is_its_own(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: asked.append(device) or (1, 8 << 30))
    assert memory.total_bytes("cuda:1") == 8 << 30
    assert asked == [torch.device("cuda:1")]
