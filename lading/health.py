"""What a stage's process shows: `/healthz`, `/readyz` and `/metrics`, served by threads beside the stage's loop.

/healthz   200 while the loop has turned within `step_limit_s`, else 503: the process should be started again
/readyz    200 while the last step succeeded and all that the stage needs is there, else 503; JSON says what is not
/metrics   Prometheus text
"""

import json
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import structlog

from lading import __version__, metrics, topics
from lading.heart import Heart, Probe
from lading.log import Log
from lading.settings import Shared, StageSettings

REQUEST_LIMIT_S = 5.0
REQUESTS_MAX = 16
_TEXT, _JSON = "text/plain; version=0.0.4; charset=utf-8", "application/json"


@contextmanager
def watched(
    stage: str,
    shared: Shared,
    own: StageSettings,
    probes: Mapping[str, Probe] | None = None,
    measure: Callable[[], None] = lambda: None,
    *,
    with_stages: tuple[str, ...] = (),
) -> Iterator[Heart]:
    """The stage's heart; shown on the settings' port, where there is one. `with_stages` run in the same process."""
    heart = Heart(stage, probes, measure, step_limit_s=own.step_limit_s)
    server = _start(heart, shared, own, (stage, *with_stages)) if own.metrics_port else None
    try:
        yield heart
    finally:
        if server is not None:
            server.shutdown()
            server.server_close()


def log_answers(log: Log) -> Probe:
    """The log says where it ends."""
    return lambda: "" if log.end(topics.FRAMES) else "no partitions"


def _start(
    heart: Heart, shared: Shared, own: StageSettings, stages: tuple[str, ...]
) -> "HealthServer | None":
    """A port that is taken is said, and no more: what the stage does matters more than that it is seen."""
    log = structlog.get_logger()
    try:
        server = HealthServer(own.metrics_host, own.metrics_port, heart, metrics.make(stages))
    except OSError as exc:
        log.error("health_not_served", host=own.metrics_host, port=own.metrics_port, reason=str(exc))
        return None
    _follow(heart, shared)
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True, name="health").start()
    log.info("health_served", host=own.metrics_host, port=server.server_port)
    return server


def _follow(heart: Heart, shared: Shared) -> None:
    data, log = shared.lading.data, shared.lading.below(shared.log.path)
    metrics.PROCESS_INFO.set(1, heart.stage, __version__)
    metrics.PROCESS_READY.follow(lambda: float(not heart.reasons()))
    metrics.PROCESS_STEP_AGE.follow(heart.age_s)
    metrics.PROCESS_DISK_FREE.follow(lambda: _disk_free(data))
    metrics.PROCESS_LOG.follow(lambda: _size(log) + _size(log.with_name(log.name + "-wal")))


class HealthServer(ThreadingHTTPServer):
    """Serves one heart and one registry of metrics. At most REQUESTS_MAX at a time: others are hung up on."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, host: str, port: int, heart: Heart, registry: Any) -> None:
        self.heart = heart
        self.registry = registry
        self._free = threading.BoundedSemaphore(REQUESTS_MAX)
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread of its own, if one is free."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Let the next one in afterwards."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Somebody hung up: nothing to say of it."""


class _Handler(BaseHTTPRequestHandler):
    server: HealthServer
    timeout = REQUEST_LIMIT_S

    def do_GET(self) -> None:
        """The three pages."""
        heart = self.server.heart
        match self.path.partition("?")[0]:
            case "/metrics":
                from prometheus_client import generate_latest

                self._answer(200, _TEXT, generate_latest(self.server.registry))
            case "/healthz":
                self._answer_document(heart.is_alive(), heart.document())
            case "/readyz":
                self._answer_document(not heart.reasons(), heart.document())
            case _:
                self._answer(404, "text/plain", b"wanted /healthz, /readyz or /metrics\n")

    def _answer_document(self, is_good: bool, document: dict[str, Any]) -> None:
        body = json.dumps({**document, "version": __version__}).encode()
        self._answer(200 if is_good else 503, _JSON, body)

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """A look is no event."""


def _disk_free(folder: Path) -> float:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0.0


def _size(path: Path) -> float:
    try:
        return path.stat().st_size
    except OSError:
        return 0.0
