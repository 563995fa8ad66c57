"""Feeds damaged and malicious bundles to their reader: no crash, no hang, bounded memory.

    python tests/e2e/fuzz_bundles.py [--inputs 1000000] [--seed 0] [--keep FOLDER]

Each input is a good bundle that was changed in one to several places: bytes of the archive, fields of its headers
with the checksums put right again, the text or the values of its manifest, members cut, doubled, swapped or
compressed to bombs, networks whose tensors name other files, damaged or not. The reader may refuse it with a
``BundleError`` or take it; anything else is a finding, and so is a network that is taken although ``onnx`` reads in
it that data lie elsewhere or an operator is not its own. The input is then kept in the folder. The same seed makes the
same inputs. Exit status: 0 nothing found, 1 something was.
"""

from __future__ import annotations

import argparse
import collections
import copy
import hashlib
import io
import json
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import onnx
from google.protobuf.message import DecodeError

from gdws_contract.archive import open_bundle
from gdws_contract.errors import BundleError
from support.archives import Part, raw_zip, tiny_files
from support.hostile_onnx import everywhere, is_external, make_external, tensors

#: Processor time of one input; a tiny bundle takes a millisecond.
TIME_LIMIT_S = 5.0
#: What the reader may take on top of what the fuzzer has at its start.
MEMORY_LIMIT_BYTES = 256 * 2**20

_EVERYWHERE = everywhere().SerializeToString()
_MARKS = (b"PK\x05\x06", b"PK\x06\x07", b"PK\x01\x02")
_INTERESTING = (b"", b"\0", b"\xff\xff", b"\xff\xff\xff\xff", b"../", *_MARKS)
_NAMES = ("../x", "/x", "C:x", "a/../b", "a//b", "x\0y", "manifest.json", "m" * 101, "ok/name.bin")
_NUMBERS = (True, -1, 0, 2**31, 2**63, 2**70, 1e308)
_TEXTS = ("", "../../etc/passwd", "/", "a" * 300, "\u202e")
_VALUES: tuple[Any, ...] = (None, *_NUMBERS, *_TEXTS, [], {}, [[]], {"": 0})


class Hang(BaseException):
    """One input took too long. Not an Exception, so that no reader can take it for one of its own."""


class ReachesOut(Exception):
    """A reader took a network that is more than one."""


