"""One release of jetson-stats: what the page installs on the host is what the images install, unless told otherwise."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from support.pages import shell_lines

yaml = pytest.importorskip("yaml", reason="pyyaml is not installed here")

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "jetson.md"
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
VARIABLE = "JETSON_STATS_VERSION"


def of_the_host() -> str:
    (line,) = [line for line in shell_lines(PAGE) if "pip3 install" in line]
    found = re.search(r"jetson-stats==([\d.]+)", line)
    assert found, line
    return found[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_installs_another(page: Path) -> None:
    told = re.findall(r"pip3? install [^`\n]*?(jetson-stats\S*)", page.read_text())
    assert set(told) <= {f"jetson-stats=={of_the_host()}"}


def builds() -> dict[str, str]:
    """Return service -> its release, as compose hands it to the build."""
    arguments = {name: service.get("build", {}).get("args", {}) for name, service in COMPOSE["services"].items()}
    return {name: found[VARIABLE] for name, found in arguments.items() if VARIABLE in found}


@pytest.mark.parametrize("service", ["agent", "agent-simulated", "jetson-simulated"])
def test_every_image_has_the_release_of_the_host(service: str) -> None:
    assert builds()[service] == f"${{{VARIABLE}:-{of_the_host()}}}"


@pytest.mark.parametrize("path", ["agent.jetson.Dockerfile", "simulated-jetson/Dockerfile"])
def test_so_has_an_image_that_is_built_without_compose(path: str) -> None:
    assert f"\nARG {VARIABLE}={of_the_host()}\n" in (ROOT / "docker" / path).read_text()


def test_the_table_of_settings_tells_it() -> None:
    assert f"| `{VARIABLE}` | `{of_the_host()}` |" in PAGE.read_text()


def test_it_is_one_of_those_that_the_sensor_is_tested_with() -> None:
    tested = re.search(r"^JTOP_VERSIONS \?= (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert tested
    assert of_the_host() in tested[1].split()
