"""What a node may answer: ranges refused, tags unknown, shapes that are no JSON-RPC. Never more than a ServiceError."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from lading.chain import FINALIZED, Chain, connect
from lading.errors import ServiceError

ADDRESS = bytes(20)
HASH = "0x" + "11" * 32


class Ranges:
    """Has an event in each block up to `head`, and gives those of at most `span_max` blocks at once."""

    def __init__(self, head: int, span_max: int) -> None:
        self._head = head
        self._span_max = span_max
        self._has_events = True
        self.asked: list[tuple[int, int]] = []

    def recover(self, *, has_events: bool) -> None:
        """Give any range from now on."""
        self._span_max, self._has_events = 1 << 40, has_events
        self.asked.clear()

    def request(self, method: str, params: list[Any]) -> Any:
        """eth_getLogs, and the head's block."""
        if method == "eth_getBlockByNumber":
            return {"number": hex(self._head), "hash": HASH, "timestamp": "0x1", "baseFeePerGas": "0x1"}
        first, last = (int(params[0][name], 16) for name in ("fromBlock", "toBlock"))
        self.asked.append((first, last))
        if last - first >= self._span_max:
            raise ServiceError("chain_rpc", "eth_getLogs: -32602 block range is too wide")
        return [_log(number) for number in range(first, last + 1)] if self._has_events else []


def _log(number: int) -> dict[str, Any]:
    place = {"blockNumber": hex(number), "blockHash": HASH, "transactionHash": HASH}
    return {"address": "0x" + "00" * 20, "topics": [], "data": "0x"} | place


@pytest.mark.parametrize(("head", "span_max"), [(0, 1), (7, 1), (100, 1), (1000, 7), (1000, 10_000)])
def test_events_of_ranges_that_a_node_allows(head: int, span_max: int) -> None:
    """Each event once and in order, whatever range a node allows; a second look asks little in vain."""
    rpc = Ranges(head, span_max)
    chain = Chain(rpc)
    for _ in range(2):
        rpc.asked.clear()
        found = chain.events(ADDRESS, [], first=0)
        assert [event.block_number for event in found] == list(range(head + 1))
    assert len(rpc.asked) <= 2 + 2 * (head + 1) / min(span_max, head + 1)


def test_a_node_that_failed_for_a_while_is_asked_for_much_again() -> None:
    """Errors that had nothing to do with the range made it one block: a look of 200 000 blocks still ends, soon."""
    rpc = Ranges(200_000, 0)
    chain = Chain(rpc)
    with pytest.raises(ServiceError, match="too wide"):
        chain.events(ADDRESS, [])
    rpc.recover(has_events=False)
    assert chain.events(ADDRESS, []) == []
    assert len(rpc.asked) < 200


def test_events_up_to_no_block() -> None:
    """No final block yet: no final events."""
    assert Chain(Ranges(5, 10)).events(ADDRESS, [], last=-1) == []


def test_a_node_that_refuses_every_range_has_failed() -> None:
    """Not even one block: the node's words."""
    with pytest.raises(ServiceError, match="too wide"):
        Chain(Ranges(5, 0)).events(ADDRESS, [])


@pytest.mark.parametrize("text", ["finalized block not found", "Unknown block"])
def test_a_tag_that_a_node_does_not_know(text: str) -> None:
    """Nodes without a finalized block say so by an error: there is none, as with null."""

    class Without:
        def request(self, method: str, params: list[Any]) -> Any:
            raise ServiceError("chain_rpc", f"{method} {params}: -39001 {text}")

    assert Chain(Without()).height(FINALIZED) == -1
    with pytest.raises(ServiceError):
        Chain(Without()).head()


ODD = [
    b"",
    b"<html>",
    b"[]",
    b"3",
    b"null",
    b'{"id":1}',
    b'{"jsonrpc":"2.0","id":99,"result":"0x1"}',
    b'{"id":',
] + [
    json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()
    for result in (3, "0xzz", "latest", [], {}, {"number": "0x1"}, {"blockHash": HASH, "logs": 3})
]


@pytest.fixture
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A node that answers everything with these bytes."""
    body: bytes = request.param

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Requests are not logged."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("url", ODD, indirect=True)
def test_odd_answers_are_service_errors(url: str) -> None:
    """No answer of another shape, or to another request, gets further than a ServiceError, or tells of anything."""
    asks: list[Callable[[Chain], object]] = [
        lambda chain: chain.chain_id,
        lambda chain: chain.head(),
        lambda chain: chain.receipt(bytes(32)),
        lambda chain: chain.events(ADDRESS, [], 0, 9),
    ]
    for ask in asks:
        try:
            told = ask(connect(url))
        except ServiceError:
            continue
        assert told in (None, [])


class Losing(BaseHTTPRequestHandler):
    """Loses every answer but each third."""

    asked = 0

    def do_POST(self) -> None:
        """Answer with the chain id, or not at all."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).asked += 1
        if type(self).asked % 3:
            self.close_connection = True
            return
        body = json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": "0x7a69"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Requests are not logged."""


def test_lost_answers_are_asked_for_again_and_nothing_is_sent_twice() -> None:
    """A question is asked three times before the step fails; a transaction is handed over once."""
    server = HTTPServer(("127.0.0.1", 0), Losing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    chain = connect(f"http://127.0.0.1:{server.server_address[1]}")
    Losing.asked = 0
    assert chain.chain_id == 31_337
    assert Losing.asked == 3
    with pytest.raises(ServiceError, match="chain_unreachable"):
        chain.send_raw(b"\x02")
    assert Losing.asked == 4
    server.shutdown()
    server.server_close()
