"""SWEEP.toml: which jobs it stands for, and what its errors name."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdws.errors import SettingsError
from gdws.fleet.sweep import Retries, Sweep, load_sweep
from support.bundles import tiny_bundle

WHOLE = """
bundles = ["a.gdws", "b.gdws"]
[retries]
tries = 3
[[measure]]
threads = [1, 4]
[measure.request]
batch_sizes = [1, 8]
[measure.request.protocol]
rounds = 20
[[measure]]
bundles = ["a.gdws"]
tags = ["orin"]
[measure.request]
backends = ["tensorrt"]
precisions = ["fp16"]
power_modes = ["MAXN", 2]
label = "nightly"
"""


def loaded(folder: Path, text: str) -> Sweep:
    """The sweep of ``text`` over two bundles."""
    for name in ("a", "b"):
        tiny_bundle(folder / f"{name}.gdws", name=name)
    (folder / "SWEEP.toml").write_text(text)
    return load_sweep(folder / "SWEEP.toml")


def test_a_job_for_each_bundle_section_and_number_of_threads(tmp_path: Path) -> None:
    sweep = loaded(tmp_path, WHOLE)

    assert [job.name for job in sweep.jobs] == ["a.threads-1", "a.threads-4", "b.threads-1", "b.threads-4", "a"]
    first, last = sweep.jobs[0].request, sweep.jobs[-1].request
    assert (first.protocol.threads, first.protocol.rounds, first.batch_sizes) == (1, 20, [1, 8])
    assert (last.backends, last.precisions, last.power_modes) == (["tensorrt"], ["fp16"], ["MAXN", 2])
    assert sweep.jobs[0].request.model_id == last.model_id != sweep.jobs[2].request.model_id
    assert sweep.jobs[0].bundle == str(tmp_path / "a.gdws")
    assert sweep.retries.tries == 3


def test_a_section_with_tags_is_for_devices_with_one_of_them(tmp_path: Path) -> None:
    *general, special = loaded(tmp_path, WHOLE).jobs
    assert all(job.is_for([]) for job in general)
    assert not special.is_for(["nano"])
    assert special.is_for(["nano", "orin"])


def test_bundles_alone_are_measured_as_gdws_bench_does(tmp_path: Path) -> None:
    [job] = loaded(tmp_path, 'bundles = ["a.gdws"]').jobs
    assert (job.name, job.request.batch_sizes, job.request.variants) == ("a", [1], None)


def test_equal_names_are_told_apart(tmp_path: Path) -> None:
    jobs = loaded(tmp_path, 'bundles = ["a.gdws"]\n[[measure]]\n[[measure]]\n').jobs
    assert [job.name for job in jobs] == ["a", "a.2"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no bundles"),
        ('bundles = ["a.gdws"]\nmeasures = 1', "measures"),
        ('bundles = ["a.gdws"]\n[[measure]]\n[measure.request]\nbatch = [1]', r"measure\[0\]\.request: batch"),
        ('bundles = ["a.gdws"]\n[[measure]]\nthreads = [0]', r"protocol\.threads"),
        ('bundles = ["a.gdws"]\n[[measure]]\nthreads = [1]\n[measure.request]\nprotocol = 3', "protocol"),
        ('bundles = ["a.gdws"]\n[[measure]]\nthreads = [1, 1]', "threads"),
        ('bundles = ["a.gdws"]\n[[measure]]\n[measure.request]\nprofile = {}', "a sweep measures times"),
        ("bundles = [", "is not TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        loaded(tmp_path, text)


def test_a_file_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.gdws").write_bytes(b"not a bundle")
    with pytest.raises(SettingsError, match=r"SWEEP\.toml: .*c\.gdws: not a bundle"):
        loaded(tmp_path, 'bundles = ["c.gdws"]')


def test_the_time_between_tries_doubles_up_to_the_longest() -> None:
    retries = Retries(first_s=5, longest_s=60, tries=8)
    assert [retries.delay_s(failures) for failures in range(1, 7)] == [5, 10, 20, 40, 60, 60]
    assert retries.delay_s(10_000) == 60
