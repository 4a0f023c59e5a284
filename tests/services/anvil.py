"""Starts anvil from the npm packages of contracts/, for tests that want a real node."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lading.chain import Chain, HttpRpc
from lading.errors import ServiceError

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


@contextmanager
def anvil(*options: str) -> Iterator[str]:
    """A fresh chain; its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(anvil_path()), "--port", str(port), "--silent", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url)
        yield url
    finally:
        process.terminate()
        process.wait(START_S_MAX)


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
