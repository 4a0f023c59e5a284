"""Promises of the health server: three pages, bounded, and never in the way of the stage."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from lading.errors import ServiceError
from lading.health import REQUESTS_MAX, watched
from lading.heart import Heart
from lading.settings import LadingSettings, Shared, StageSettings
from tests.ports import free_port
from tests.waiting import until


def get(port: int, path: str) -> tuple[int, str]:
    """Status and body; (0, "") when hung up on."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read().decode()
    except OSError:
        return 0, ""


def document(port: int, path: str) -> tuple[int, Any]:
    """Status and JSON body."""
    status, body = get(port, path)
    return status, json.loads(body)


@pytest.fixture
def shared(tmp_path: Any) -> Shared:
    return Shared(lading=LadingSettings(data=tmp_path))


@pytest.fixture
def shown(shared: Shared) -> Iterator[tuple[Heart, int]]:
    """A heart and where it is shown."""
    port = free_port()
    with watched("anomaly", shared, StageSettings(metrics_port=port, step_limit_s=1)) as heart:
        yield heart, port


def test_health_follows_the_loop(shown: tuple[Heart, int]) -> None:
    """Alive from the start, ready after a step, not ready after a failure, dead when the loop does not turn."""
    heart, port = shown
    assert get(port, "/healthz")[0] == 200
    assert document(port, "/readyz")[1]["not_ready"] == {"step": "none has succeeded yet"}
    heart.stepped()
    status, found = document(port, "/readyz")
    assert (status, found["ready"], found["stage"]) == (200, True, "anomaly")
    heart.failed(ServiceError("log_failed", "locked"))
    status, found = document(port, "/readyz")
    assert (status, found["not_ready"]) == (503, {"step": "log_failed: locked"})
    assert found["last_failure"]["code"] == "log_failed"
    until(lambda: get(port, "/healthz")[0] == 503)
    assert get(port, "/readyz")[0] == 503


def test_metrics_are_shown(shown: tuple[Heart, int]) -> None:
    """Prometheus text with the stage's and the process's metrics."""
    heart, port = shown
    heart.stepped()
    status, text = get(port, "/metrics")
    assert status == 200
    assert "lading_process_steps_total 1.0" in text
    assert "lading_process_ready_ratio 1.0" in text
    assert 'lading_process_info{stage="anomaly"' in text
    assert "lading_anomaly_behind_frames" in text
    free = next(line for line in text.splitlines() if line.startswith("lading_process_disk_free_bytes "))
    assert float(free.split()[1]) > 0


def test_other_pages_are_not_there(shown: tuple[Heart, int]) -> None:
    """404 says what there is."""
    assert get(shown[1], "/")[0] == 404


def test_connections_are_bounded(shown: tuple[Heart, int]) -> None:
    """Those that say nothing take all places for a while; the next is hung up on; then they are."""
    _, port = shown
    idle = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(REQUESTS_MAX)]

    def is_hung_up_on() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=3) as late:
                late.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
                return late.recv(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    until(is_hung_up_on)
    for one in idle:
        assert one.recv(1) == b"", "hung up on after the limit"
        one.close()
    until(lambda: get(port, "/metrics")[0] == 200)


def test_a_port_that_is_taken_does_not_stop_the_stage(
    shared: Shared, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is said, and the stage goes on unseen."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        own = StageSettings(metrics_port=taken.getsockname()[1])
        with watched("anomaly", shared, own) as heart:
            heart.stepped()
    output = capfd.readouterr()
    assert "health_not_served" in output.out + output.err


def test_no_port_no_server(shared: Shared) -> None:
    """Port 0: the heart beats, nothing listens."""
    with watched("anomaly", shared, StageSettings()) as heart:
        heart.stepped()
        assert heart.reasons() == {}
