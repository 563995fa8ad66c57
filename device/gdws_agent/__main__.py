"""The command ``gdws-agent``."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from typing import Optional, Sequence

from gdws_agent.errors import StartupError
from gdws_agent.settings import Settings, load_settings, option_name, variable_name
from gdws_contract import __version__

#: The one command beside serving.
FIRST_RUN = "first-run"

_EPILOG = """\
The agent measures the networks of a bundle on this machine, one at a time, and keeps each result as it ends.
Stop it with Ctrl-C or SIGTERM: a benchmark that is under way goes on at the next start.

  gdws-agent --data-dir /data                                      start it
  curl -F bundle=@model.gdws 'localhost:8000/benchmark?wait=600'   measure a bundle and wait for the result
  curl localhost:8000/device                                       what this machine can do
  http://localhost:8000/                                           the dashboard
  http://localhost:8000/docs                                       every request and answer
  gdws-agent first-run                                             check a new board, once (--help tells more)

On another address than loopback, who asks needs a token. It is printed at the first start and kept in the data
folder; GDWS_AGENT_TOKEN and GDWS_AGENT_READ_TOKEN, or files, give others. The read-only one allows GET alone.

exit codes:
  0  stopped as asked
  1  an error that nobody foresaw
  2  an option or environment variable is wrong
  3  the port is in use, or the host is not an address of this machine
  4  the data folder cannot be used: not writable, full, in use by another agent, or of a newer release
"""


def main(arguments: Optional[Sequence[str]] = None, *, worker_command: Optional[Sequence[str]] = None) -> int:
    """Run the agent and return the exit code, see ``--help``; ``worker_command`` replaces the measuring process."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == [FIRST_RUN]:
        from gdws_agent.first_run.command import main as first_run

        return first_run(given[1:])
    options = vars(build_parser().parse_args(given))
    announce, exit_with_parent = options.pop("announce"), options.pop("exit_with_parent")
    try:
        return _run(load_settings(options, os.environ), announce, exit_with_parent, worker_command)
    except StartupError as error:
        hint = f" ({error.hint})" if error.hint else ""
        print(f"gdws-agent: {error.message}{hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the command line: an option for each setting, and those for parent processes."""
    parser = argparse.ArgumentParser(
        prog="gdws-agent",
        description="Serve benchmarks of GDWS networks on this machine over HTTP.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, field in Settings.model_fields.items():
        default = "" if field.is_required() or field.default is None else f" Default: {field.default}."
        parser.add_argument(
            option_name(name),
            metavar=name.rsplit("_", 1)[-1].upper(),
            help=f"{field.description}{default} [{variable_name(name)}]",
        )
    parser.add_argument(
        "--announce", action="store_true", help='Write {"url": "http://..."} to standard output when ready.'
    )
    parser.add_argument(
        "--exit-with-parent", action="store_true", help="Stop when standard input ends, as it does with its writer."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def _run(
    settings: Settings, announce_ready: bool, exit_with_parent: bool, worker_command: Optional[Sequence[str]]
) -> int:
    # Imported late: --help and wrong options need not wait for the web framework.
    from gdws_agent.api.access import announcement, is_exposed, open_access
    from gdws_agent.jobs.runner import WORKER_COMMAND
    from gdws_agent.logs import configure
    from gdws_agent.server import announce, bind, serve, url_of
    from gdws_agent.service import open_service

    _keep_others_out()
    configure(settings.log_level, settings.log_format, sys.stderr)
    listener = bind(settings.host, settings.port)
    command = worker_command or WORKER_COMMAND
    with contextlib.closing(listener), open_service(settings, worker_command=command) as service:
        url = url_of(listener)
        exposed = is_exposed(listener.getsockname()[0])
        access, made = open_access(settings, service.folder.path, os.environ, exposed=exposed)
        if made:
            print(announcement(made), file=sys.stderr, flush=True)

        def on_ready() -> None:
            logging.getLogger(__name__).info("gdws-agent %s at %s, data in %s", __version__, url, settings.data_dir)
            if announce_ready:
                announce(url)

        serve(service, listener, access, on_ready=on_ready, parent=sys.stdin.buffer if exit_with_parent else None)
    return 0


def _keep_others_out() -> None:
    """Make new files, and the memory of this process, inaccessible to other users."""
    from gdws_agent.measuring.privileges import close_memory

    os.umask(0o077)
    if sys.platform == "linux":
        close_memory()


if __name__ == "__main__":
    sys.exit(main())
