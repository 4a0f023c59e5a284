"""The chain in our words: blocks, calls, receipts and events over any JSON-RPC.

The port is `Rpc`: one method. Two sides implement it and pass one shared test class: `HttpRpc` (any EVM node, by
web3) and `lading.evm.EvmNode` (py-evm in this process). `Chain` is the same for both.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

from lading.errors import RejectedError, ServiceError

EVENTS_MAX = 100_000  # of one query
EVENTS_SPAN_FIRST = 1 << 40  # blocks of one query, until the node refuses that many
EVENTS_QUERIES_MAX = 100_000  # that one look may take
EVENTS_GROW_AFTER = 8  # ranges that went through in a row: twice as many blocks are asked for
CALL_BYTES_MAX = 4 * 1024 * 1024  # answer of one call
LATEST, SAFE, FINALIZED = "latest", "safe", "finalized"
HTTP_TIMEOUT_S = 10
AGAIN_S = (0.05, 0.25)  # pauses before a question is asked again


class Rpc(Protocol):
    """An Ethereum JSON-RPC, wherever it runs."""

    def request(self, method: str, params: list[Any]) -> Any:
        """The `result` of one request. RevertedError, RejectedError `chain_refused`, ServiceError `chain_*`."""
        ...


class RevertedError(RejectedError):
    """A contract refused; `data` holds its ABI-encoded error (see `lading.abi.Contract`, which names it)."""

    def __init__(self, code: str, text: str, data: bytes) -> None:
        super().__init__(code, text)
        self.data = data


@dataclass(frozen=True, slots=True)
class Block:
    """What we use of a block. `base_fee` in wei per gas, `time_s` in seconds since 1970."""

    number: int
    hash: bytes
    time_s: int
    base_fee: int


@dataclass(frozen=True, slots=True)
class Event:
    """One log entry of a contract."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: bytes
    tx_hash: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a mined transaction; `contract` is set when it created one."""

    tx_hash: bytes
    ok: bool
    block_number: int
    block_hash: bytes
    gas_used: int
    contract: bytes | None
    events: tuple[Event, ...]


class Chain:
    """Reads and sends over an Rpc. Block tags: latest, safe, finalized, or a number."""

    def __init__(self, rpc: Rpc) -> None:
        self.rpc = rpc
        self._chain_id: int | None = None
        self._events_span = EVENTS_SPAN_FIRST

    @property
    def chain_id(self) -> int:
        """EIP-155 chain id; asked once."""
        if self._chain_id is None:
            self._chain_id = self.chain_id_now()
        return self._chain_id

    def chain_id_now(self) -> int:
        """What the node says now: behind one URL there may be another chain one day."""
        return _quantity(self.rpc.request("eth_chainId", []))

    def block(self, tag: str | int) -> Block | None:
        """The block at a tag or number; None when there is none."""
        found = self.rpc.request("eth_getBlockByNumber", [_tag(tag), False])
        if found is None:
            return None
        with answers():
            base_fee = _quantity(found.get("baseFeePerGas") or "0x0")
            return Block(
                _quantity(found["number"]), _bytes(found["hash"]), _quantity(found["timestamp"]), base_fee
            )

    def head(self) -> Block:
        """The latest block."""
        block = self.block(LATEST)
        if block is None:
            raise ServiceError("chain_empty", "the node knows no latest block")
        return block

    def height(self, tag: str) -> int:
        """The number of the block at a tag; −1 when the node knows none yet."""
        block = self._tagged(tag)
        return -1 if block is None else block.number

    def final_block(self) -> Block | None:
        """The newest finalized block; None when the node knows none yet."""
        return self._tagged(FINALIZED)

    def _tagged(self, tag: str) -> Block | None:
        try:
            return self.block(tag)
        except ServiceError as exc:
            if exc.code == "chain_rpc" and tag in (SAFE, FINALIZED) and _says_unknown(exc.text):
                return None
            raise

    def call(self, to: bytes, data: bytes, sender: bytes = bytes(20), tag: str | int = LATEST) -> bytes:
        """Run a call without sending it; RevertedError when the contract refuses."""
        fields = {"from": _hex(sender), "to": _hex(to), "data": _hex(data)}
        return _bytes(self.rpc.request("eth_call", [fields, _tag(tag)]), CALL_BYTES_MAX)

    def estimate(self, sender: bytes, to: bytes | None, data: bytes) -> int:
        """Gas that a transaction would need now; RevertedError when it would be refused."""
        fields = {"from": _hex(sender), "data": _hex(data)} | ({} if to is None else {"to": _hex(to)})
        return _quantity(self.rpc.request("eth_estimateGas", [fields]))

    def tip_wei(self) -> int:
        """The tip per gas that the node proposes."""
        return _quantity(self.rpc.request("eth_maxPriorityFeePerGas", []))

    def nonce(self, address: bytes, tag: str | int = LATEST) -> int:
        """Transactions sent from an address, up to a block."""
        return _quantity(self.rpc.request("eth_getTransactionCount", [_hex(address), _tag(tag)]))

    def balance(self, address: bytes) -> int:
        """Wei."""
        return _quantity(self.rpc.request("eth_getBalance", [_hex(address), LATEST]))

    def code(self, address: bytes) -> bytes:
        """Runtime code; empty where there is no contract."""
        return _bytes(self.rpc.request("eth_getCode", [_hex(address), LATEST]))

    def send_raw(self, raw: bytes) -> bytes:
        """Hand signed bytes to the node. RejectedError `chain_refused`, with the node's words, when it refuses."""
        return _bytes(self.rpc.request("eth_sendRawTransaction", [_hex(raw)]))

    def receipt(self, tx_hash: bytes) -> Receipt | None:
        """The receipt on the canonical chain; None while there is none, and again after a reorganisation."""
        found = self.rpc.request("eth_getTransactionReceipt", [_hex(tx_hash)])
        if found is None:
            return None
        with answers():
            return None if found.get("blockHash") is None else _receipt(found)

    def events(
        self, address: bytes, topics: Sequence[bytes | None], first: int = 0, last: str | int = LATEST
    ) -> list[Event]:
        """Events of a contract in blocks first..last whose topics begin so (None: any).

        In as many queries as the node wants: where it refuses a range, half of it is asked for. After some that went
        through, and at the next look, it is twice as much again, for a refusal may have had another reason.
        """
        end = last if isinstance(last, int) else self.height(last)
        found: list[Event] = []
        in_a_row = 0
        for _ in range(EVENTS_QUERIES_MAX):
            if first > end:
                self._widen()
                return found
            until = min(end, first + self._events_span - 1)
            part = self._events_of(address, topics, first, until)
            if part is None:
                self._events_span, in_a_row = (until - first + 1) // 2, 0
                continue
            found += part
            first, in_a_row = until + 1, in_a_row + 1
            if in_a_row % EVENTS_GROW_AFTER == 0:
                self._widen()
            if len(found) > EVENTS_MAX:
                raise ServiceError("chain_events", f"{len(found)} events, wanted at most {EVENTS_MAX}")
        raise ServiceError(
            "chain_events", f"{EVENTS_QUERIES_MAX} queries of {self._events_span} blocks did not reach {end}"
        )

    def _widen(self) -> None:
        self._events_span = min(2 * self._events_span, EVENTS_SPAN_FIRST)

    def _events_of(
        self, address: bytes, topics: Sequence[bytes | None], first: int, last: int
    ) -> list[Event] | None:
        """Those of one query; None: the node refuses it, and fewer blocks may do."""
        query = {
            "address": _hex(address),
            "topics": [None if topic is None else _hex(topic) for topic in topics],
            "fromBlock": hex(first),
            "toBlock": hex(last),
        }
        try:
            found = self.rpc.request("eth_getLogs", [query])
        except ServiceError as exc:
            if exc.code != "chain_rpc" or first == last:
                raise
            return None
        with answers():
            return [_event(log) for log in found]


