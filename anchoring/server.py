"""One local py-evm chain for several processes: JSON-RPC over HTTP, on this machine only."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lading.chain import RevertedError, Rpc
from lading.errors import LadingError, ServiceError

BODY_BYTES_MAX = 8 * 1024 * 1024
BATCH_REQUESTS_MAX = 1000
HOST = "127.0.0.1"
_PARSE, _INVALID, _INTERNAL, _REVERTED = -32700, -32600, -32000, 3


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    rpc: Rpc


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one packet: unbuffered, each answer waits for a delayed ACK
    disable_nagle_algorithm = True
    timeout = 60
    server: _Server

    def do_POST(self) -> None:
        """Answer one request or a batch."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or not 0 < int(length) <= BODY_BYTES_MAX:
            self.close_connection = True  # the body, if there is one, is not read
            self.send_error(413, f"a body of 1 to {BODY_BYTES_MAX} bytes is wanted")
            return
        if self.headers.get_content_type() != "application/json":  # what a web page may not send here unasked
            self.close_connection = True
            self.send_error(415, "application/json is wanted")
            return
        body = json.dumps(self._answer(self.rfile.read(int(length)))).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, body: bytes) -> Any:
        try:
            asked = json.loads(body)
        except ValueError:
            return _error(None, _PARSE, "no JSON")
        if isinstance(asked, list):
            if not 0 < len(asked) <= BATCH_REQUESTS_MAX:
                return _error(None, _INVALID, f"a batch of 1 to {BATCH_REQUESTS_MAX} is wanted")
            return [self._one(one) for one in asked]
        return self._one(asked)

    def _one(self, asked: Any) -> dict[str, Any]:
        if not isinstance(asked, dict) or not isinstance(asked.get("method"), str):
            return _error(None, _INVALID, "no request")
        number, params = asked.get("id"), asked.get("params", [])
        try:
            if not isinstance(params, list):
                raise TypeError("params are no array")
            return {
                "jsonrpc": "2.0",
                "id": number,
                "result": self.server.rpc.request(asked["method"], params),
            }
        except RevertedError as exc:
            return _error(number, _REVERTED, exc.text, "0x" + exc.data.hex())
        except LadingError as exc:
            return _error(number, _INTERNAL, exc.text)
        except (TypeError, ValueError, KeyError, AttributeError) as exc:  # another shape than the method's
            return _error(number, _INVALID, f"{asked['method']}: {exc}")

    def log_message(self, *_args: object) -> None:
        """Requests are not logged."""


def _error(number: Any, code: int, message: str, data: str | None = None) -> dict[str, Any]:
    error = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return {"jsonrpc": "2.0", "id": number, "error": error}


def make_server(rpc: Rpc, port: int) -> ThreadingHTTPServer:
    """A server for `serve_forever()`; port 0 takes a free one (`server_address[1]`). ServiceError `port`."""
    try:
        server = _Server((HOST, port), _Handler)
    except OSError as exc:
        raise ServiceError("port", f"{HOST}:{port}: {exc.strerror}") from exc
    server.rpc = rpc
    return server
