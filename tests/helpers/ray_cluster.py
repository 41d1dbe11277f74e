"""A Ray cluster of this test's own, in processes of its own: how it is started and killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.helpers.grids import processes

ACTOR = "ray::Remote"
"""What the process of a worker is called."""
_TRIES = 4
_RAY = Path(sys.executable).parent / "ray"


class Cluster:
    """A head with two processors, at one address however often it is started."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]

    def start(self) -> str:
        """Its address, HOST:PORT."""
        command = [_RAY, "start", "--head", "--num-cpus=2", f"--port={self._port}"]
        command += ["--include-dashboard=false", "--disable-usage-stats"]
        # Ray gives a node half a minute to begin, which a busy machine may not keep.
        for _ in range(_TRIES):
            begun = subprocess.run(
                command, check=False, capture_output=True, text=True, timeout=180
            )
            if not begun.returncode:
                return f"127.0.0.1:{self._port}"
            self.stop()
        raise AssertionError(begun.stderr[-2000:])

    def kill_head(self) -> None:
        for server in processes("gcs_server"):
            os.kill(server, signal.SIGKILL)

    def stop(self) -> None:
        subprocess.run([_RAY, "stop", "--force"], check=False, capture_output=True, timeout=120)


@contextmanager
def running(monkeypatch: Any) -> Iterator[Cluster]:
    """One that is not started yet; behind it none is left."""
    # Whoever runs the tests may have a token; a cluster of its own wants none.
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    # As soon as may be: a driver whose head is gone gives up.
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "5")
    cluster = Cluster()
    try:
        yield cluster
    finally:
        cluster.stop()
