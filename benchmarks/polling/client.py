"""Asks an agent the same question again and again; standard library only, so that it starts at once and stays small.

    python client.py HOST PORT RATE

Connects, writes ``ready``, and reads a path. Then asks for it RATE times a second until its input ends, and writes
the times of the answers in milliseconds as JSON. They count from when a question was due, so that an answer that is
late delays none of the later ones unseen.
"""

from __future__ import annotations

import http.client
import json
import select
import socket
import sys
import time

_ANSWER_TIMEOUT_S = 30.0


def main() -> None:
    """Do as the docstring of this module says."""
    host, port, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    times_ms = []
    with socket.create_connection((host, port), timeout=_ANSWER_TIMEOUT_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        print("ready", flush=True)
        path = sys.stdin.readline().strip()
        request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
        due_s = time.perf_counter()
        while not select.select([sys.stdin], [], [], max(0.0, due_s - time.perf_counter()))[0]:
            connection.sendall(request)
            answer = http.client.HTTPResponse(connection, method="GET")
            answer.begin()
            answer.read()
            if answer.status != 200:
                sys.exit(f"the agent answered {answer.status}")
            times_ms.append(1_000 * (time.perf_counter() - due_s))
            due_s += 1 / rate
    print(json.dumps(times_ms))


if __name__ == "__main__":
    main()
