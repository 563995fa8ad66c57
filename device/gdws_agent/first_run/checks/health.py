"""The start-up check, the access token, and whether the device is free to be measured."""

from __future__ import annotations

import stat
from typing import List

from gdws_agent import doctor
from gdws_agent.errors import SettingsInvalid
from gdws_agent.first_run.agent_link import AgentLink, AgentRefused, AgentUnreachable, find_token, token_path
from gdws_agent.first_run.bench import Bench
from gdws_agent.first_run.report import CheckFailed, CheckSkipped, Figure, Outcome, Table, Value

#: How a user of the container reads the token: as the user that it belongs to (docs/jetson.md).
TOKEN_LINE = "docker compose exec -u gdws -T agent cat /var/lib/gdws-agent/data/token"
_CONFLICT = 409


def check_doctor(bench: Bench) -> Outcome:
    """Run the start-up check and report its findings."""
    findings = doctor.examine(bench.root, bench.probes)
    rows: List[List[Value]] = [[each.level, each.subject, each.message] for each in findings]
    advice = [f"{each.subject}: {each.fix or each.message}" for each in findings if each.level in ("fatal", "warning")]
    fatal = sum(each.level == "fatal" for each in findings)
    warnings = sum(each.level == "warning" for each in findings)
    return Outcome(
        status="failed" if fatal else "warning" if warnings else "ok",
        summary=f"{len(findings)} findings, {fatal} fatal, {warnings} warnings",
        tables=[Table(title="Findings", columns=["level", "subject", "finding"], rows=rows)],
        advice=advice,
    )


def check_token(bench: Bench) -> Outcome:
    """Read the token as documented, and check that the running agent accepts it."""
    path = token_path(bench.settings)
    try:
        token = find_token(bench.settings, bench.environment)
    except (OSError, SettingsInvalid) as error:
        raise CheckFailed(
            f"the token cannot be read: {error}", f"read it as the user that it belongs to: {TOKEN_LINE}"
        ) from error
    link = AgentLink(bench.settings, token)
    try:
        health = link.health()
    except AgentUnreachable as error:
        raise CheckSkipped(str(error), "start the agent to have its token checked: docker compose up -d") from error
    if health is None or health.access == "read-only":
        kept = "there is none here" if token is None else "the one that was found here is not the agent's full token"
        raise CheckFailed(
            f"the agent at {link.place} wants a token, and {kept}",
            f"give the agent's data folder with --data-dir, and read the token as its user: {TOKEN_LINE}",
        )
    if token is None:
        return Outcome(status="ok", summary=f"the agent at {link.place} is open to this machine alone, without a token")
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
    figures = [Figure(name="mode of the token's file", value=None if mode is None else f"{mode:04o}")]
    if mode is not None and mode & 0o077:
        return Outcome(
            status="warning",
            summary="the agent accepts the token, but other users of this machine can read its file",
            figures=figures,
            advice=["delete the file and restart the agent, which generates a new token readable only by itself"],
        )
    return Outcome(status="ok", summary=f"the agent at {link.place} accepts the token", figures=figures)


def check_device(bench: Bench) -> Outcome:
    """Take the lease of the agent that runs here until the end of this run; stop if a job is running."""
    try:
        link = AgentLink(bench.settings, find_token(bench.settings, bench.environment))
        health = link.health()
    except AgentUnreachable:
        return Outcome(status="ok", summary="no agent runs here that could measure meanwhile")
    except (OSError, SettingsInvalid) as error:
        raise CheckFailed(f"the agent's token cannot be read: {error}", "see the check `token`") from error
    if health is None:
        raise CheckFailed(
            f"an agent runs at {link.place}, and does not let this run ask whether it measures",
            "see the check `token`; or stop the agent for this run: docker compose stop",
        )
    try:
        bench.held.enter_context(link.holding_device())
        running = link.queue().running
    except AgentRefused as error:
        if error.status != _CONFLICT:
            raise CheckFailed(f"the agent's device cannot be had: {error}", "see the check `token`") from error
        # The lease names its holder, a user and a machine: private, so not in the report.
        raise CheckFailed(
            "the agent's device cannot be had: somebody else holds its lease",
            f"`{_curl(link, 'GET', '/lease')}` tells who, and for how long: wait for its end",
            f"or end it: `{_curl(link, 'DELETE', '/lease?force=true')}`",
        ) from error
    if running is not None:
        bench.held.close()
        raise CheckFailed(
            f"the agent measures job {running.id} just now: both would disturb each other",
            f"wait for its end, or cancel it: `{_curl(link, 'DELETE', f'/benchmark/{running.id}')}`",
            "then run this again",
        )
    return Outcome(
        status="ok",
        summary=f"the agent at {link.place} begins no job until this run has ended: its lease is held",
    )


def _curl(link: AgentLink, method: str, path: str) -> str:
    """Return the command that queries this agent, on the same machine and with its token."""
    return f"curl -X {method} -H \"Authorization: Bearer $GDWS_TOKEN\" 'http://{link.place}{path}'"
