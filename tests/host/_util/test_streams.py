"""Standard streams that end no command: encodings, readers that go away, pipes that are full, disks that are."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from gdws._util import streams

TEXT = "é – █ \u202e \ud800\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):  # where the test closed it
            os.close(end)


def written_to(descriptor: int, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make standard output a stream as Python opens it on ``descriptor``, then make that robust."""
    raw = io.TextIOWrapper(io.FileIO(descriptor, "w", closefd=False), encoding=encoding, write_through=True)
    monkeypatch.setattr(sys, "stdout", raw)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    streams.make_robust()


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("latin-1", b"\xe9 - # \\u202e \\ud800\n"),
        ("ascii", b"\\xe9 - # \\u202e \\ud800\n"),
        ("utf-8", "é – █ \u202e ".encode() + b"\\ud800\n"),
    ],
)
def test_what_an_encoding_lacks_is_written_so_that_it_can_be_read(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch, encoding: str, expected: bytes
) -> None:
    written_to(pipe[1], encoding, monkeypatch)
    print(TEXT, end="", flush=True)
    assert os.read(pipe[0], 1000) == expected
    assert streams.lost_output() is None


def test_a_reader_that_went_away_is_no_loss(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    written_to(pipe[1], "utf-8", monkeypatch)
    os.close(pipe[0])
    for _ in range(3):
        print("x" * 100_000, flush=True)
    assert streams.lost_output() is None


def test_writing_to_a_closed_stream_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    streams.make_robust()
    print(TEXT, flush=True)
    print(TEXT, file=sys.stderr, flush=True)
    assert streams.lost_output() is None
    sys.stdout.close()
    sys.stderr.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_told_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        written_to(full.fileno(), "utf-8", monkeypatch)
        for _ in range(3):
            print("x" * 100_000, flush=True)
        lost = streams.lost_output()
    assert lost is not None
    assert lost.errno == errno.ENOSPC


def test_a_full_pipe_is_waited_for(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    os.set_blocking(pipe[1], False)
    written_to(pipe[1], "utf-8", monkeypatch)
    found = bytearray()

    def read() -> None:
        while len(found) < 1_000_001:
            found.extend(os.read(pipe[0], 65_536))

    reader = threading.Thread(target=read)
    reader.start()
    print("x" * 1_000_000, flush=True)
    reader.join(60)
    assert bytes(found) == b"x" * 1_000_000 + b"\n"


def test_a_stream_that_is_no_file_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    own = io.StringIO()
    monkeypatch.setattr(sys, "stdout", own)
    monkeypatch.setattr(sys, "stderr", own)
    streams.make_robust()
    assert sys.stdout is own


def test_the_command_itself_survives_all_of_it_at_once(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    command = [sys.executable, "-m", "gdws", "--help"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ended = subprocess.run(command, stdout=pipe[1], stderr=subprocess.PIPE, env=environment, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    whole = subprocess.run(command, capture_output=True, env={**environment, "LC_ALL": "C"})
    assert whole.returncode == 0
    assert whole.stdout.isascii()


def test_what_c_prints_does_not_mix_with_results() -> None:
    code = (
        "import ctypes\n"
        "from gdws._util.streams import nothing_printed\n"
        "print('before', flush=True)\n"
        "with nothing_printed():\n"
        "    ctypes.CDLL(None).puts(b'HiGHS says')\n"
        "print('after')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "before\nafter\n"
    assert ended.stderr == ""
