"""What an installation is made of: processes of ours and real servers, to be killed and started again."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Protocol

LOG_TAIL_CHARS = 3_000
END_LIMIT_S = 300.0
RESTARTABLE = 2  # one of our errors ended it: whoever supervises it starts it again
RESTART_PAUSE_S = 0.5
SERVER_PAUSE_S = 2.0


class DrillError(AssertionError):
    """A promise is broken, or something did not come in time."""


def require(condition: bool, text: str) -> None:
    """DrillError where a promise is broken."""
    if not condition:
        raise DrillError(text)


class Part(Protocol):
    """Something that runs. It keeps its port and its files over `kill` and `start`; `start` does not wait."""

    started_s: float
    ready_s: float | None

    def start(self) -> None:
        """Start, or start again."""

    def is_ready(self) -> bool:
        """Whether it works; `ready_s` says since when."""

    def kill(self) -> None:
        """SIGKILL."""

    def send_signal(self, number: signal.Signals) -> None:
        """SIGSTOP and SIGCONT."""

    def tend(self) -> None:
        """Start it again if one of our errors ended it; DrillError when it ended otherwise."""

    def stop(self) -> None:
        """End it, however it stands."""

    def log_tail(self) -> str:
        """The end of what it wrote."""

    @property
    def pid(self) -> int:
        """The running process."""


class CommandPart:
    """A command of ours; `ready` once its log has that word. `restarts`: how often one of our errors ended it."""

    def __init__(
        self, command: Sequence[str], log: Path, ready: bytes, environment: Mapping[str, str] | None = None
    ) -> None:
        self._command = command
        self._log = log
        self._ready = ready
        self._environment = os.environ | {"OMP_NUM_THREADS": "1"} | (environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._log_from = 0
        self._again_s: float | None = None
        self.restarts = 0
        self.started_s = 0.0
        self.ready_s: float | None = None

    def start(self) -> None:
        """See `Part.start`."""
        with self._log.open("ab") as output:
            self._log_from = output.tell()
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment,
            )
        self.started_s, self.ready_s = time.monotonic(), None

    def is_ready(self) -> bool:
        """See `Part.is_ready`."""
        if self.ready_s is None:
            with self._log.open("rb") as file:
                file.seek(self._log_from)
                if self._ready in file.read():
                    self.ready_s = time.monotonic()
        return self.ready_s is not None

    def kill(self) -> None:
        """See `Part.kill`."""
        self._end(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM, and wait."""
        self._end(signal.SIGTERM)

    def send_signal(self, number: signal.Signals) -> None:
        """See `Part.send_signal`."""
        self._running.send_signal(number)

    def tend(self) -> None:
        """See `Part.tend`."""
        code = self._running.poll()
        if code is None:
            return
        if code != RESTARTABLE:
            raise DrillError(f"{self._log.stem} ended with {code}\n{self.log_tail()}")
        if self._again_s is None:
            self._again_s = time.monotonic() + RESTART_PAUSE_S
        elif time.monotonic() >= self._again_s:
            self._again_s = None
            self.restarts += 1
            self.start()

    def stop(self) -> None:
        """See `Part.stop`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def log_tail(self) -> str:
        """See `Part.log_tail`."""
        return self._log.read_text(errors="replace")[-LOG_TAIL_CHARS:] if self._log.exists() else "no log"

    @property
    def pid(self) -> int:
        """See `Part.pid`."""
        return self._running.pid

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process

    def _end(self, number: signal.Signals) -> None:
        if self._running.poll() == RESTARTABLE:
            return
        self._running.send_signal(number)
        code = self._running.wait(END_LIMIT_S)
        if code not in (0, RESTARTABLE, -number):
            raise DrillError(f"{self._log.stem} ended with {code} on signal {number}\n{self.log_tail()}")


class Server(Protocol):
    """A real server as tests/services start it."""

    def start(self) -> object:
        """Start, or start again; it works on return."""

    def kill(self) -> None:
        """SIGKILL."""

    def stop(self) -> None:
        """SIGTERM."""

    @property
    def pid(self) -> int:
        """The running process."""


class ServerPart:
    """A real server. Its `start` waits for it, so it runs beside the drill.

    With `may_end` one that ends by itself, or does not come up, is started again, as whoever supervises it does.
    """

    def __init__(self, server: Server, log_tail: Callable[[], str]) -> None:
        self._server = server
        self._log_tail = log_tail
        self._starter = ThreadPoolExecutor(1)
        self._starting: Future[object] | None = None
        self._again_s = 0.0
        self.may_end = False
        self.restarts = 0
        self.started_s = 0.0
        self.ready_s: float | None = None

    def start(self) -> None:
        """See `Part.start`."""
        self.started_s, self.ready_s = time.monotonic(), None
        self._starting = self._starter.submit(self._server.start)

    def is_ready(self) -> bool:
        """See `Part.is_ready`."""
        if self.ready_s is None and self._starting is not None and self._starting.done():
            if self.may_end and self._starting.exception() is not None:
                return False
            self._starting.result()
            self.ready_s = time.monotonic()
        return self.ready_s is not None

    def kill(self) -> None:
        """See `Part.kill`. One that is killed while it starts is not waited for: its `start` fails, as it should."""
        self._break_off()
        self._server.kill()

    def send_signal(self, number: signal.Signals) -> None:
        """See `Part.send_signal`."""
        os.kill(self._server.pid, number)

    def tend(self) -> None:
        """See `Part.tend`."""
        if self.may_end:
            self._supervise()
            return
        self.is_ready()
        if self.ready_s is not None and not _is_alive(self._server.pid):
            raise DrillError(f"a server ended by itself\n{self.log_tail()}")

    def _break_off(self) -> None:
        """End a start that is on, and wait for what becomes of it."""
        if self._starting is None:
            return
        if not self._starting.done():
            with suppress(AssertionError, ProcessLookupError):  # its process is not there yet
                os.kill(self._server.pid, signal.SIGKILL)
        self._starting.exception(END_LIMIT_S)

    def _supervise(self) -> None:
        starting = self._starting
        if starting is None or not starting.done():
            return
        if starting.exception() is None and _is_alive(self._server.pid):
            return
        if time.monotonic() > self._again_s:
            self._again_s = time.monotonic() + SERVER_PAUSE_S
            self.restarts += 1
            self._server.kill()
            self.start()

    def stop(self) -> None:
        """See `Part.stop`."""
        self._break_off()
        self._starter.shutdown()
        self._server.kill()

    def log_tail(self) -> str:
        """See `Part.log_tail`."""
        return self._log_tail()[-LOG_TAIL_CHARS:]

    @property
    def pid(self) -> int:
        """See `Part.pid`."""
        return self._server.pid


def _is_alive(pid: int) -> bool:
    """False for one that has ended and was not waited for."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"
