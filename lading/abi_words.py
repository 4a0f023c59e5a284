"""Words of the ABI encoding of a struct, written out so that verifying needs no web3."""

from collections.abc import Iterable, Sequence
from typing import Any

from lading.errors import MalformedError

WORD = 32
ADDRESS_BYTES = 20
# An integer is the bits of an unsigned number; "a" is an address, "b" is 32 bytes.
Kind = int | str


def uint_word(value: int) -> bytes:
    """A number as a word."""
    return value.to_bytes(WORD, "big")


def encode_record(values: Iterable[int | bytes], kinds: Sequence[Kind]) -> bytes:
    """A static struct: a word a field."""
    return b"".join(_word(value, kind) for value, kind in zip(values, kinds, strict=True))


def encode_array(records: Sequence[Iterable[int | bytes]], kinds: Sequence[Kind]) -> bytes:
    """A dynamic array of static structs: its length, then one after another."""
    return uint_word(len(records)) + b"".join(encode_record(one, kinds) for one in records)


class WordReader:
    """The words of one encoding, first to last; MalformedError under `code`."""

    def __init__(self, data: bytes, code: str, bytes_min: int, bytes_max: int) -> None:
        if not bytes_min <= len(data) <= bytes_max or len(data) % WORD:
            raise MalformedError(
                code, f"{len(data)} bytes, wanted whole words from {bytes_min} to {bytes_max}"
            )
        self._data = data
        self._at = 0
        self._code = code

    def take(self, kind: Kind) -> Any:
        """The next word's value."""
        word = self._data[self._at : self._at + WORD]
        if len(word) != WORD:
            raise MalformedError(self._code, f"the words end at {self._at}, wanted another")
        self._at += WORD
        return _value(word, kind, self._code)

    def record(self, kinds: Sequence[Kind]) -> list[Any]:
        """The fields of a static struct."""
        return [self.take(kind) for kind in kinds]

    def array(self, kinds: Sequence[Kind], count_max: int, what: str) -> list[list[Any]]:
        """A dynamic array, its length first."""
        count = self.take(256)
        if count > count_max:
            raise MalformedError(self._code, f"{count} {what}, wanted at most {count_max}")
        return [self.record(kinds) for _ in range(count)]


def _word(value: int | bytes, kind: Kind) -> bytes:
    if isinstance(value, bytes):
        assert len(value) == (ADDRESS_BYTES if kind == "a" else WORD)
        return value.rjust(WORD, b"\0")
    assert isinstance(kind, int)
    assert 0 <= value < 1 << kind
    return uint_word(value)


def _value(word: bytes, kind: Kind, code: str) -> Any:
    if kind == "b":
        return word
    if kind == "a":
        if any(word[:12]):
            raise MalformedError(code, f"address word {word.hex()}")
        return word[12:]
    assert isinstance(kind, int)
    number = int.from_bytes(word, "big")
    if number >> kind:
        raise MalformedError(code, f"word {word.hex()} is more than {kind} bits")
    return number
