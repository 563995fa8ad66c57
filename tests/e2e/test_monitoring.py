"""What Prometheus and Grafana are given asks for what the agent really exposes, and the compose profile brings them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from gdws_agent.api.app import create_app
from gdws_agent.board.live import LiveBoard
from support.agents import PATIENCE_S, FakeWorker, agent
from support.bundles import tiny_bundle
from support.loading import ROOT
from support.sysfs import put, put_ina3221

FOLDER = ROOT / "docker" / "monitoring"
DASHBOARD = json.loads((FOLDER / "grafana" / "dashboards" / "gdws-agents.json").read_text())
SOURCE = yaml.safe_load((FOLDER / "grafana" / "provisioning" / "datasources" / "prometheus.yml").read_text())
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
#: What Prometheus itself knows of each target.
OF_PROMETHEUS = {"up": {"job", "instance"}}
#: Functions and words of PromQL that the dashboard uses.
WORDS = {"sum", "count", "by", "rate", "increase", "histogram_quantile", "label_values"}


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The samples of an agent on a board that measured a bundle: name -> labels."""
    room = tmp_path_factory.mktemp("agent")
    put(room / "class/thermal/thermal_zone0/type", "CPU-therm")
    put(room / "class/thermal/thermal_zone0/temp", 41500)
    put_ina3221(room, "1-0040", {"VDD_IN": (5000, 2000)})
    bundle = room / "tiny.gdws"
    tiny_bundle(bundle)
    with agent(room / "data", FakeWorker(room / "worker")) as service, TestClient(
        create_app(service, board=LiveBoard(room))
    ) as client:
        client.post("/benchmark", files={"bundle": bundle.read_bytes()}, params={"wait": PATIENCE_S})
        text = client.get("/metrics").text
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            # Prometheus adds these two to each.
            found.setdefault(sample.name, {"job", "instance"}).update(sample.labels)
    return {**found, **OF_PROMETHEUS}


def queries() -> Iterator[tuple[str, str, str]]:
    """The title of each panel, an expression of it, and the legend."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]
    for variable in DASHBOARD["templating"]["list"]:
        yield variable["name"], variable["query"]["query"], ""


def identifiers(expression: str) -> set[str]:
    """The names in an expression that stand for metrics: not in braces, brackets or after ``by``."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|by \([^)]*\)", " ", expression)
    bare = re.sub(r"label_values\((\w+), *\w+\)", r"\1", bare)
    return {name for name in re.findall(r"[a-z_]\w*", bare) if name not in WORDS}


@pytest.mark.parametrize(("title", "expression", "legend"), list(queries()))
def test_every_query_asks_for_what_the_agent_exposes(
    exposed: dict[str, set[str]], title: str, expression: str, legend: str
) -> None:
    metrics = identifiers(expression)
    assert metrics, title
    assert metrics <= exposed.keys()
    labels = set.intersection(*(exposed[name] for name in metrics))
    selected = {name for braces in re.findall(r"\{([^}]*)\}", expression) for name in re.findall(r"(\w+)=", braces)}
    grouped = {name.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for name in group.split(",")}
    assert selected | grouped <= labels
    # What is aggregated has only the labels that it was grouped by.
    left = grouped if "sum" in expression or "count" in expression else labels
    assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= left


def test_every_metric_of_the_agent_that_tells_of_jobs_or_the_board_is_drawn(exposed: dict[str, set[str]]) -> None:
    drawn = {name.removesuffix("_bucket") for _, expression, _ in queries() for name in identifiers(expression)}
    told = {"gdws_agent_queue_length", "gdws_agent_running_jobs", "gdws_agent_power_watts"}
    told |= {"gdws_agent_temperature_celsius", "gdws_agent_jobs_total", "gdws_agent_cells_total"}
    assert told <= exposed.keys()
    assert told <= drawn


def test_panels_have_the_data_source_that_is_provisioned_and_do_not_overlap() -> None:
    [source] = SOURCE["datasources"]
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert panel["datasource"]["uid"] == source["uid"]
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def mounts(service: str) -> dict[str, Path]:
    return {
        mount["target"]: ROOT / mount["source"]
        for mount in COMPOSE["services"][service]["volumes"]
        if isinstance(mount, dict) and not mount["source"].startswith("$")
    }


def test_the_profile_mounts_files_that_are_there_where_they_are_looked_for() -> None:
    assert all(path.exists() for service in ("prometheus", "grafana") for path in mounts(service).values())
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    [job] = config["scrape_configs"]
    assert job["job_name"] == "gdws"
    [found] = job["file_sd_configs"][0]["files"]
    assert str(Path(found).parent) in mounts("prometheus")
    token = job["authorization"]["credentials_file"]
    assert token in {mount["target"] for mount in COMPOSE["services"]["prometheus"]["volumes"] if "target" in mount}
    provider = yaml.safe_load((FOLDER / "grafana/provisioning/dashboards/gdws.yml").read_text())["providers"][0]
    assert provider["options"]["path"] in mounts("grafana")
    [source] = SOURCE["datasources"]
    assert source["url"] == "http://prometheus:9090"


def test_prometheus_finds_the_agent_of_whichever_profile_by_one_name() -> None:
    [group] = yaml.safe_load((FOLDER / "targets" / "agents.yml").read_text())
    [target] = group["targets"]
    name, port = target.split(":")
    agents = [each for each in COMPOSE["services"] if each.startswith("agent")]
    assert len(agents) == 3
    for each in agents:
        service: dict[str, Any] = COMPOSE["services"][each]
        assert name in service["networks"]["default"]["aliases"]
        assert service["ports"][0].endswith(f":{port}")


def test_only_the_monitoring_profile_brings_them() -> None:
    for name in ("prometheus", "grafana"):
        assert COMPOSE["services"][name]["profiles"] == ["monitoring"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
def test_prometheus_takes_the_configuration(tmp_path: Path) -> None:
    config = (FOLDER / "prometheus.yml").read_text()
    token = tmp_path / "gdws-read-token"
    token.write_text("secret")
    (tmp_path / "prometheus.yml").write_text(config.replace("/etc/prometheus/gdws-read-token", str(token)))
    checked = subprocess.run(
        ["promtool", "check", "config", str(tmp_path / "prometheus.yml")], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
