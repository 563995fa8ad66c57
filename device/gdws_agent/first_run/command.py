"""The command ``gdws-agent first-run``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, Iterator, List, Optional, Sequence

from gdws_agent.errors import SettingsInvalid
from gdws_agent.settings import load_settings, variable_name

from .bench import Bench
from .catalogue import CHECKS, Check, UnknownCheck, select
from .page import render
from .redaction import Redactor, secrets_of_machine
from .report import STATUSES, CheckResult, Report
from .runner import Run

JSON_NAME, PAGE_NAME = "first-run.json", "first-run.html"

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_FOLDER = 4
EXIT_UNFORESEEN = 70

_EPILOG = """\
Run it in the agent's container, where it is the agent's user with the groups of the board:

  docker compose exec agent /opt/gdws/bin/python3 /opt/gdws-setup/entrypoint.py first-run
  docker compose cp agent:/var/lib/gdws-agent/first-run .

It writes first-run.json and first-run.html into the folder of --out after each check. Names of people and machines,
addresses, serial numbers and tokens are taken out, so both can be attached to an issue. See docs/first-run.md.

exit codes:
  0    every check is ok, has a warning, or was skipped with a reason
  1    a check failed
  2    an option or environment variable is wrong
  4    the folder of --out cannot be written
  70   an unexpected error of this command
  130  interrupted with Ctrl-C, 143 with SIGTERM: the results so far are written
"""


class Terminated(KeyboardInterrupt):
    """SIGTERM was received."""


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the checks and return the exit code, see ``--help``."""
    options = build_parser().parse_args(arguments)
    if options.list:
        for check in CHECKS:
            needs = f" (needs {', '.join(check.needs)})" if check.needs else ""
            print(f"{check.name:<11} {check.title}, at most {check.limit_s:.0f} s{needs}")
        return 0
    try:
        checks = select(options.only, options.skip)
        bench = _open_bench(options)
    except (UnknownCheck, SettingsInvalid) as error:
        print(f"gdws-agent first-run: {error}", file=sys.stderr)
        return EXIT_USAGE
    try:
        return run(bench, checks, options.out)
    except OSError as error:
        print(f"gdws-agent first-run: {options.out} cannot be written: {error} (give --out)", file=sys.stderr)
        return EXIT_FOLDER
    except Exception:
        traceback.print_exc()
        return EXIT_UNFORESEEN


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="gdws-agent first-run",
        description="Check this board in about a quarter of an hour, and say what to do about what fails.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("first-run"), help="Folder to write to. Default: first-run.")
    parser.add_argument("--only", type=_names, default=[], metavar="NAMES", help="Run these checks alone: a,b,c.")
    parser.add_argument("--skip", type=_names, default=[], metavar="NAMES", help="Leave these checks out.")
    parser.add_argument("--quick", action="store_true", help="Measure for a short time: some minutes, coarse figures.")
    parser.add_argument("--list", action="store_true", help="Show the checks, and how long each may take.")
    parser.add_argument("--trtexec", type=Path, metavar="FILE", help="Path of the program, if it is not found.")
    parser.add_argument("--tegrastats", type=Path, metavar="FILE", help="Likewise.")
    parser.add_argument("--data-dir", help="The agent's data folder, if not as its own option or variable has it.")
    parser.add_argument("--port", help="The agent's port, likewise.")
    parser.add_argument("--jtop-socket", help="Socket of the jtop service, likewise.")
    return parser


def run(bench: Bench, checks: Sequence[Check], out: Path) -> int:
    """Run ``checks``, write the report to ``out`` after each of them, and return the exit code.

    Raises:
        OSError: ``out`` cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    progress = _Progress(len(checks))
    redactor = Redactor(secrets_of_machine(bench.settings, bench.environment, bench.root), bench.versions)

    def keep(result: CheckResult) -> None:
        progress.end(result, redactor)
        write_report(made.report(), out, redactor)

    made = Run(bench, checks, progress.begin, keep)
    stopped = 0
    try:
        with bench.held, _terminating():
            made.run()
    except Terminated:
        stopped = 128 + signal.SIGTERM
    except KeyboardInterrupt:
        stopped = 128 + signal.SIGINT
    finally:
        bench.remove_scratch()
    report = made.report()
    write_report(report, out, redactor)
    progress.close(report, out)
    return stopped or (EXIT_FAILED if report.count("failed") else 0)


def write_report(report: Report, out: Path, redactor: Redactor) -> None:
    """Write JSON and page without private data, each atomically."""
    document = redactor.document(report.model_dump())
    _replace(out / JSON_NAME, json.dumps(document, indent=1, allow_nan=False) + "\n")
    _replace(out / PAGE_NAME, render(Report.model_validate(document)))


class _Progress:
    """Lines on standard error, each with the time since the start."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._number = 0
        self._began_s = time.monotonic()

    def begin(self, check: Check) -> None:
        self._number += 1
        self._say(f"[{self._number}/{self._total}] {check.title} ...")

    def end(self, result: CheckResult, redactor: Redactor) -> None:
        self._say(redactor.text(f"    {result.status}: {result.summary}"))
        for advice in result.advice:
            self._say(redactor.text(f"      - {advice}"))

    def close(self, report: Report, out: Path) -> None:
        self._say(", ".join(f"{report.count(status)} {status}" for status in STATUSES))
        print(f"{out / PAGE_NAME}\n{out / JSON_NAME}", flush=True)

    def _say(self, text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._began_s), 60)
        print(f"{minutes:02}:{seconds:02} {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _terminating() -> Iterator[None]:
    """Have SIGTERM end the run as Ctrl-C does. Outside of the main thread, where no signal comes, do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise Terminated

    former = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _open_bench(options: argparse.Namespace) -> Bench:
    named = {"data_dir": options.data_dir, "port": options.port, "jtop_socket": options.jtop_socket}
    settings = load_settings(named, os.environ)
    # The start-up check and the workers read environment variables only.
    os.environ.update({variable_name(name): str(value) for name, value in named.items() if value is not None})
    return Bench(
        settings,
        options.out.absolute(),
        quick=options.quick,
        trtexec=options.trtexec,
        tegrastats=options.tegrastats,
    )


def _names(text: str) -> List[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _replace(path: Path, text: str) -> None:
    new = path.with_name(path.name + ".new")
    new.write_text(text, encoding="utf-8")
    os.replace(str(new), str(path))
