"""Contract calls by their ABI: arguments in, results out, refusals by the name the contract gave them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from eth_abi import registry as abi_registry
from eth_abi.codec import ABICodec
from eth_abi.decoding import Fixed32ByteSizeDecoder
from eth_abi.encoding import AddressEncoder
from eth_abi.exceptions import DecodingError, EncodingError
from eth_hash.auto import keccak

from lading.chain import Chain, Event, RevertedError
from lading.errors import ServiceError


class _AddressDecoder(Fixed32ByteSizeDecoder):
    """Addresses as 20 bytes, as everywhere here."""

    value_bit_size = 160  # type: ignore[assignment]  # None only in its abstract base
    is_big_endian = True  # type: ignore[assignment]

    @staticmethod
    def decoder_fn(data: bytes) -> bytes:
        return data

    @classmethod
    def from_type_str(cls, abi_type: str, registry: Any) -> "_AddressDecoder":
        return cls()


def _codec() -> ABICodec:
    library: Any = abi_registry
    registry = library.registry.copy()
    registry.unregister("address")
    registry.register(library.BaseEquals("address"), AddressEncoder, _AddressDecoder, label="address")
    return ABICodec(registry)


codec = _codec()

_BUILT_IN: dict[bytes, tuple[str, tuple[str, ...]]] = {
    keccak(b"Error(string)")[:4]: ("Error", ("string",)),
    keccak(b"Panic(uint256)")[:4]: ("Panic", ("uint256",)),
}


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract: its ABI and bytecode, as committed in contracts/artifacts.

    `immutables`: (first byte, length) of what the constructor writes into the runtime code.
    """

    name: str
    abi: tuple[dict[str, Any], ...]
    bytecode: bytes
    runtime: bytes
    immutables: tuple[tuple[int, int], ...]


@lru_cache(maxsize=64)
def artifact(name: str) -> Artifact:
    """The committed build output of a contract."""
    path = files("contracts") / "artifacts" / f"{name}.json"
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError as exc:
        raise ServiceError("artifact", f"no compiled contract {name}") from exc
    places = tuple((one["start"], one["length"]) for one in content["immutableReferences"])
    creation, runtime = (
        bytes.fromhex(content[key].removeprefix("0x")) for key in ("bytecode", "deployedBytecode")
    )
    return Artifact(name, tuple(content["abi"]), creation, runtime, places)


