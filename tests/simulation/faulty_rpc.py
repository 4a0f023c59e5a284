"""A node's JSON-RPC as bad networks and bad providers serve it: between a stage and a real node, over real sockets."""

import json
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lading.evm_words import log_matches

LOG_BLOCKS_MAX = 40
"""A range of eth_getLogs beyond it is refused, always, as providers do."""
LAG_BLOCKS_MAX = 4
WINDOW_REQUESTS_MIN, WINDOW_REQUESTS_MAX = 20, 150
SLOW_S_MAX = 0.02
NODE_TIMEOUT_S = 30.0
_TAGGED = {
    "eth_call": 1,
    "eth_getBalance": 1,
    "eth_getCode": 1,
    "eth_getTransactionCount": 1,
}  # where the tag is

Json = dict[str, Any]


@dataclass(frozen=True)
class DeadBranch:
    """What a reorganisation took away: blocks by number and receipts by hash, as the node told of them before."""

    blocks: Mapping[int, Json] = field(default_factory=dict)
    receipts: Mapping[str, Json] = field(default_factory=dict)

    def answer(self, method: str, params: list[Any], live: Any) -> Any:
        """What a node says that has not heard of the new branch; `live` where it makes no difference."""
        if method == "eth_getTransactionReceipt":
            return self.receipts.get(params[0], live)
        if method == "eth_getBlockByNumber" and str(params[0]).startswith("0x"):
            return self.blocks.get(int(params[0], 16), live)
        if method == "eth_getLogs" and isinstance(live, list):
            lost = [log for receipt in self.receipts.values() for log in receipt["logs"]]
            found = [log for log in lost if log_matches(log, params[0]["address"], params[0]["topics"])]
            return [log for log in live if int(log["blockNumber"], 16) not in self.blocks] + found
        return live