class HttpRpc:
    """A node's JSON-RPC over HTTP, by web3's provider.

    A question whose answer was lost, or is none, is asked again at once, a few times: a step of a stage has hundreds
    of them, and fails with one. What is sent is not: the caller's step comes again.
    """

    def __init__(self, url: str, timeout_s: float = HTTP_TIMEOUT_S) -> None:
        from web3 import HTTPProvider  # a second to import: only where a node is used

        self.url = url
        self._provider = HTTPProvider(
            url, request_kwargs={"timeout": timeout_s}, exception_retry_configuration=None
        )
        self._numbers = count(1)

    def request(self, method: str, params: list[Any]) -> Any:
        """The `result` of one request. ServiceError `chain_unreachable` when there is no answer to it."""
        for pause_s in AGAIN_S:
            try:
                return self._ask(method, params)
            except ServiceError as exc:
                if exc.code != "chain_unreachable" or method == "eth_sendRawTransaction":
                    raise
            time.sleep(pause_s)
        return self._ask(method, params)

    def _ask(self, method: str, params: list[Any]) -> Any:
        from requests.exceptions import RequestException  # web3's own transport
        from web3.types import RPCEndpoint

        number = next(self._numbers)
        self._provider.request_counter = count(number)
        try:
            answer: Any = self._provider.make_request(RPCEndpoint(method), params)
        except (RequestException, OSError, ValueError) as exc:
            why = (
                getattr(exc.args[0], "reason", exc) if exc.args else exc
            )  # what the client's retries ended with
            raise ServiceError("chain_unreachable", f"{self.url}: {method}: {why}") from exc
        if (
            not isinstance(answer, dict)
            or answer.get("id") != number
            or not answer.keys() & {"result", "error"}
        ):
            text = f"{self.url}: {method}: {str(answer)[:80]!r} is no answer to request {number}"
            raise ServiceError("chain_unreachable", text)
        error = answer.get("error")
        if error is not None:
            raise_rpc_error(method, dict(error) if isinstance(error, dict) else {"message": str(error)})
        return answer.get("result")


