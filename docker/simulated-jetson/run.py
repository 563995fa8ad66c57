#!/usr/bin/env python3
"""Run a simulated Jetson AGX Xavier: the jtop service on simulated sensors. Needs root and jetson-stats.

    python run.py --root DIR --socket DIR/jtop.sock --trace square:low_w=5,high_w=25 --log DIR/power.csv

Prints one line beginning with "ready" once clients can connect; ends on SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import signal
import sys
import threading
from pathlib import Path

from simulated_jetson import service, traces
from simulated_jetson.driver import Driver, PowerLog
from simulated_jetson.tree import Tree


def main() -> int:
    """Run until a signal comes; return the exit status."""
    arguments = _parse_arguments()
    logging.basicConfig(level=logging.INFO if arguments.verbose else logging.ERROR, stream=sys.stderr)
    tree = Tree(arguments.root.resolve())
    tree.build()
    try:
        service.expose(tree.root)
        server = service.create_server(
            tree.root, arguments.socket.resolve(), arguments.gid, version=arguments.claim_version
        )
    except ImportError:
        print("error: jetson-stats is not installed here: pip install jetson-stats", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    stop = threading.Event()
    with contextlib.ExitStack() as resources:
        log = None
        if arguments.log is not None:
            log = PowerLog(resources.enter_context(arguments.log.open("w", newline="")))
        driver = Driver(tree, arguments.trace, log)
        # Before the service reads for the first time, or it would read rails without power.
        driver.step_power(0.0)
        server.start()
        resources.callback(server.close)
        # Only now: the service's own processes are forked above and keep the signals' usual meaning.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        print(f"ready: simulated Jetson at {tree.root}, jtop socket {arguments.socket}", flush=True)
        driver.run(stop.is_set)
    return 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog=traces.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, default=service.TESTING_ROOT, help="directory of the simulated sysfs tree")
    parser.add_argument("--socket", type=Path, default=Path("/run/jtop.sock"), help="socket of the jtop service")
    parser.add_argument("--gid", type=int, default=0, help="group that owns the socket")
    parser.add_argument("--trace", type=_trace, default=traces.LoadFollowing(), help="power over time, see below")
    parser.add_argument("--log", type=Path, help="CSV file of the powers written and when")
    parser.add_argument("--claim-version", metavar="X.Y.Z", help="version that the service claims to be")
    parser.add_argument("--verbose", action="store_true", help="show the service's own messages")
    return parser.parse_args()


def _trace(text: str) -> traces.Trace:
    try:
        return traces.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
