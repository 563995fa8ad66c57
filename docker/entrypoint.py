"""Start of an agent's container: give up root, say what is missing, become the agent.

Started as root, the process takes the groups that own the GPU's device nodes and jtop's socket,
whose numbers differ from board to board, and becomes the image's unprivileged user with them.
Started as any other user it keeps what it was given.
"""

from __future__ import annotations

import glob
import os
import pwd
import stat
import sys
from collections.abc import Iterable

USER = "gdws"

#: What the agent opens on a Jetson; none of them exists on other machines.
GUARDED = (
    os.environ.get("GDWS_AGENT_JTOP_SOCKET", "/run/jtop.sock"),
    "/dev/nvmap",
    "/dev/nvhost-*",
    "/dev/nvgpu/*/*",
    "/dev/nvsciipc",
    "/dev/dri/renderD*",
)


def main() -> None:
    """Become the agent; does not return."""
    if os.geteuid() == 0:
        become(USER, owning_groups(GUARDED))
    from gdws_agent import doctor

    if not doctor.report():
        sys.exit(1)
    os.execv(sys.executable, [sys.executable, "-m", "gdws_agent", *sys.argv[1:]])


def owning_groups(patterns: Iterable[str]) -> set[int]:
    """Return the groups, root's excepted, that may use the files which match ``patterns``."""
    found = set()
    for pattern in patterns:
        for path in glob.glob(pattern):
            try:
                status = os.stat(path)
            except OSError:
                continue
            if status.st_mode & (stat.S_IRGRP | stat.S_IWGRP):
                found.add(status.st_gid)
    return found - {0}


def become(user: str, groups: set[int]) -> None:
    """Change this process to ``user`` with its own groups and ``groups``, for good."""
    entry = pwd.getpwnam(user)
    own = os.getgrouplist(user, entry.pw_gid)
    os.setgroups(sorted(groups.union(own)))
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    os.environ["HOME"] = entry.pw_dir


if __name__ == "__main__":
    main()
