"""What must hold of each profile of docker-compose.yml: it builds, comes up, measures, and goes down."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import standin
from console import Failed, Skipped, Step, run
from engine import Engine
from first_run import first_run
from rest import Rest

from support.pages import agent_lines, script
from support.readme import LineFailed, curl_lines, run_curl_lines

#: Names of their own, so that no image of the machine's user is overwritten or removed.
NAME = "gdws-test"
SIMULATED_JETSON = f"{NAME}:simulated-jetson"
IMAGES = (f"{NAME}:cpu", f"{NAME}:simulated", f"{NAME}:jetson", SIMULATED_JETSON)

#: What a user asks who asks for nothing: the agent itself makes it long enough for readings of jtop.
DEFAULT_PROTOCOL: Mapping[str, float] = {}
#: Long enough to lose jtop's service, and to find it again.
LONG_PROTOCOL = {"min_duration_ms": 12_000, "rounds": 4, "warmup_ms": 50}
QUICK_PROTOCOL = {"min_duration_ms": 500, "min_iterations": 100, "rounds": 2, "warmup_ms": 50}

TOKEN = "a-token-for-tests-of-images"

#: The group of jtop's socket on the stand-in for a Jetson: a number that no image knows.
SOCKET_GROUP = "4242"


#: Of the service ``agent``, for the others: who enters such a container is root without rights over files.
AS_ON_A_JETSON = """
services:
  agent-cpu: &jetson
    user: "0:0"
    cap_add: [SETGID, SETUID]
  agent-simulated: *jetson
"""
PAGE = Path(__file__).resolve().parents[3] / "docs" / "jetson.md"


@dataclass(frozen=True)
class Project:
    """The compose project under test, on a free port of this machine."""

    engine: Engine
    root: Path
    work: Path
    overrides: tuple[str, ...] = ()

    def command(self, profile: str) -> list[str]:
        """Return the compose command on one profile, without what it is to do."""
        command = [*self.engine.compose, "--project-directory", str(self.root), "--file"]
        command += [str(self.root / "docker-compose.yml"), *self.overrides, "--project-name", NAME]
        # The profile of a Jetson is the default: it is what comes up when none is named.
        return command if profile == "jetson" else [*command, "--profile", profile]

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return what the compose command needs besides: the images under test, and ``variables``."""
        images = {"GDWS_IMAGE": NAME, "GDWS_CPU_BASE_IMAGE": standin.CPU_IMAGE}
        return {**images, **self.engine.environment, **variables}

    def compose(self, profile: str, *arguments: str, variables: Mapping[str, str]) -> str:
        """Run the compose command on one profile and return what it printed."""
        return run([*self.command(profile), *arguments], environment=self.environment(variables))

    def as_on_a_jetson(self) -> Project:
        """Return the project with the user and the capabilities of the Jetson's profile in every other."""
        path = self.work / "as-on-a-jetson.yml"
        path.write_text(AS_ON_A_JETSON)
        return replace(self, overrides=("--file", str(path)))

    @contextlib.contextmanager
    def up(self, profile: str, service: str, **variables: str) -> Iterator[Agent]:
        """Bring ``profile`` up, yield its agent, and take it down with its volumes."""
        port = _free_port()
        settings = {"GDWS_PORT": str(port), "GDWS_AGENT_TOKEN": TOKEN, **variables}
        try:
            with Step(f"up, profile {profile}"):
                self.compose(profile, "up", "--detach", "--no-build", variables=settings)
                agent = Agent(self, profile, service, settings, Rest(f"http://127.0.0.1:{port}", TOKEN))
                try:
                    agent.rest.wait_until_up()
                except Failed as error:
                    raise Failed(f"{error}\n{agent.log()}") from error
            yield agent
        finally:
            with Step(f"down, profile {profile}"):
                self.compose(profile, "down", "--volumes", "--timeout", "10", variables=settings)

    def remove_images(self) -> None:
        """Remove the images that the tests built."""
        for image in (*IMAGES, standin.JETSON_IMAGE, standin.CPU_IMAGE):
            with contextlib.suppress(Failed):
                self.engine("rmi", "--force", image)