class Fuzzer:
    """Makes inputs from one good bundle; the n-th depends on seed and n alone."""

    def __init__(self, files: Mapping[str, bytes], seed: int) -> None:
        self._files = dict(files)
        self._whole = raw_zip([Part(name.encode(), content) for name, content in files.items()])
        self._packed = raw_zip([Part(name.encode(), content, method=8) for name, content in files.items()])
        self._seed = seed
        self._ways: tuple[tuple[str, Callable[[random.Random], bytes]], ...] = (
            ("bytes", self._bytes),
            ("headers", self._headers),
            ("manifest text", self._manifest_text),
            ("manifest values", self._manifest_values),
            ("members", self._members),
            ("networks", self._networks),
        )

    def input(self, number: int) -> tuple[str, bytes]:
        """Return the way in which an input was made, and the input."""
        rng = random.Random(f"{self._seed}:{number}")
        name, make = rng.choice(self._ways)
        return name, make(rng)

    def _bytes(self, rng: random.Random) -> bytes:
        content = bytearray(rng.choice((self._whole, self._packed)))
        for _ in range(rng.choice((1, 1, 2, 4, 16))):
            if not content:
                break
            at = _near_an_end(rng, len(content))
            kind = rng.randrange(5)
            if kind == 0:
                content[at] ^= 1 << rng.randrange(8)
            elif kind == 1:
                content[at] = rng.randrange(256)
            elif kind == 2:
                del content[at : at + rng.choice((1, 4, 64, len(content)))]
            elif kind == 3:
                content[at:at] = rng.choice(_INTERESTING)
            else:
                content[at : at + 4] = rng.choice(_INTERESTING)
        return bytes(content)

    def _headers(self, rng: random.Random) -> bytes:
        parts = [Part(name.encode(), content, method=rng.choice((0, 8))) for name, content in self._files.items()]
        for _ in range(rng.choice((1, 1, 2, 3))):
            at = rng.randrange(len(parts))
            parts[at] = replace(parts[at], **_lie(rng, parts[at]))
        return raw_zip(parts, **_end_record_lie(rng))

    def _manifest_text(self, rng: random.Random) -> bytes:
        text = bytearray(self._files["manifest.json"])
        for _ in range(rng.choice((1, 2, 8))):
            at = rng.randrange(len(text) + 1)
            noise = rng.choice((b"[" * rng.choice((1, 50, 5_000)), b'"', b"}", b"\xff", b"NaN", b"9" * 400, b"1e999"))
            text[at : at + rng.choice((0, 0, 1, 30))] = noise
        return self._with_manifest(bytes(text), rng)

    def _manifest_values(self, rng: random.Random) -> bytes:
        document = json.loads(self._files["manifest.json"])
        for _ in range(rng.choice((1, 1, 2, 5))):
            _change(rng, document)
        return self._with_manifest(json.dumps(document).encode(), rng)

    def _members(self, rng: random.Random) -> bytes:
        """Change members and state their new sizes and hashes, so that what reads them comes to do so."""
        document = json.loads(self._files["manifest.json"])
        files = dict(self._files)
        name = rng.choice([each for each in files if each != "manifest.json"])
        content = rng.choice(
            (b"", bytes(rng.choice((1, 10_000, 3_000_000))), rng.randbytes(rng.randrange(2_000)), files[name][:-1])
        )
        if rng.random() < 0.3:
            del files[name]
            name = rng.choice(
                ("../x", "/x", "C:x", "a/../b", "a//b", "x\0y", "manifest.json", "m" * 101, "ok/name.bin")
            )
        files[name] = content
        if rng.random() < 0.8:
            digest = hashlib.sha256(content).hexdigest()
            document["members"][name] = {"size": len(content), "sha256": digest}
        files["manifest.json"] = json.dumps(document).encode()
        parts = [Part(each.encode(), body, method=rng.choice((0, 8))) for each, body in files.items()]
        if rng.random() < 0.2:
            parts.append(rng.choice(parts))
        rng.shuffle(parts)
        return raw_zip(parts)

    def _networks(self, rng: random.Random) -> bytes:
        """Put a model with tensors in all places in the stead of a network, some of them in other files."""
        document = json.loads(self._files["manifest.json"])
        files = dict(self._files)
        name = rng.choice(document["variants"])["onnx"]
        files[name] = _hostile_network(rng)
        document["members"][name] = {"size": len(files[name]), "sha256": hashlib.sha256(files[name]).hexdigest()}
        return self._with_manifest_of(files, json.dumps(document).encode(), rng)

    def _with_manifest(self, text: bytes, rng: random.Random) -> bytes:
        return self._with_manifest_of(self._files, text, rng)

    @staticmethod
    def _with_manifest_of(files: Mapping[str, bytes], text: bytes, rng: random.Random) -> bytes:
        files = {**files, "manifest.json": text}
        method = rng.choice((0, 8))
        return raw_zip([Part(name.encode(), content, method=method) for name, content in files.items()])


#: Bytes that mean something in a tensor: data elsewhere, a tag that is padded, a group, an unknown field.
_WIRE = (
    b"\x70\x01",
    b"\x70\x81\x80\x80\x80\x10",
    b"\xf0\x80\x00\x01",
    b"\x73\x74",
    b"\x6a\x00",
    b"\xb0\x3f\x01",
    b"\0",
)


def _hostile_network(rng: random.Random) -> bytes:
    model = onnx.ModelProto.FromString(_EVERYWHERE)
    places = list(tensors(model))
    for place in rng.sample(places, rng.choice((0, 0, 1, 1, 3))):
        make_external(place, rng.choice(("/etc/passwd", "../x", "x.bin", "")))
    if rng.random() < 0.1:
        model.graph.node[0].domain = rng.choice(("com.microsoft", "ai.onnx", "x"))
    content = bytearray(model.SerializeToString())
    for _ in range(rng.choice((0, 0, 1, 1, 2, 8))):
        at = rng.randrange(len(content))
        content[at : at + rng.choice((0, 0, 1, 2))] = rng.choice((*_WIRE, rng.randbytes(1)))
    return bytes(content)


def reaches_out(content: bytes) -> bool:
    """Whether ``onnx`` reads an ONNX file as one that is more than a network."""
    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError:
        return False
    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    return any(map(is_external, tensors(model))) or any(node.domain not in ("", "ai.onnx") for node in nodes)


def _near_an_end(rng: random.Random, size: int) -> int:
    """Return a place in ``size`` bytes; half of them in the directory and the end record, where sizes are told."""
    return max(0, size - 1 - rng.randrange(1_500)) if rng.random() < 0.5 else rng.randrange(size)


