"""Starts the real influxd that tests/services/real/install.sh keeps in a cache, for tests that want InfluxDB."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port

ORG, BUCKET, TOKEN = "lading", "lading", "all-access-token-of-the-tests"
START_S_MAX = 30.0
STOP_S_MAX = 20.0
REQUEST_S_MAX = 30.0


def influxd_path() -> Path:
    """The binary; without it the test is skipped, and fails where CI=true."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lading" / "servers"
    servers = Path(os.environ.get("LADING_SERVERS") or cache)
    for path in sorted(servers.glob("influxdb-*/influxd")):
        return path
    reason = f"influxd is not in {servers}: tests/services/real/install.sh"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class Influxd:
    """One server on a port and a folder that stay the same over restarts. `token` may do everything."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._binary = influxd_path()
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.org, self.bucket, self.token = ORG, BUCKET, TOKEN

    def start(self, *, set_up: bool = True) -> None:
        """Start, and wait until it answers; a new folder gets its organisation, bucket, token and InfluxQL database."""
        self._folder.mkdir(parents=True, exist_ok=True)
        is_new = not (self._folder / "bolt").exists()
        log = self._folder / "influxd.log"
        command = [
            str(self._binary),
            *("--bolt-path", str(self._folder / "bolt")),
            *("--sqlite-path", str(self._folder / "sqlite")),
            *("--engine-path", str(self._folder / "engine")),
            *("--http-bind-address", f"127.0.0.1:{self.port}"),
            *("--reporting-disabled", "--log-level", "warn"),
        ]
        with log.open("ab") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=out)
        self._wait(log)
        if is_new and set_up:
            self._set_up()

    def cpu_s(self) -> float:
        """Processor time that it has used since its start."""
        assert self._process is not None
        after_name = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """SIGKILL: what was acknowledged must be there after `start`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def send_signal(self, number: signal.Signals) -> None:
        """SIGSTOP and SIGCONT: it hangs, and goes on."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        """Ask it to end, and end it if it does not."""
        if self._process is None:
            return
        self._process.terminate()
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(STOP_S_MAX)
            self._process = None
        except subprocess.TimeoutExpired:
            self.kill()

    @property
    def pid(self) -> int:
        """The running server."""
        assert self._process is not None
        return self._process.pid

    def request(self, method: str, path: str, document: Any = None, token: str | None = None) -> Any:
        """One call of its API, with JSON in and out; `urllib.error.HTTPError` where it refuses."""
        data = None if document is None else json.dumps(document).encode()
        headers = {"Authorization": f"Token {token or self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=REQUEST_S_MAX) as answer:
            found = answer.read()
        return json.loads(found) if found else None

    def rows(self, query: str, token: str | None = None) -> list[dict[str, Any]]:
        """The rows of an InfluxQL query, times in nanoseconds, with the tags of `GROUP BY` among the columns."""
        asked = urllib.parse.urlencode({"db": self.bucket, "q": query, "epoch": "ns"})
        found = self.request("GET", f"/query?{asked}", token=token)
        rows: list[dict[str, Any]] = []
        for result in found["results"]:
            assert "error" not in result, f"{query}: {result['error']}"
            for series in result.get("series", ()):
                tags = series.get("tags", {})
                rows += [tags | dict(zip(series["columns"], row, strict=True)) for row in series["values"]]
        return rows

    def count(self, measurement: str, field: str, where: str = "") -> int:
        """How many points have a field."""
        rows = self.rows(f'SELECT count("{field}") AS n FROM "{measurement}" {where}')
        return int(rows[0]["n"]) if rows else 0

    def write(self, lines: str, precision: str = "ns") -> None:
        """Line protocol as it stands, past the code under test."""
        asked = urllib.parse.urlencode({"org": self.org, "bucket": self.bucket, "precision": precision})
        headers = {"Authorization": f"Token {self.token}"}
        request = urllib.request.Request(
            f"{self.url}/api/v2/write?{asked}", lines.encode(), headers, method="POST"
        )
        urllib.request.urlopen(request, timeout=REQUEST_S_MAX).close()

    def _wait(self, log: Path) -> None:
        assert self._process is not None
        until_s = time.monotonic() + START_S_MAX
        while time.monotonic() < until_s:
            assert self._process.poll() is None, log.read_text("utf-8", "replace")[-2000:]
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        self.kill()
        pytest.fail(f"influxd was not ready in {START_S_MAX:.0f} s: {log.read_text('utf-8')[-2000:]}")

    def _set_up(self) -> None:
        account = {"username": "tests", "password": "only-for-tests"}
        made = self.request(
            "POST", "/api/v2/setup", account | {"org": self.org, "bucket": self.bucket, "token": self.token}
        )
        mapping = {
            "bucketID": made["bucket"]["id"],
            "orgID": made["org"]["id"],
            "database": self.bucket,
            "retention_policy": "autogen",
            "default": True,
        }
        self.request("POST", "/api/v2/dbrps", mapping)


@contextmanager
def influxd(folder: Path) -> Iterator[Influxd]:
    """A fresh server with its bucket, stopped at the end."""
    server = Influxd(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