@dataclass(frozen=True)
class Agent:
    """An agent that is up."""

    project: Project
    profile: str
    service: str
    settings: Mapping[str, str]
    rest: Rest

    def compose(self, *arguments: str) -> str:
        """Run the compose command on this agent's profile."""
        return self.project.compose(self.profile, *arguments, variables=self.settings)

    def log(self) -> str:
        """Return what the containers have printed."""
        return self.compose("logs", "--no-color")

    def expect_in_log(self, *lines: str) -> None:
        """Check that the start-up check printed each of ``lines``."""
        _expect_told(self.log(), *lines)

    def process_identity(self) -> dict[str, list[str]]:
        """Return the lines of /proc/PID/status of the agent itself, by their name."""
        script = (
            "import glob\n"
            "for path in sorted(glob.glob('/proc/[0-9]*/cmdline')):\n"
            "    words = open(path).read().split(chr(0))\n"
            "    if 'gdws_agent' in words and '-m' in words:\n"
            "        print(open(path[:-7] + 'status').read())\n"
            "        break\n"
        )
        output = self.compose("exec", "-T", self.service, "/opt/gdws/bin/python3", "-c", script)
        return {line.partition(":")[0]: line.partition(":")[2].split() for line in output.splitlines()}


def check_cpu(project: Project, bundle: Path) -> None:
    """The CPU agent serves, measures without power, and runs as an unprivileged user."""
    with Step("build, profile cpu"):
        project.compose("cpu", "build", "agent-cpu", variables={})
    with project.up("cpu", "agent-cpu") as agent:
        agent.expect_in_log("[ok] backend onnxruntime", "[note] board: not a Jetson")
        _expect_unprivileged(agent)
        with Step("the read-only token is made and printed, and nobody without a token is let in"):
            agent.expect_in_log("made access tokens", "read-only (GET)")
            _expect_closed(agent.rest.address)
        with Step("the lines of README's REST interface"):
            _try_readme(agent, bundle)
        with Step("measure a bundle"):
            device = agent.rest.get("/device")
            _expect(device["simulated"] is False, "the CPU agent calls itself simulated")
            for cell in _measured_cells(agent.rest.measure(bundle, QUICK_PROTOCOL)):
                _expect(cell["power"] is None or cell["power"]["mean_w"] is None, "power without a sensor")
                _expect(not cell["simulated"], "a measured cell is marked as simulated")
        with Step("the agent's own health check"):
            _wait_until_healthy(agent)
    check_page(project, "cpu", "agent-cpu")


def check_page(project: Project, profile: str, service: str) -> None:
    """The lines of docs/jetson.md work on ``service``, entered by the user that the Jetson's profile has."""
    strict = project.as_on_a_jetson()
    with strict.up(profile, service, GDWS_AGENT_TOKEN="") as agent, Step(f"the lines of docs/jetson.md, {profile}"):
        _expect_unprivileged(agent)
        text = script(
            agent_lines(PAGE),
            compose=shlex.join(map(str, strict.command(profile))),
            service=service,
            address=agent.rest.address,
        )
        told = run(["bash", "-c", text], environment=strict.environment(agent.settings))
        _expect_told(told, "made access tokens", "[ok] data folder", '"agent_version"')


def check_simulated(project: Project, bundle: Path) -> None:
    """The agent beside the simulated Jetson reports its power, and says that it was simulated."""
    with Step("build, profile simulated"):
        project.compose("simulated", "build", variables={})
    trace = {"GDWS_SIMULATED_TRACE": "constant:level_w=20"}
    with project.up("simulated", "agent-simulated", **trace) as agent:
        agent.expect_in_log("[ok] power sensor jtop")
        with Step("measure a bundle with power"):
            _expect(agent.rest.get("/device")["simulated"] is True, "GET /device does not say that it is simulated")
            for cell in _measured_cells(agent.rest.measure(bundle, DEFAULT_PROTOCOL)):
                _expect_power(cell, watts=20.0)
        with Step("a first run, as docs/first-run.md has it"):
            statuses = first_run(agent, "token", "clocks", "throttling", "layouts")
            _expect(statuses["token"] == statuses["clocks"] == statuses["layouts"] == "ok", f"a first run: {statuses}")
        with Step("the jtop service restarts while a bundle is measured"):
            job_id = agent.rest.begin(bundle, LONG_PROTOCOL)
            agent.rest.wait_until_measuring(job_id)
            agent.compose("restart", "jetson-simulated")
            for cell in _measured_cells(agent.rest.wait_until_ended(job_id)):
                _expect_power(cell, watts=20.0)
    check_page(project, "simulated", "agent-simulated")