def _lie(rng: random.Random, part: Part) -> dict[str, Any]:
    number = rng.choice((0, 1, 2**16 - 1, 2**31, 2**32 - 1, len(part.content) + 1, max(0, len(part.content) - 1)))
    return rng.choice(
        (
            {"size": number},
            {"compressed_size": number},
            {"size": number, "compressed_size": number},
            {"offset": number},
            {"crc32": number},
            {"flags": 1 << rng.randrange(16)},
            {"method": rng.randrange(100)},
            {"attributes": rng.getrandbits(32)},
            {"disk": rng.randrange(4)},
            {"data": rng.randbytes(rng.randrange(100))},
            {"extra": rng.randbytes(rng.randrange(300))},
            {"local_extra": rng.randbytes(rng.randrange(300))},
            {"local_name": rng.randbytes(rng.randrange(30))},
            {"local_signature": rng.randbytes(4)},
            {"name": rng.randbytes(rng.randrange(120))},
            {"content": bytes(2_000_000), "method": 8},
        )
    )


def _end_record_lie(rng: random.Random) -> dict[str, Any]:
    if rng.random() < 0.6:
        return {}
    return rng.choice(
        (
            {"count": rng.randrange(2**16)},
            {"directory_size": rng.choice((0, 46, 2**20, 2**32 - 1))},
            {"directory_offset": rng.choice((0, 1, 2**31, 2**32 - 1))},
            {"comment": rng.randbytes(rng.randrange(60))},
            {"before_end": rng.randbytes(rng.randrange(60))},
            {"disk": rng.randrange(2**16)},
        )
    )


def _change(rng: random.Random, document: Any) -> None:
    """Change one value at a random depth of ``document`` in place."""
    place = document
    while True:
        keys: list[Any] = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = rng.choice(keys)
        inner = place[key]
        if not isinstance(inner, (dict, list)) or not inner or rng.random() < 0.2:
            break
        place = inner
    kind = rng.randrange(4)
    if kind == 0 and isinstance(place, dict):
        del place[key]
    elif kind == 1 and isinstance(place, list):
        place.append(copy.deepcopy(place[key]))
    elif kind == 2 and isinstance(place, dict):
        place[str(rng.choice(_VALUES))] = copy.deepcopy(place[key])
    else:
        place[key] = copy.deepcopy(rng.choice(_VALUES))


def read(content: bytes) -> str:
    """Do with ``content`` all that an agent does with a bundle; return how it was judged.

    Raises:
        ReachesOut: a network was taken that should not have been.
    """
    try:
        with open_bundle(io.BytesIO(content)) as bundle:
            bundle.verify()
            networks = [bundle.read(name) for name in bundle.manifest.networks()]
    except BundleError as error:
        return type(error).__name__
    if any(map(reaches_out, networks)):
        raise ReachesOut("a network was taken that names other files, or has operators of others")
    return "taken"


def run(inputs: int, seed: int, keep: Path, tell: Callable[[str], None]) -> int:
    """Read ``inputs`` inputs, report to ``tell``, and return how many were findings."""
    with tempfile.TemporaryDirectory() as folder:
        fuzzer = Fuzzer(tiny_files(Path(folder, "tiny.gdws")), seed)
    judged: collections.Counter[str] = collections.Counter()
    ways: collections.Counter[str] = collections.Counter()
    findings, slowest_s = 0, 0.0
    base_mb, began_s = _peak_mb(), time.process_time()
    for number in range(inputs):
        way, content = fuzzer.input(number)
        ways[way] += 1
        start_s = time.process_time()
        signal.setitimer(signal.ITIMER_VIRTUAL, TIME_LIMIT_S)
        try:
            judged[read(content)] += 1
        except (Exception, Hang) as error:
            findings += 1
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{seed}-{number}.gdws").write_bytes(content)
            tell(f"FOUND input {number} ({way}): {type(error).__name__}: {str(error)[:300]}")
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        slowest_s = max(slowest_s, time.process_time() - start_s)
        if (number + 1) % 100_000 == 0:
            tell(f"{number + 1} inputs, {findings} findings, {time.process_time() - began_s:.0f} s of processor time")
    tell(f"{inputs} inputs of seed {seed}: {findings} findings, {time.process_time() - began_s:.0f} s processor time")
    tell(
        f"slowest {1_000 * slowest_s:.0f} ms; peak memory {_peak_mb():.0f} MB, {base_mb:.0f} MB before the first input"
    )
    tell("made by: " + ", ".join(f"{name} {count}" for name, count in ways.most_common()))
    tell("judged: " + ", ".join(f"{name} {count}" for name, count in judged.most_common()))
    return findings


def _limit_memory() -> None:
    """Let the reader take so much more and no more: beyond it, a MemoryError is a finding."""
    used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (used + MEMORY_LIMIT_BYTES, hard))


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024


def _on_hang(number: int, frame: object) -> None:
    raise Hang(f"not read within {TIME_LIMIT_S:g} s of processor time")


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), metavar="FOLDER")
    options = parser.parse_args()
    _limit_memory()
    signal.signal(signal.SIGVTALRM, _on_hang)
    findings = run(options.inputs, options.seed, options.keep, lambda line: print(line, flush=True))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