class FaultyRpc:
    """Serves on `url` what the node at `port` answers, and worse.

    A share `rate` of requests is served badly, in ways that the seed chooses. Besides there are windows in which half
    of all requests reach a node that is some blocks behind, or one that still has a branch that was given up.
    `before` is called ahead of each request, whoever asks: the drill changes the chain there, between any two of them.
    """

    def __init__(self, node_port: int, seed: str, rate: float) -> None:
        self.rate = rate
        self.before: Callable[[], None] = lambda: None
        self.served: Counter[str] = Counter()
        self.lock = threading.RLock()
        self._node_port = node_port
        self._rng = random.Random(seed)
        self._number = 0
        self._last = b""  # the answer before this one
        self._lag = self._lag_left = self._dead_left = 0
        self._dead = DeadBranch()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.rpc = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()

    def calm(self) -> None:
        """From now on as the node answers; the limit of eth_getLogs stays."""
        with self.lock:
            self.rate = 0.0
            self._lag_left = self._dead_left = 0

    def remember(self, dead: DeadBranch) -> None:
        """A branch was given up: some of the next requests may reach a node that still has it."""
        if self.rate and self._rng.random() < 0.5:
            self._dead, self._dead_left = dead, self._window()

    def serve(self, handler: "_Handler", body: bytes) -> None:
        """Answer one request, in one way or another."""
        with self.lock:
            self.before()
            asked: Json = json.loads(body)
            fault = self._fault(asked["method"])
            self.served[fault or "well"] += 1
            if fault == "slow":
                time.sleep(self._rng.uniform(0, SLOW_S_MAX))
            answer = b"" if fault in ("reset", "http_429", "http_500") else self._answer(asked, fault)
            last, self._last = self._last, answer or self._last
        _reply(handler, fault, answer, last)

    def _fault(self, method: str) -> str:
        if self._lag_left == 0 and self.rate and self._rng.random() < self.rate / 20:
            self._lag, self._lag_left = self._rng.randint(1, LAG_BLOCKS_MAX), self._window()
        self._lag_left, self._dead_left = max(0, self._lag_left - 1), max(0, self._dead_left - 1)
        if self._rng.random() < self.rate:
            return self._rng.choice(_FAULTS[method == "eth_sendRawTransaction"])
        if (
            self._dead_left
            and self._rng.random() < 0.5
            and self._height("finalized") < min(self._dead.blocks)
        ):
            return "dead_branch"  # a node hears of the other branch at the latest when it is final
        return "lagging" if self._lag_left and self._rng.random() < 0.5 else ""

    def _window(self) -> int:
        return self._rng.randint(WINDOW_REQUESTS_MIN, WINDOW_REQUESTS_MAX)

    def _answer(self, asked: Json, fault: str) -> bytes:
        """The node's bytes, or other ones."""
        method, params = asked["method"], asked["params"]
        if fault == "rpc_error":
            return _error(asked, *self._rng.choice(_ERRORS))
        if method == "eth_getLogs" and self._is_too_wide(params[0]):
            return _error(asked, -32_602, f"block range is too wide: at most {LOG_BLOCKS_MAX}")
        if fault == "lagging":
            asked = asked | {"params": self._behind(method, params)}
        answer: Json = json.loads(self._ask(asked))
        if fault == "lagging" and self._is_ahead(method, answer):
            answer["result"] = None
        if fault == "dead_branch" and "result" in answer:
            answer["result"] = self._dead.answer(method, params, answer["result"])
        if fault == "null":
            answer = {"jsonrpc": "2.0", "id": asked["id"], "result": None}
        if fault == "known":
            return _error(asked, -32_000, self._rng.choice(("already known", "nonce too low", "try later")))
        return json.dumps(answer).encode()

    # A node some blocks behind

    def _behind(self, method: str, params: list[Any]) -> list[Any]:
        if method == "eth_getBlockByNumber":
            return [self._older(params[0]), *params[1:]]
        if method in _TAGGED:
            at = _TAGGED[method]
            return [*params[:at], self._older(params[at]), *params[at + 1 :]]
        if method == "eth_estimateGas":
            return [params[0], self._older("latest")]
        if method == "eth_getLogs":
            return [params[0] | {"toBlock": self._older(params[0]["toBlock"])}]
        return params

    def _older(self, tag: str) -> str:
        """The block that the node behind has at a tag; a number stays, up to its head."""
        if tag.startswith("0x"):
            return tag
        found = self._result("eth_getBlockByNumber", "latest" if tag == "pending" else tag, False)
        return tag if found is None else hex(max(0, int(found["number"], 16) - self._lag))

    def _is_ahead(self, method: str, answer: Json) -> bool:
        """Whether the node behind does not have that block yet."""
        found = answer.get("result")
        names = {"eth_getTransactionReceipt": "blockNumber", "eth_getBlockByNumber": "number"}
        if method not in names or not found:
            return False
        return int(found[names[method]], 16) > int(self._older("latest"), 16)

    def _is_too_wide(self, query: Json) -> bool:
        first, last = (self._height(query[name]) for name in ("fromBlock", "toBlock"))
        return last - first >= LOG_BLOCKS_MAX

    def _height(self, tag: str) -> int:
        if tag.startswith("0x"):
            return int(tag, 16)
        found = self._result("eth_getBlockByNumber", tag, False)
        return 0 if found is None else int(found["number"], 16)

    # The node

    def _result(self, method: str, *params: Any) -> Any:
        return json.loads(self._ask({"jsonrpc": "2.0", "id": 0, "method": method, "params": params}))[
            "result"
        ]

    def _ask(self, asked: Json) -> bytes:
        connection = HTTPConnection("127.0.0.1", self._node_port, timeout=NODE_TIMEOUT_S)
        try:
            connection.request("POST", "/", json.dumps(asked), {"Content-Type": "application/json"})
            return connection.getresponse().read()
        finally:
            connection.close()


_READ_FAULTS = (
    "reset",
    "http_429",
    "http_500",
    "lost_answer",
    "truncated",
    "no_json",
    "no_object",
    "answer_of_another",
    "slow",
    "null",
    "rpc_error",
)
_FAULTS = (_READ_FAULTS, (*_READ_FAULTS, "known", "known", "lost_answer", "lost_answer"))
_ERRORS = (
    (-32_005, "limit exceeded"),
    (-32_000, "header not found"),
    (-32_000, "missing trie node"),
    (-32_603, "internal error"),
)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    rpc: FaultyRpc

    def handle_error(self, *_: Any) -> None:
        """A client that went away, or was killed."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        """One request."""
        self.server.rpc.serve(self, self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, *_: object) -> None:
        """Requests are not logged."""


def _reply(handler: _Handler, fault: str, answer: bytes, last: bytes) -> None:
    if fault in ("reset", "lost_answer"):
        _reset(handler)
        return
    status = {"http_429": 429, "http_500": 500}.get(fault, 200)
    other = {"no_json": b"<html>upstream</html>", "no_object": b"[]", "answer_of_another": last}
    body = other.get(fault) or answer or b"{}"
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2] if fault == "truncated" else body)
    if fault == "truncated":
        handler.wfile.flush()
        _reset(handler)


def _reset(handler: _Handler) -> None:
    """Close with RST: what was not read yet is lost."""
    handler.close_connection = True
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _error(asked: Json, code: int, message: str) -> bytes:
    return json.dumps(
        {"jsonrpc": "2.0", "id": asked["id"], "error": {"code": code, "message": message}}
    ).encode()
