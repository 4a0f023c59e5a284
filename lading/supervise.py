"""Runs several commands as one: starts them in order, restarts what dies, stops all on a signal."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType

from lading.errors import ServiceError

STOP_LIMIT_S = 15.0
RESTART_FIRST_S, RESTART_MAX_S = 0.5, 30.0
STEADY_S = 60.0  # one that ran so long starts again at once


@dataclass(frozen=True)
class Part:
    """One process. `port`: the next part starts only once something listens there."""

    name: str
    command: Sequence[str]
    port: int | None = None


@dataclass
class _Running:
    part: Part
    process: "subprocess.Popen[str]"
    started_s: float
    wait_s: float = RESTART_FIRST_S
    restart_at_s: float | None = None
    reader: threading.Thread | None = field(default=None, repr=False)


class Supervisor:
    """Starts parts and keeps them running; each line that a part prints gets its name in front."""

    def __init__(self, show: Callable[[str, str], None]) -> None:
        self._show = show
        self._running: list[_Running] = []
        self._stopping = False

    def start(self, part: Part, limit_s: float = 60.0) -> None:
        """Start a part and wait for its port. ServiceError `start` when it dies, does not listen in time, or is not who
        listens there: the others would speak to whatever it is."""
        if part.port is not None and _listens(part.port):
            left = "a `lading up` that was killed may have left it"
            raise ServiceError("start", f"{part.name}: something listens on port {part.port} already; {left}")
        running = _Running(part, self._spawn(part), time.monotonic())
        self._running.append(running)
        self._follow(running)
        if part.port is None:
            return
        deadline_s = time.monotonic() + limit_s
        while not _listens(part.port):
            if running.process.poll() is not None:
                raise ServiceError("start", f"{part.name} ended with {running.process.returncode}")
            if time.monotonic() > deadline_s:
                raise ServiceError(
                    "start", f"{part.name} does not listen on {part.port} after {limit_s:.0f} s"
                )
            time.sleep(0.05)

    def watch(self) -> None:
        """Restart what dies, with growing pauses, until SIGINT or SIGTERM; then stop everything."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        while not self._stopping:
            for running in self._running:
                self._tend(running)
            time.sleep(0.2)
        self._show("up", f"stops its parts, last first: each ends its step, within {STOP_LIMIT_S:.0f} s")
        self.stop()

    def stop(self) -> None:
        """Ask every part to stop, last first, and end what does not."""
        self._stopping = True
        for running in reversed(self._running):
            running.process.terminate()
            try:
                running.process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self._show(running.part.name, "does not stop: killed")
                running.process.kill()
                running.process.wait()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _tend(self, running: _Running) -> None:
        code = running.process.poll()
        now_s = time.monotonic()
        if code is None:
            return
        if running.restart_at_s is None:
            if now_s - running.started_s > STEADY_S:
                running.wait_s = RESTART_FIRST_S
            running.restart_at_s = now_s + running.wait_s
            self._show(running.part.name, f"ended with {code}; starts again in {running.wait_s:.1f} s")
            running.wait_s = min(2 * running.wait_s, RESTART_MAX_S)
        elif now_s >= running.restart_at_s:
            running.process, running.started_s, running.restart_at_s = self._spawn(running.part), now_s, None
            self._follow(running)

    def _spawn(self, part: Part) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            part.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )

    def _follow(self, running: _Running) -> None:
        def copy() -> None:
            assert running.process.stdout is not None
            for line in running.process.stdout:
                self._show(running.part.name, line.rstrip())

        running.reader = threading.Thread(target=copy, daemon=True)
        running.reader.start()


def lading_command(*arguments: str) -> list[str]:
    """The command line of this installation, whatever is on PATH."""
    return [sys.executable, "-m", "lading.cli", *arguments]


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