def check_jetson(project: Project, bundle: Path) -> None:
    """The Jetson image builds on an L4T-like base without touching its packages, and comes up by default.

    The board is played by folders of this machine and by the simulated Jetson's jtop service.
    """
    standin.build_jetson_image(project.engine, project.work, standin.find_python38())
    base = {"GDWS_BASE_IMAGE": standin.JETSON_IMAGE}
    with Step("build, profile jetson"):
        built = project.compose("jetson", "build", "agent", variables=base)
        for name, version in {**standin.L4T_PACKAGES, "numpy": standin.L4T_NUMPY}.items():
            _expect(
                f"{name} {version}" in built, f"the build does not say that {name} {version} is untouched:\n{built}"
            )
    with Step("a build that would replace the base's numpy is refused"):
        _expect_refused(project)
    if not project.engine.has_runtime("nvidia"):
        raise Skipped("built; not started, because this Docker engine has no runtime called nvidia")
    project.compose("simulated", "build", "jetson-simulated", variables={})
    host = _play_host(project.work / "host")
    variables = {**base, **_host_variables(host)}
    with Step("the start-up check tells what is missing"):
        check_startup(project.engine, host)
    with _jtop_service(project.engine, host / "run"), project.up("jetson", "agent", **variables) as agent:
        agent.expect_in_log(
            "[ok] board: Linux for Tegra 35.4.1",
            "[warning] GPU: this container was not given the GPU",
            "[ok] TensorRT: 8.5.2.2",
            "[ok] power sensor jtop",
        )
        _expect_unprivileged(agent, group=SOCKET_GROUP)
        with Step("a first run has the agent's user, groups and token, under Python 3.8"):
            statuses = first_run(agent, "token", "clocks", "profile")
            _expect(set(statuses.values()) == {"ok"}, f"a first run: {statuses}")
        with Step("measure a bundle with power, under Python 3.8"):
            device = agent.rest.get("/device")
            _expect(device["python"].startswith("3.8."), f"the agent runs under Python {device['python']}")
            known = (device["board"], device["l4t"])
            _expect(known == ("Simulated Jetson AGX Xavier", "35.4.1"), f"GET /device tells of the board: {known}")
            for cell in _measured_cells(agent.rest.measure(bundle, DEFAULT_PROTOCOL)):
                _expect_power(cell, watts=12.0)
        with Step("the start-up check by hand, as docs/jetson.md has it"):
            lines = [line for line in agent_lines(PAGE) if "doctor" in line]
            command = shlex.join(map(str, project.command("jetson")))
            text = script(lines, compose=command, service="agent", address=agent.rest.address)
            _expect_told(run(["bash", "-c", text], environment=project.environment(agent.settings)), "[ok] board")


def check_startup(engine: Engine, host: Path) -> None:
    """The start-up check names what is missing, and its fix, one by one."""

    def told(*options: str) -> str:
        command = ["run", "--rm", "--entrypoint", "/opt/gdws/bin/python3", "--volume", f"{host}/run:/host/run:ro"]
        command += ["--volume", f"{host}/nv_tegra_release:/etc/nv_tegra_release:ro"]
        command += ["--env", "GDWS_AGENT_JTOP_SOCKET=/host/run/jtop.sock"]
        return engine(*command, *options, f"{NAME}:jetson", "-m", "gdws_agent.doctor")

    bare = told()
    _expect_told(bare, "this container was not given the GPU. Fix: start it with `runtime: nvidia`")
    _expect_told(bare, "/host/run/jtop.sock does not exist", "systemctl restart jtop.service")
    ubuntu = host / "os-release"
    ubuntu.write_text('ID=ubuntu\nVERSION_ID="22.04"\n')
    newer = told("--volume", f"{ubuntu}:/etc/os-release:ro")
    _expect_told(newer, "an image of Ubuntu 22.04 does not fit Linux for Tegra 35.4.1", "BASE_IMAGE tagged r35")
    with _jtop_service(engine, host / "run", "--claim-version", "9.1.4"):
        _expect_told(told(), f"is closed to this user, who is not in group {SOCKET_GROUP}", "group_add")
        other = told("--group-add", SOCKET_GROUP)
        _expect_told(other, "service is of jetson-stats 9.1.4", 'pip install "jetson-stats~=9.1.0"')


def _expect_told(output: str, *lines: str) -> None:
    for line in lines:
        _expect(line in output, f"the start-up check does not say {line!r}:\n{output}")


def _expect_closed(address: str) -> None:
    """Check that an agent answers without a token only that it lives."""
    stranger = Rest(address, "")
    _expect(stranger.get("/healthz") == {"status": "ok"}, "GET /healthz tells strangers more than that it lives")
    try:
        stranger.get("/device")
    except Failed as refusal:
        _expect("401" in str(refusal), f"refused for another reason: {refusal}")
        return
    raise Failed("GET /device answers without a token")


def _try_readme(agent: Agent, bundle: Path) -> None:
    """Run README's lines against ``agent``, which knows no bundle yet."""
    if shutil.which("curl") is None:
        raise Skipped("README's lines need curl, which is not installed")
    try:
        answers = run_curl_lines(agent.rest.address, bundle, agent.project.work / "readme", agent.rest.token)
    except LineFailed as error:
        raise Failed(str(error)) from error
    _expect(len(answers) == len(curl_lines()) >= 6, f"README has {len(answers)} lines in place of 6 or more")
    _expect(answers[4]["state"] == "done", f"README's benchmark ended as {answers[4]['state']}: {answers[4]}")