def raise_rpc_error(method: str, error: dict[str, Any]) -> None:
    """Raise ours for a JSON-RPC error object; nodes differ in where they put a revert's data."""
    text, data = str(error.get("message", "")), error.get("data")
    if isinstance(data, dict):
        data = data.get("data")
    if error.get("code") == 3 or "revert" in text.lower():
        raise RevertedError("reverted", f"{method}: {text}", _bytes(data) if _is_hex(data) else b"")
    if method == "eth_sendRawTransaction":
        raise RejectedError("chain_refused", text)
    raise ServiceError("chain_rpc", f"{method}: {error.get('code')} {text}")


def connect(url: str) -> Chain:
    """The chain behind a JSON-RPC URL."""
    return Chain(HttpRpc(url))


@contextmanager
def answers() -> Iterator[None]:
    """A node that answers in another shape than JSON-RPC's has failed, whatever it said."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as exc:
        raise ServiceError("chain_rpc", f"the node's answer is not what was asked for: {exc!r}") from exc


def has_event(receipt: Receipt, address: bytes, topics: tuple[bytes, ...], data: bytes) -> bool:
    """Whether the transaction emitted exactly this."""
    wanted = (address, topics, data)
    return any((event.address, event.topics, event.data) == wanted for event in receipt.events)


def _says_unknown(text: str) -> bool:
    """Nodes that have no such block yet say so in words of their own (geth: "finalized block not found")."""
    return "not found" in text.lower() or "unknown block" in text.lower()


def _receipt(found: dict[str, Any]) -> Receipt:
    created = found.get("contractAddress")
    return Receipt(
        _bytes(found["transactionHash"]),
        _quantity(found["status"]) == 1,
        _quantity(found["blockNumber"]),
        _bytes(found["blockHash"]),
        _quantity(found["gasUsed"]),
        _bytes(created) if created else None,
        tuple(_event(log) for log in found["logs"]),
    )


def _event(log: dict[str, Any]) -> Event:
    return Event(
        _bytes(log["address"]),
        tuple(_bytes(topic) for topic in log["topics"]),
        _bytes(log["data"]),
        _quantity(log["blockNumber"]),
        _bytes(log["blockHash"]),
        _bytes(log["transactionHash"]),
    )


def _tag(tag: str | int) -> str:
    return hex(tag) if isinstance(tag, int) else tag


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _is_hex(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("0x")


def _quantity(value: Any) -> int:
    try:
        if _is_hex(value):
            return int(value, 16)
    except ValueError:
        pass
    raise ServiceError("chain_rpc", f"{str(value)[:80]!r} is no hexadecimal quantity")


def _bytes(value: Any, bytes_max: int = CALL_BYTES_MAX) -> bytes:
    if not _is_hex(value) or len(value) > 2 + 2 * bytes_max:
        raise ServiceError(
            "chain_rpc", f"{str(value)[:80]!r} is no hexadecimal data of at most {bytes_max} bytes"
        )
    try:
        return bytes.fromhex(value[2:])
    except ValueError as exc:
        raise ServiceError("chain_rpc", f"{value[:80]!r} is no hexadecimal data") from exc
