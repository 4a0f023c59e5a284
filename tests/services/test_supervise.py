"""Promises: what dies is started again, what others need is waited for, a signal stops all of it."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lading.errors import ServiceError
from lading.supervise import Part, Supervisor
from tests.ports import free_port
from tests.waiting import until

LIMIT_S = 60.0


def test_a_part_with_a_port_is_waited_for() -> None:
    """`start` returns once something listens there, and `stop` ends it."""
    port = free_port()
    listen = f"import socket, time; time.sleep(0.3); s = socket.create_server(('127.0.0.1', {port})); time.sleep(60)"
    supervisor = Supervisor(lambda name, line: None)
    supervisor.start(Part("listener", [sys.executable, "-c", listen], port), LIMIT_S)
    socket.create_connection(("127.0.0.1", port), 1).close()
    supervisor.stop()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), 1)


def test_anothers_port_is_not_taken_for_the_parts_own() -> None:
    """Where something else listens already the part is not started: stages would trust a stranger's broker or chain."""
    supervisor = Supervisor(lambda name, line: None)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ServiceError, match=f"listens on port {port} already"):
            supervisor.start(Part("broker", [sys.executable, "-c", "raise SystemExit(3)"], port), LIMIT_S)
    supervisor.stop()


def test_a_part_that_ends_at_once_is_an_error() -> None:
    """Nothing is waited for in vain."""
    supervisor = Supervisor(lambda name, line: None)
    with pytest.raises(ServiceError, match="ended with 3"):
        supervisor.start(Part("broken", [sys.executable, "-c", "raise SystemExit(3)"], free_port()), LIMIT_S)
    supervisor.stop()


def test_what_is_killed_starts_again_and_sigterm_stops_all(tmp_path: Path) -> None:
    """A part killed with SIGKILL runs again; SIGTERM to the supervisor ends the part too."""
    pids = tmp_path / "pids"
    child = f"import os, time; print(os.getpid(), file=open({str(pids)!r}, 'a'), flush=True); time.sleep(60)"
    script = (
        "import sys\nfrom lading.supervise import Part, Supervisor\n"
        "s = Supervisor(lambda name, line: print(name, line, flush=True))\n"
        f"s.start(Part('child', [sys.executable, '-c', {child!r}]))\ns.watch()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)

    def started() -> list[int]:
        return [int(line) for line in pids.read_text().split()] if pids.exists() else []

    until(lambda: len(started()) == 1, LIMIT_S)
    kill(started()[0])
    until(lambda: len(started()) == 2, LIMIT_S)
    process.terminate()
    output, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0
    assert "child ended with -9; starts again" in output
    assert "up stops its parts" in output  # it may take a while, and whoever interrupted it looks on
    with pytest.raises(ProcessLookupError):
        kill(started()[1])


def test_nobody_has_to_read_what_parts_say(tmp_path: Path) -> None:
    """With the reader of its lines gone (`lading up | head`), all parts go on; one that says much is not held up."""
    done = tmp_path / "done"
    child = (
        "import pathlib, time\nfor n in range(3_000):\n    print('x' * 100, flush=True)\n"
        f"pathlib.Path({str(done)!r}).touch(); time.sleep(60)"
    )
    script = (
        "import sys\nfrom rich.console import Console\nfrom lading.operate import shower\n"
        "from lading.supervise import Part, Supervisor\ns = Supervisor(shower(Console(stderr=True)))\n"
        f"s.start(Part('child', [sys.executable, '-c', {child!r}]))\ns.watch()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        process.stderr.close()
        try:
            until(done.exists, LIMIT_S)
            process.terminate()
            assert process.wait(LIMIT_S) == 0
        finally:
            process.kill()


def kill(pid: int) -> None:
    import os

    os.kill(pid, signal.SIGKILL)
