import json

import pytest

from gdws_agent.first_run.bundle import write_first_run_bundle
from gdws_agent.first_run.deadline import Deadline
from gdws_agent.first_run.report import CheckFailed, CheckSkipped
from gdws_agent.first_run.tools.trtexec import Trtexec, parse_version, read_timing
from support.fake_trtexec import install_trtexec
from support.first_run import TINY

SHAPE = "input:1x3x8x8"

#: As TensorRT 8.5 prints it, and as 8.2 did, which told no percentiles below 99.
SUMMARY_85 = """\
[12/28/2023-10:51:16] [I] Enqueue Time: min = 37.27 ms, max = 49.42 ms, mean = 40.52 ms, median = 40.3695 ms, \
percentile(90%) = 44.2222 ms, percentile(95%) = 45.3137 ms, percentile(99%) = 49.4214 ms
[12/28/2023-10:51:16] [I] H2D Latency: min = 0.69458 ms, max = 0.765869 ms, mean = 0.743482 ms, median = 0.743408 ms
[12/28/2023-10:51:16] [I] GPU Compute Time: min = 37.3 ms, max = 46.7 ms, mean = 40.6 ms, median = 40.3651 ms, \
percentile(90%) = 43.1836 ms, percentile(95%) = 45.2621 ms, percentile(99%) = 46.7526 ms
[12/28/2023-10:51:16] [I] Total GPU Compute Time: 3.08634 s
"""
SUMMARY_82 = """\
[I] Enqueue Time: min = 0.013 ms, max = 0.045 ms, mean = 0.014 ms, median = 0.0142822 ms, percentile(99%) = 0.02 ms
[I] GPU Compute Time: min = 8.1e-05 ms, max = 0.6 ms, mean = 0.4 ms, median = 9.5e-05 ms, percentile(99%) = 0.5 ms
"""


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v8502] # trtexec --help", (8, 5, 2)),
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v8601] # trtexec", (8, 6, 1)),
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v100300] [b26] # trtexec", (10, 3, 0)),
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v101602] [b10] # trtexec", (10, 16, 2)),
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v11.1.0.106] [b48] # trtexec", (11, 1, 0, 106)),
        ("error while loading shared libraries: libnvinfer.so.8", None),
    ],
)
def test_the_release_is_in_the_first_line(line, version):
    assert parse_version(line) == version


@pytest.mark.parametrize(
    ("text", "compute_ms", "enqueue_ms"), [(SUMMARY_85, 40.3651, 40.3695), (SUMMARY_82, 9.5e-05, 0.0142822)]
)
def test_the_summary_serves_where_no_times_were_exported(tmp_path, text, compute_ms, enqueue_ms):
    timing = read_timing(text, tmp_path / "none.json")
    assert timing is not None
    assert timing == (compute_ms, enqueue_ms, None)


@pytest.mark.parametrize("content", ["[ {", "{}", '[{"latencyMs": 1}]', "[]"])
def test_a_file_that_tells_no_times_is_as_good_as_none(tmp_path, content):
    (tmp_path / "times.json").write_text(content)
    timing = read_timing(SUMMARY_85, tmp_path / "times.json")
    assert timing is not None
    assert timing.compute_ms == 40.3651


def test_the_median_is_that_of_the_exported_times(tmp_path):
    (tmp_path / "times.json").write_text(json.dumps([{"computeMs": ms, "latencyMs": 9} for ms in (1.0, 8.0, 2.0)]))
    assert read_timing(SUMMARY_85, tmp_path / "times.json") == (2.0, 40.3695, 3)


def test_no_times_at_all_are_none(tmp_path):
    assert read_timing("&&&& PASSED TensorRT.trtexec", tmp_path / "none.json") is None


def trtexec(folder, **options):
    return Trtexec(install_trtexec(folder, **options), folder, Deadline(60))


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "dense.onnx"
    path.write_bytes(write_first_run_bundle(tmp_path / "b.gdws", TINY)["dense"])
    return path


@pytest.mark.parametrize("release", ["8.5.2", "8.6.1", "10.3.0"])
def test_an_engine_is_built_once_and_timed_with_each_verbosity(tmp_path, model, release):
    found = trtexec(
        tmp_path, release=release, compute_ms={("dense", "none"): 2.0, ("dense", "detailed"): 2.5}, spin_ms=0.25
    )
    assert found.version() == tuple(int(part) for part in release.split("."))
    engine = found.build(model, SHAPE)
    times = {
        (verbosity, spin): found.time(engine, SHAPE, verbosity=verbosity, spin=spin, duration_s=1).compute_ms
        for verbosity in ("none", "detailed")
        for spin in (False, True)
    }
    assert times == {("none", False): 2.0, ("none", True): 2.25, ("detailed", False): 2.5, ("detailed", True): 2.75}
    assert sum("--saveEngine" in command for command in found.commands) == 1


def test_a_program_that_exports_nothing_is_read_by_its_summary(tmp_path, model):
    found = trtexec(tmp_path, compute_ms={("dense", "none"): 3.0}, exports=False)
    timing = found.time(found.build(model, SHAPE), SHAPE, verbosity="none", spin=False, duration_s=1)
    assert (timing.compute_ms, timing.inferences) == (3.0, None)


def test_a_failure_brings_the_command_and_its_last_words(tmp_path, model):
    found = trtexec(tmp_path, fails="CUDA initialization failure with error: 35")
    with pytest.raises(CheckFailed, match="exit status 1") as caught:
        found.build(model, SHAPE)
    log = "\n".join(caught.value.outcome.log)
    assert "--onnx=" in log
    assert "CUDA initialization failure with error: 35" in log


def test_a_file_that_is_no_network_is_a_failure(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"no network")
    with pytest.raises(CheckFailed, match="exit status 1"):
        trtexec(tmp_path).build(tmp_path / "x.onnx", SHAPE)


def test_a_release_that_is_called_in_another_way_is_not_called(tmp_path):
    with pytest.raises(CheckSkipped, match="TensorRT 11"):
        trtexec(tmp_path, release="11.0.0").version()


def test_a_program_that_cannot_load_its_libraries_is_a_failure(tmp_path):
    program = tmp_path / "trtexec"
    program.write_text("#!/bin/sh\necho libnvinfer.so.8: cannot open shared object file >&2\nexit 127\n")
    program.chmod(0o755)
    with pytest.raises(CheckFailed, match="127") as caught:
        Trtexec(program, tmp_path, Deadline(60)).version()
    assert "libnvinfer" in caught.value.outcome.log[0]
