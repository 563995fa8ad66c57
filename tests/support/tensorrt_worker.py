"""The measuring process with the stand-ins for TensorRT and pycuda in place of them. Runs on Python 3.8.

``[sys.executable, tensorrt_worker.py]`` is a worker command.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from gdws_agent.measuring.worker import main
from support.tensorrt_installed import install

if __name__ == "__main__":
    install(pytest.MonkeyPatch())
    sys.exit(main())
