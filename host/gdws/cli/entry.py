"""Entry point of the command ``gdws``.

The exit code of ``gdws gate`` is a verdict, so nothing may end this process with an unintended code, not even an import
that fails. Hence only the standard library is imported before :func:`main` can catch errors, and the commands
themselves are in :mod:`gdws.cli.app`.
"""

from __future__ import annotations

import signal
import sys
from typing import Any, NoReturn

from gdws._util import openmp, streams
from gdws._util.visible_text import visible
from gdws.errors import ExitCode


def main() -> NoReturn:
    """Run the command line and exit. SIGTERM is handled like Ctrl-C."""
    sys.exit(_run())


def _run() -> int:
    try:
        streams.make_robust()
        openmp.wait_asleep()
        signal.signal(signal.SIGTERM, _interrupt)
        from gdws.cli.app import app

        code: int | None = app(prog_name="gdws", standalone_mode=False)
        lost = streams.lost_output()
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BaseException as error:  # errors outside of the commands: above all, in their import
        _tell(
            f"error: unexpected {type(error).__name__}: {visible(str(error))}",
            "hint:  check the installation: pip check",
        )
        return ExitCode.UNFORESEEN
    if lost is not None:
        _tell(f"error: could not write to standard output: {lost.strerror}; the output is incomplete")
    if code is None:
        return ExitCode.DONE if lost is None else ExitCode.BAD_INPUT
    return code


def _tell(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def __getattr__(name: str) -> Any:
    """``app``, imported on demand."""
    if name == "app":
        from gdws.cli.app import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if __name__ == "__main__":
    main()