class Interface:
    """Encoding and decoding by an ABI. Structs are tuples, addresses 20 bytes."""

    def __init__(self, name: str, abi: Sequence[dict[str, Any]]) -> None:
        self.name = name
        self._functions = {entry["name"]: entry for entry in abi if entry["type"] == "function"}
        self._constructor: dict[str, Any] = next(
            (entry for entry in abi if entry["type"] == "constructor"), {"inputs": []}
        )
        self._events = {_topic(entry): entry for entry in abi if entry["type"] == "event"}
        self._event_topics = {entry["name"]: topic for topic, entry in self._events.items()}
        self.errors = {
            _topic(entry)[:4]: (str(entry["name"]), _types(entry["inputs"]))
            for entry in abi
            if entry["type"] == "error"
        }

    def encode_call(self, function: str, *arguments: Any) -> bytes:
        """Selector and arguments."""
        entry = self._functions[function]
        return _topic(entry)[:4] + self._encode(entry["inputs"], arguments)

    def has(self, function: str) -> bool:
        """Whether there is such a function."""
        return function in self._functions

    def selector(self, function: str) -> bytes:
        """The first four bytes of a call."""
        return _topic(self._functions[function])[:4]

    def encode_constructor(self, *arguments: Any) -> bytes:
        """Constructor arguments, to append to the creation bytecode."""
        return self._encode(self._constructor["inputs"], arguments)

    def decode_result(self, function: str, data: bytes) -> Any:
        """The result: one value, or a tuple of several."""
        types = _types(self._functions[function]["outputs"])
        try:
            values = codec.decode(types, data)
        except DecodingError as exc:
            raise ServiceError(
                "chain_abi", f"{self.name}.{function} answered {len(data)} bytes that do not decode"
            ) from exc
        return values[0] if len(types) == 1 else values

    def event_topic(self, event: str) -> bytes:
        """topic0 of an event."""
        return self._event_topics[event]

    def decode_event(self, event: Event) -> tuple[str, dict[str, Any]] | None:
        """An event's name and fields by name; None when it is not of this ABI."""
        entry = self._events.get(event.topics[0]) if event.topics else None
        if entry is None:
            return None
        indexed = [item for item in entry["inputs"] if item["indexed"]]
        plain = [item for item in entry["inputs"] if not item["indexed"]]
        fields = dict(
            zip((item["name"] for item in plain), codec.decode(_types(plain), event.data), strict=True)
        )
        for item, topic in zip(indexed, event.topics[1:], strict=True):
            fields[item["name"]] = codec.decode([_type(item)], topic)[0]
        return entry["name"], fields

    def named(self, exc: RevertedError) -> RevertedError:
        """The same refusal, under the name and with the arguments that the contract, or one it called, gave."""
        found = self.errors.get(exc.data[:4]) or _all_errors().get(exc.data[:4])
        if found is None:
            return exc
        name, types = found
        arguments = ", ".join(_show(value) for value in codec.decode(types, exc.data[4:]))
        return RevertedError(name, f"{self.name} refused: {name}({arguments})", exc.data)

    def _encode(self, inputs: list[dict[str, Any]], arguments: tuple[Any, ...]) -> bytes:
        try:
            return codec.encode(_types(inputs), arguments)
        except EncodingError as exc:
            raise AssertionError(f"{self.name}: {exc}") from exc


class Contract:
    """A deployed contract on a chain."""

    def __init__(self, chain: Chain, address: bytes, interface: Interface) -> None:
        self.chain = chain
        self.address = address
        self.interface = interface

    def call(
        self, function: str, *arguments: Any, sender: bytes = bytes(20), tag: str | int = "latest"
    ) -> Any:
        """Ask without sending; RevertedError by the contract's name for it."""
        data = self.interface.encode_call(function, *arguments)
        try:
            answer = self.chain.call(self.address, data, sender, tag)
        except RevertedError as exc:
            raise self.interface.named(exc) from exc
        return self.interface.decode_result(function, answer)

    def events(
        self, event: str, *indexed: bytes | None, first: int = 0, last: str | int = "latest"
    ) -> list[tuple[Event, dict[str, Any]]]:
        """Events by name and leading indexed topics, each with its fields."""
        topics = [self.interface.event_topic(event), *indexed]
        found = [
            (log, self.interface.decode_event(log))
            for log in self.chain.events(self.address, topics, first, last)
        ]
        return [(log, decoded[1]) for log, decoded in found if decoded is not None]


@lru_cache(maxsize=64)
def interface(name: str) -> Interface:
    """The interface of a committed contract."""
    return Interface(name, artifact(name).abi)


@lru_cache(maxsize=1)
def _all_errors() -> dict[bytes, tuple[str, tuple[str, ...]]]:
    """Errors of every committed contract, by selector."""
    names = sorted(path.name for path in (files("contracts") / "artifacts").iterdir())
    found = dict(_BUILT_IN)
    for name in names:
        if name.endswith(".json"):
            found |= interface(name.removesuffix(".json")).errors
    return found


def at(chain: Chain, name: str, address: bytes) -> Contract:
    """A committed contract at an address."""
    return Contract(chain, address, interface(name))


def _topic(entry: dict[str, Any]) -> bytes:
    return keccak(f"{entry['name']}({','.join(_types(entry['inputs']))})".encode())


def _types(items: list[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(_type(item) for item in items)


def _type(item: dict[str, Any]) -> str:
    kind: str = item["type"]
    return f"({','.join(_types(item['components']))}){kind[5:]}" if kind.startswith("tuple") else kind


def _show(value: Any) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
