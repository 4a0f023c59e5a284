"""Starts anvil from the npm packages of contracts/, for tests that want a real node."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lading.chain import Chain, HttpRpc
from lading.errors import ServiceError
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
START_S_MAX = 20


def anvil_path() -> Path:
    """The binary; without it the test is skipped, and fails where CI=true."""
    for place in ("contracts/node_modules", "node_modules"):
        path = ROOT / place / "@foundry-rs/anvil-linux-amd64/bin/anvil"
        if path.exists():
            return path
    reason = "anvil is not installed: npm ci --ignore-scripts in contracts/"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class Anvil:
    """One chain on a port. It keeps nothing: what `kill` ends is gone."""

    def __init__(self, *options: str) -> None:
        self._binary = anvil_path()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        command = [str(self._binary), "--port", str(self.port), "--silent", *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _wait(self.url)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """SIGTERM."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(START_S_MAX)

    @property
    def pid(self) -> int:
        """The running node."""
        assert self._process is not None
        return self._process.pid


@contextmanager
def anvil(*options: str) -> Iterator[str]:
    """A fresh chain; its URL."""
    node = Anvil(*options)
    try:
        node.start()
        yield node.url
    finally:
        node.stop()


def _wait(url: str) -> None:
    chain = Chain(HttpRpc(url))
    until = time.monotonic() + START_S_MAX
    while True:
        try:
            _ = chain.chain_id
            return
        except ServiceError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
