"""A contract that answers each function with a number, made by hand: stands where a chain's own contracts would."""

from collections.abc import Mapping

from eth_hash.auto import keccak

_HEAD = bytes.fromhex("5f3560e01c")  # the selector
_CASE_BYTES, _ANSWER_BYTES = 11, 41


def answering(table: Mapping[str, int]) -> bytes:
    """Runtime code: `signature` → number; everything else is refused."""
    cases, answers = b"", b""
    place = len(_HEAD) + _CASE_BYTES * len(table) + 3
    for at, (signature, value) in enumerate(table.items()):
        to = (place + at * _ANSWER_BYTES).to_bytes(2, "big")
        cases += b"\x80\x63" + keccak(signature.encode())[:4] + b"\x14\x61" + to + b"\x57"
        answers += b"\x5b\x7f" + value.to_bytes(32, "big") + bytes.fromhex("5f5260205ff3") + b"\0"
    return _HEAD + cases + bytes.fromhex("5f5ffd") + answers
