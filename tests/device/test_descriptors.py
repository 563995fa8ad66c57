import json
import resource
import subprocess
import sys

import pytest

from gdws_agent.descriptors import MAX_CONNECTIONS, PER_CONNECTION, RESERVE, affordable


@pytest.mark.parametrize(
    ("descriptors", "connections"), [(1_048_576, 512), (1_280, 512), (1_024, 384), (400, 72), (64, 16)]
)
def test_connections_leave_the_agent_its_share(descriptors, connections):
    assert affordable(descriptors) == connections


def limits(soft, hard):
    """Return how many connections a process of these limits allows, and its limits then."""
    code = (
        "import json, resource; from gdws_agent.descriptors import connection_limit;"
        "print(json.dumps([connection_limit(), resource.getrlimit(resource.RLIMIT_NOFILE)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "raised"),
    [
        (256, 4_096, MAX_CONNECTIONS, RESERVE + PER_CONNECTION * MAX_CONNECTIONS),
        (256, 500, 122, 500),
        (2_000, 4_096, 512, 2_000),
    ],
)
def test_the_own_limit_is_raised_as_far_as_it_helps(soft, hard, connections, raised):
    assert limits(soft, hard) == [connections, [raised, hard]]
