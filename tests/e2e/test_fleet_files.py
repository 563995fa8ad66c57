"""The unit, the playbook and the manifest by which boards get their agent, held to the agent's own settings."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gdws_agent.settings import Settings, variable_name
from support.loading import ROOT

FOLDER = ROOT / "device" / "deploy"
UNIT = FOLDER / "gdws-agent.service"
ROLE = FOLDER / "ansible" / "roles" / "gdws_agent"
MANIFEST = FOLDER / "k3s" / "gdws-agent.yaml"
VARIABLES = {variable_name(name) for name in Settings.model_fields} | {"GDWS_AGENT_TOKEN", "GDWS_AGENT_READ_TOKEN"}
#: systemd's own measure of what a service is exposed to, in tenths: 0 nothing, 100 everything.
MAX_EXPOSURE = 25


def unit() -> dict[str, list[str]]:
    """The settings of the section Service, each with its values."""
    parser = configparser.RawConfigParser(strict=False, dict_type=_Many, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(UNIT.read_text())
    return {name: value.split("\n") for name, value in parser["Service"].items()}


class _Many(dict):  # type: ignore[type-arg]
    """Keeps every value of a setting that is given several times."""

    def __setitem__(self, key: str, value: Any) -> None:
        if isinstance(value, list) and key in self and isinstance(self[key], list):
            self[key].extend(value)
        else:
            super().__setitem__(key, value)


def test_the_unit_sets_what_the_agent_knows() -> None:
    found = unit()
    names = {assignment.split("=", 1)[0] for assignment in found["Environment"]}
    assert {name for name in names if name.startswith("GDWS_")} <= VARIABLES
    data = dict(assignment.split("=", 1) for assignment in found["Environment"])["GDWS_AGENT_DATA_DIR"]
    assert data == f"/var/lib/{found['StateDirectory'][0]}"


def test_the_unit_gives_up_on_what_does_not_get_better() -> None:
    from gdws_agent.__main__ import build_parser

    codes = {int(code) for code in unit()["RestartPreventExitStatus"][0].split()}
    told = dict(re.findall(r"^  (\d)  (.+)$", build_parser().format_help(), flags=re.MULTILINE))
    assert "option or environment variable is wrong" in told["2"]
    assert "data folder cannot be used" in told["4"]
    assert codes == {2, 4}


def test_devices_stay_open_to_the_agent() -> None:
    found = unit()
    # ProtectClock allows a single device, and by that closes all others, the GPU among them.
    assert not found.keys() & {"PrivateDevices", "DevicePolicy", "DeviceAllow", "ProtectClock"}
    # CUDA and TensorRT compile kernels at run time.
    assert "MemoryDenyWriteExecute" not in found


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/gdws-agent/current/bin/gdws-agent", "/bin/true"))
    checked = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert copy.name not in checked.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_the_unit_is_hardened() -> None:
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={MAX_EXPOSURE}", str(UNIT)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unrecognized option" in checked.stderr:
        pytest.skip("this systemd does not judge unit files")
    assert checked.returncode == 0, checked.stdout[-200:]


def test_the_playbook_agrees_with_the_unit() -> None:
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    text = UNIT.read_text()
    assert f"ExecStart={defaults['gdws_root']}/current/bin/gdws-agent" in text
    assert f"EnvironmentFile=-{defaults['gdws_etc']}/agent.env" in text
    assert f"GDWS_AGENT_DATA_DIR={defaults['gdws_data']}" in text
    assert f"User={defaults['gdws_user']}" in text
    assert (ROOT / "device" / "constraints" / defaults["gdws_constraints"]).exists()


def test_every_variable_of_the_playbook_has_a_default() -> None:
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    tasks = (ROLE / "tasks" / "main.yml").read_text()
    used = set(re.findall(r"\bgdws_\w+", tasks + (ROLE / "templates" / "agent.env.j2").read_text()))
    registered = set(re.findall(r"register: (\w+)", tasks))
    assert used - registered <= defaults.keys()
    inventory = yaml.safe_load((FOLDER / "ansible" / "inventory.example.yml").read_text())["gdws_boards"]
    assert {name for name in inventory["vars"] if name.startswith("gdws_")} <= defaults.keys()
    assert set(inventory["vars"]["gdws_settings"]) <= VARIABLES


def test_the_settings_that_the_playbook_writes_are_the_agents() -> None:
    template = (ROLE / "templates" / "agent.env.j2").read_text()
    assert set(re.findall(r"^(GDWS_\w+)=", template, flags=re.MULTILINE)) <= VARIABLES


@pytest.mark.skipif(shutil.which("ansible-playbook") is None, reason="Ansible is not installed")
def test_ansible_takes_the_playbook() -> None:
    inventory, playbook = FOLDER / "ansible" / "inventory.example.yml", FOLDER / "ansible" / "agent.yml"
    command = ["ansible-playbook", "-i", str(inventory), "--syntax-check", str(playbook)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_the_manifest_brings_what_the_compose_file_brings() -> None:
    [namespace, daemons] = yaml.safe_load_all(MANIFEST.read_text())
    assert (namespace["kind"], daemons["kind"]) == ("Namespace", "DaemonSet")
    spec = daemons["spec"]["template"]["spec"]
    [container] = spec["containers"]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["agent"]
    assert set(container["securityContext"]["capabilities"]["add"]) == set(compose["cap_add"])
    targets = {mount["target"] for mount in compose["volumes"] if isinstance(mount, dict)}
    targets |= {mount.split(":")[1] for mount in compose["volumes"] if isinstance(mount, str)}
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == targets
    volumes = {volume["name"] for volume in spec["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    names = {variable["name"] for variable in container["env"]}
    assert names == set(compose["environment"]) - {"GDWS_AGENT_LOG_LEVEL"}
    assert daemons["spec"]["selector"]["matchLabels"] == daemons["spec"]["template"]["metadata"]["labels"]
