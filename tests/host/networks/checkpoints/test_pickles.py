from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gdws.networks.checkpoints.pickles import foreign_globals


class Calls:
    def __reduce__(self):
        return os.getcwd, ()


@pytest.mark.parametrize("protocol", range(6))
def test_calls_are_found_in_every_protocol(tmp_path, protocol):
    path = tmp_path / "x"
    path.write_bytes(pickle.dumps([1, "a text", Calls()], protocol=protocol))
    assert foreign_globals(path) in (["posix.getcwd"], ["nt.getcwd"])


@pytest.mark.parametrize("zipped", [True, False])
def test_state_dicts_call_nothing_foreign(tmp_path, zipped):
    path = tmp_path / "x"
    state = torch.nn.Conv2d(1, 2, 3).state_dict()
    torch.save({"state_dict": state, "half": torch.zeros(2).half()}, path, _use_new_zipfile_serialization=zipped)
    assert foreign_globals(path) == []


def test_a_zip_without_a_pickle(tmp_path):
    path = tmp_path / "x"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "text")
    assert foreign_globals(path) == []


@given(content=st.binary(max_size=60), zipped=st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_give_an_answer(tmp_path: Path, content, zipped):
    path = tmp_path / "x"
    if zipped:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("a/data.pkl", b"\x80\x02" + content)
        content = buffer.getvalue()[len(content) // 2 :]
    path.write_bytes(content)
    assert isinstance(foreign_globals(path), list)
