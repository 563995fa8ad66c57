"""The agent's own worker with ten readings of jtop a second in place of two, where energies are not what is tested.

As many readings then take a fifth of the time. ``[sys.executable, brisk_jtop_worker.py]`` is a worker command.
"""

from __future__ import annotations

import sys

from gdws_agent.measuring.worker import main
from gdws_agent.power import jtop_client

if __name__ == "__main__":
    jtop_client.INTERVAL_S = 0.1
    sys.exit(main())
