"""The documented routes of Grafana's HTTP API that we call, in memory: a peer's protocol, not Grafana itself.

grafana.com/docs/grafana/v11.6/developers/http_api: annotations, dashboard, alerting_provisioning, data_source.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "glsa_of_the_tests"


class GrafanaPeer:
    """What it holds, and how it may fail: `fail` answers 500 so many times, `lose` does and does not answer."""

    def __init__(self) -> None:
        self.annotations: dict[int, dict[str, Any]] = {}
        self.boards: dict[str, Any] = {}
        self.rules: list[dict[str, Any]] = []
        self.sources: dict[str, Any] = {}
        self.calls: list[str] = []
        self.fail = self.lose = 0
        self.next_id = 1
        self.url = ""

    def answer(self, method: str, path: str, query: dict[str, list[str]], document: Any) -> tuple[int, Any]:
        """Status and document."""
        self.calls.append(f"{method} {path}")
        if path == "/api/annotations" and method == "GET":
            return 200, self._found(query)
        if path == "/api/annotations":
            self.annotations[self.next_id] = self._kept(document)
            self.next_id += 1
            return 200, {"message": "Annotation added", "id": self.next_id - 1}
        if path.startswith("/api/annotations/"):
            return self._one(method, int(path.rsplit("/", 1)[1]), document)
        if path == "/api/v1/provisioning/alert-rules":
            return 200, self.rules
        for prefix, things in (
            ("/api/dashboards/uid/", self.boards),
            ("/api/datasources/uid/", self.sources),
        ):
            if path.startswith(prefix):
                found = things.get(path.removeprefix(prefix))
                return (200, found) if found else (404, {"message": "not found"})
        return 404, {"message": "not found"}

    def _one(self, method: str, number: int, document: Any) -> tuple[int, Any]:
        if number not in self.annotations:
            return 404, {"message": "Annotation not found"}
        if method == "DELETE":
            del self.annotations[number]
            return 200, {"message": "Annotation deleted"}
        self.annotations[number] |= self._kept({**self.annotations[number], **document})
        return 200, {"message": "Annotation patched"}

    def _found(self, query: dict[str, list[str]]) -> list[dict[str, Any]]:
        wanted = set(query.get("tags", []))
        found = [
            {"id": number, **one} for number, one in self.annotations.items() if wanted <= set(one["tags"])
        ]
        return found[: int(query.get("limit", ["100"])[0])]

    @staticmethod
    def _kept(document: Any) -> dict[str, Any]:
        time_ms = int(document["time"])
        tags = [tag.strip() for tag in document["tags"]]
        assert all(len(tag) <= 100 for tag in tags)
        return {
            "time": time_ms,
            "timeEnd": int(document.get("timeEnd") or time_ms),
            "text": document["text"],
            "tags": tags,
        }

    def texts(self) -> list[str]:
        """What its annotations say, by time."""
        return [
            one["text"]
            for one in sorted(self.annotations.values(), key=lambda one: (one["time"], one["text"]))
        ]


def _handler(peer: GrafanaPeer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            document = json.loads(self.rfile.read(length)) if length else None
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self._send(401, {"message": "Invalid API key"})
            if peer.fail:
                peer.fail -= 1
                return self._send(500, {"message": "database is locked"})
            status, answer = peer.answer(self.command, parts.path, parse_qs(parts.query), document)
            if peer.lose and self.command == "POST":
                peer.lose -= 1
                self.close_connection = True
                return None
            return self._send(status, answer)

        def _send(self, status: int, answer: Any) -> None:
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def grafana_peer() -> Iterator[GrafanaPeer]:
    """One that listens on a free port."""
    peer = GrafanaPeer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(peer))
    peer.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield peer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
