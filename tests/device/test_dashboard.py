"""The files of the dashboard over HTTP, and in an installed agent."""

import importlib.util
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from gdws_agent import dashboard
from gdws_agent.api.access import Access
from gdws_agent.api.app import create_app
from gdws_agent.dashboard.files import MEDIA_TYPES, PAGE, load_files
from gdws_contract.problems import CONTENT_TYPE
from support.agents import agent

FOLDER = Path(dashboard.__file__).with_name("static")
FILES = load_files()
DEVICE = Path(__file__).resolve().parents[2] / "device"


@pytest.fixture
def client(tmp_path):
    """A client without a token of an agent that asks for one."""
    with agent(tmp_path / "data") as service, TestClient(create_app(service, Access("f" * 32, "r" * 32))) as client:
        yield client


def test_every_file_of_the_folder_is_served():
    assert {path.name for path in FOLDER.iterdir()} == set(FILES)
    assert PAGE in FILES


@pytest.mark.parametrize("name", FILES)
def test_each_needs_no_token_and_is_asked_about_before_it_is_used_again(client, name):
    path = "/" if name == PAGE else f"/dashboard/{name}"
    first = client.get(path)
    assert (first.status_code, first.content) == (200, FILES[name].content)
    assert first.headers["content-type"] == MEDIA_TYPES[Path(name).suffix]
    assert first.headers["cache-control"] == "no-cache"
    assert first.headers["x-content-type-options"] == "nosniff"

    again = client.get(path, headers={"if-none-match": f'"other", {first.headers["etag"]}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    changed = client.get(path, headers={"if-none-match": '"other"'})
    assert changed.status_code == 200


@pytest.mark.parametrize(
    "path", ["nope.js", "files.py", "", "..%2Ffiles.py", "%2e%2e/files.py", "static/main.js", "main.js%00", "a" * 9999]
)
def test_no_other_path_leads_to_a_file(client, path):
    response = client.get(f"/dashboard/{path}", headers={"authorization": "Bearer " + "f" * 32})
    assert response.status_code == 404
    assert response.headers["content-type"] == CONTENT_TYPE


def test_a_page_changes_nothing_without_a_token(client):
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert (
            client.request(method, "/").status_code == client.request(method, "/dashboard/main.js").status_code == 401
        )


def test_nothing_is_loaded_from_elsewhere_or_written_into_the_page():
    page = FILES[PAGE].content.decode()
    assert not re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)
    loaded = re.findall(r"(?:src|href)=\"([^\"#]+)\"", page)
    assert {"dashboard/main.js", "dashboard/base.css"} <= set(loaded)
    assert {path for path in loaded if path != "docs"} <= {f"dashboard/{name}" for name in FILES}
    for name, file in FILES.items():
        text = file.content.decode()
        addresses = set(re.findall(r"https?://[^\s\"'`)]+", text)) - {"http://www.w3.org/2000/svg"}
        assert not addresses, name
        assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            name
        )


def test_every_module_that_is_imported_is_there():
    for name, file in FILES.items():
        for path in re.findall(r"from \"\./([^\"]+)\"|import\(\"\./([^\"]+)\"\)", file.content.decode()):
            assert "".join(path) in FILES, name


@pytest.mark.skipif(importlib.util.find_spec("setuptools") is None, reason="setuptools is not installed")
def test_an_installed_agent_has_the_files(tmp_path):
    source = tmp_path / "device"
    for package in ("gdws_agent", "gdws_contract"):
        shutil.copytree(str(DEVICE / package), str(source / package), ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(str(DEVICE / "pyproject.toml"), str(source))
    build = "from setuptools import build_meta; build_meta.build_wheel('..')"
    subprocess.run([sys.executable, "-c", build], cwd=str(source), check=True, capture_output=True)

    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(str(wheel)) as archive:
        packed = {name: archive.read(name) for name in archive.namelist() if "/static/" in name}
    assert packed == {f"gdws_agent/dashboard/static/{name}": file.content for name, file in FILES.items()}
