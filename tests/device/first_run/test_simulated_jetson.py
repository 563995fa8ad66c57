"""A first run beside jtop's real service on the simulated Jetson: power, power mode and clocks."""

import pytest

from gdws_agent.first_run.catalogue import select
from gdws_agent.first_run.command import run
from gdws_agent.first_run.report import Report
from gdws_agent.power import registry
from gdws_agent.probes import Probes
from support.agents import available
from support.fake_tegrastats import install_tegrastats
from support.first_run import real_bench
from support.simulated_jetson import one_release_is_enough, simulated_jetson

pytest.importorskip("jtop", reason="jetson-stats is not installed here: make test-jtop")
pytest.importorskip("onnxruntime")
pytestmark = [one_release_is_enough, pytest.mark.long, pytest.mark.timeout(300)]


def mode_and_clocks(jetson):
    """Return the mode's number, and whether the clocks are fixed, as the files of the board have it."""
    cpu = jetson.root / "devices/system/cpu/cpu0/cpufreq"
    fixed = (cpu / "scaling_min_freq").read_text() == (cpu / "scaling_max_freq").read_text()
    return int((jetson.root / "simulated/nvpmodel").read_text().split()[-1]), fixed


def test_power_agrees_with_tegrastats_and_the_board_is_as_it_was(tmp_path):
    with simulated_jetson(tmp_path, "constant:level_w=15") as jetson:
        found = mode_and_clocks(jetson)
        bench = real_bench(
            tmp_path,
            probes=Probes(lambda: [available("onnxruntime")], lambda: registry.probe_all(jetson.socket)),
            tegrastats=install_tegrastats(tmp_path, sysfs=jetson.root),
        )
        assert bench.settings.jtop_socket == jetson.socket
        code = run(bench, select(["rails", "clocks", "throttling"]), tmp_path / "out")
        assert mode_and_clocks(jetson) == found

    report = Report.model_validate_json((tmp_path / "out/first-run.json").read_text())
    results = {check.name: check for check in report.checks}
    assert code == 0, results
    assert report.simulated
    assert results["rails"].status == "ok", results["rails"]
    total = results["rails"].tables[0].rows[-1]
    assert total[:3] == ["total", pytest.approx(15.0, rel=0.02), pytest.approx(15.0, rel=0.02)]
    assert results["clocks"].status == "ok", results["clocks"]
    states = {row[0]: row[1:] for row in results["clocks"].tables[0].rows}
    assert states["found"] == states["given back"] == ["MAXN", "free"]
    assert states["set"] == states["later"]
    assert states["set"][1] == "fixed"
    assert states["set"][0] != "MAXN"
    assert not (tmp_path / "out/clocks.json").exists()
