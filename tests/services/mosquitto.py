"""Debian's Mosquitto as a process of its own, from the files in deploy/mosquitto with paths and ports put in."""

import atexit
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.waiting import until

DEPLOY = Path(__file__).parents[2] / "deploy" / "mosquitto"
START_LIMIT_S = 60.0
STOP_LIMIT_S = 60.0
PORTS = {"plain": "1883", "tls": "8883"}


def mosquitto_program() -> str:
    """Where the server is; without it the test is skipped, and fails in CI."""
    found = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        reason = "mosquitto is not installed: apt-get install mosquitto"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class Mosquitto:
    """One broker over a folder. `start` after `stop` or `kill` goes on with the same port and what it has saved.

    `listener` is a folder of deploy/mosquitto. `settings` replace lines of the configuration by their first word.
    """

    def __init__(self, folder: Path, listener: str = "plain", **settings: object) -> None:
        self._program = mosquitto_program()
        self.folder = folder / "mosquitto"
        self.port = free_port()
        self.certs, self.acl = self.folder / "certs", self.folder / "config" / "acl"
        for name in ("config/listener", "data", "certs"):
            (self.folder / name).mkdir(parents=True)
        self._config = self.folder / "config" / "mosquitto.conf"
        self._config.write_text(self._filled("mosquitto.conf", settings) + _user())
        text = self._filled(f"{listener}/listener.conf", settings)
        text = text.replace(f"listener {PORTS[listener]}", f"listener {self.port} 127.0.0.1")
        (self.folder / "config" / "listener" / "listener.conf").write_text(text)
        shutil.copy(DEPLOY / "acl", self.acl)
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.kill)  # where a test failed before it stopped this

    def start(self) -> "Mosquitto":
        """Start, and wait until it listens."""
        with (self.folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen([self._program, "-c", self._config], stdout=log, stderr=log)
        until(self._listens, START_LIMIT_S)
        return self

    def stop(self) -> None:
        """SIGTERM: it saves what it has."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def send_signal(self, number: signal.Signals) -> None:
        """SIGSTOP, SIGCONT, SIGHUP (read the access list and certificates again) or SIGUSR1 (save now)."""
        assert self._process is not None
        self._process.send_signal(number)

    @property
    def pid(self) -> int:
        """The running server."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has said."""
        return (self.folder / "log.txt").read_text()

    def _end(self, number: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(number)
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log[-2000:]
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _filled(self, name: str, settings: dict[str, object]) -> str:
        lines = []
        for line in (DEPLOY / name).read_text().splitlines():
            key = line.split(" ")[0]
            lines.append(f"{key} {settings[key]}" if key in settings else line)
        return "\n".join(lines).replace("/mosquitto/", f"{self.folder}/") + "\n"


def _user() -> str:
    """Started by root it would become a user who may not read the test's folder."""
    return "user root\n" if os.geteuid() == 0 else ""