def _measured_cells(job: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the cells of a job, each of which must have been measured."""
    _expect(job["state"] == "done", f"the job ended as {job['state']}: {job.get('error')}")
    cells: list[dict[str, Any]] = job["cells"]
    _expect(len(cells) == 2, f"{len(cells)} cells in place of 2")
    for cell in cells:
        _expect(cell["state"] == "done", f"a cell ended as {cell['state']}: {cell.get('error')}")
        _expect(cell["parity"]["passed"] and cell["latency"]["count"] >= 100, f"not measured: {cell}")
    return cells


def _expect_power(cell: Mapping[str, Any], *, watts: float) -> None:
    power = cell["power"]
    _expect(cell["simulated"], "a cell measured on the simulated Jetson is not marked as simulated")
    _expect(power["sensor"] == "jtop" and power["mean_w"] is not None, f"no power: {power}")
    _expect(power["samples"] >= 10 and power["energy_per_inference_mj"] > 0, f"no energy: {power}")
    _expect(abs(power["mean_w"] - watts) <= 0.01 * watts, f"{power['mean_w']} W in place of {watts} W")


def _expect_unprivileged(agent: Agent, group: str | None = None) -> None:
    status = agent.process_identity()
    _expect(status["Uid"] == ["10001"] * 4, f"the agent runs as user {status['Uid']}")
    _expect(status["CapEff"] == ["0" * 16], f"the agent has capabilities: {status['CapEff']}")
    _expect(group is None or group in status["Groups"], f"the agent is in the groups {status['Groups']}")


def _expect_refused(project: Project) -> None:
    command = [project.engine.docker, "run", "--rm", "--volume", f"{project.root}/docker:/setup:ro"]
    command += [
        "--env",
        "PIP_INDEX_URL=",
        standin.JETSON_IMAGE,
        "python3",
        "/setup/install_agent.py",
        "--prefix",
        "/tmp/overlay",
    ]
    command += ["--constraints", "/dev/null", "numpy==1.24.4"]
    try:
        output = run(command, environment=project.engine.environment)
    except Failed as refusal:
        _expect(f"numpy=={standin.L4T_NUMPY}" in str(refusal), f"refused for another reason: {refusal}")
        return
    raise Failed(f"numpy of the base image was replaced:\n{output}")


def _play_host(host: Path) -> Path:
    """Write what the compose file mounts from a Jetson."""
    for folder in ("run", "device-tree"):
        (host / folder).mkdir(parents=True)
    host.joinpath("nv_tegra_release").write_text("# R35 (release), REVISION: 4.1, GCID: 0, BOARD: t186ref\n")
    host.joinpath("device-tree", "model").write_text("Simulated Jetson AGX Xavier\0")
    for path in (host.parent, host, *host.iterdir()):
        path.chmod(path.stat().st_mode | 0o555 if path.is_dir() else 0o644)
    return host


def _host_variables(host: Path) -> dict[str, str]:
    return {
        "GDWS_HOST_RUN": str(host / "run"),
        "GDWS_HOST_L4T_RELEASE": str(host / "nv_tegra_release"),
        "GDWS_HOST_DEVICE_TREE": str(host / "device-tree"),
    }


@contextlib.contextmanager
def _jtop_service(engine: Engine, folder: Path, *options: str) -> Iterator[None]:
    """Run the simulated Jetson with its socket in ``folder`` of this machine."""
    arguments = ["--gid", SOCKET_GROUP, "--trace", "constant:level_w=12", *options]
    container = engine("run", "--detach", "--volume", f"{folder}:/run", SIMULATED_JETSON, *arguments).strip()
    try:
        deadline = time.monotonic() + 30
        while not (folder / "jtop.sock").is_socket():
            if time.monotonic() > deadline:
                raise Failed(f"the simulated jtop service does not come up:\n{engine('logs', container)}")
            time.sleep(0.2)
        yield
    finally:
        engine("rm", "--force", container)
        (folder / "jtop.sock").unlink(missing_ok=True)


def _wait_until_healthy(agent: Agent, timeout_s: float = 60.0) -> None:
    engine = agent.project.engine
    container = agent.compose("ps", "--quiet", agent.service).strip()
    deadline = time.monotonic() + timeout_s
    while (state := engine("inspect", "--format", "{{.State.Health.Status}}", container).strip()) != "healthy":
        if time.monotonic() > deadline:
            raise Failed(f"Docker calls the container {state}")
        time.sleep(1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Failed(otherwise)
