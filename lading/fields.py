"""Checks of decoded document fields: type and bounds, refused by name."""

from typing import Any

from lading.errors import MalformedError

TIME_MS_MAX = 253402300799999  # the end of the year 9999
U16_MAX, U32_MAX, U64_MAX = 2**16 - 1, 2**32 - 1, 2**64 - 1
I32_MIN, I32_MAX = -(2**31), 2**31 - 1


def uint(value: Any, name: str, maximum: int = U64_MAX) -> int:
    """A whole number 0..maximum."""
    if type(value) is not int or not 0 <= value <= maximum:
        raise MalformedError("field", f"{name} is {_show(value)}, wanted a whole number 0..{maximum}")
    return value


def integer(value: Any, name: str) -> int:
    """A whole number of up to 64 bits, of either sign."""
    if type(value) is not int:
        raise MalformedError("field", f"{name} is {_show(value)}, wanted a whole number")
    return value


def time_ms(value: Any, name: str) -> int:
    """Milliseconds since 1970, at most the end of the year 9999."""
    return uint(value, name, TIME_MS_MAX)


def fixed(value: Any, name: str, length: int = 32) -> bytes:
    """A byte string of exactly `length` bytes."""
    if not isinstance(value, bytes) or len(value) != length:
        raise MalformedError("field", f"{name} is {_show(value)}, wanted {length} bytes")
    return value


def blob(value: Any, name: str, bytes_max: int) -> bytes:
    """A byte string of at most `bytes_max` bytes."""
    if not isinstance(value, bytes) or len(value) > bytes_max:
        raise MalformedError("field", f"{name} is {_show(value)}, wanted at most {bytes_max} bytes")
    return value


def text(value: Any, name: str, bytes_max: int) -> str:
    """Text of at most `bytes_max` bytes of UTF-8."""
    if not isinstance(value, str) or len(value.encode()) > bytes_max:
        raise MalformedError("field", f"{name} is {_show(value)}, wanted text of at most {bytes_max} bytes")
    return value


def choice(value: Any, name: str, allowed: tuple[str, ...]) -> str:
    """One of the allowed texts."""
    if value not in allowed or not isinstance(value, str):
        raise MalformedError("field", f"{name} is {_show(value)}, wanted one of {', '.join(allowed)}")
    return value


def flag(value: Any, name: str) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise MalformedError("field", f"{name} is {_show(value)}, wanted true or false")
    return value


def items(value: Any, name: str, count_max: int, count: int | None = None) -> list[Any]:
    """An array of at most `count_max` items, or of exactly `count`."""
    if not isinstance(value, list) or len(value) > count_max or (count is not None and len(value) != count):
        wanted = f"{count} items" if count is not None else f"at most {count_max} items"
        raise MalformedError("field", f"{name} is {_show(value)}, wanted an array of {wanted}")
    return value


def hashes(value: Any, name: str, count_max: int) -> tuple[bytes, ...]:
    """An array of at most `count_max` 32-byte strings."""
    return tuple(fixed(item, f"{name}[{i}]") for i, item in enumerate(items(value, name, count_max)))


def _show(value: Any) -> str:
    if isinstance(value, bytes | list):
        return f"{type(value).__name__} of {len(value)}"
    return repr(value)[:60]


def signed_64(value: int) -> int:
    """A u64 as SQLite's i64: equality is kept, and order up to 2^63 − 1. What is no u64 (−1, 2^64) is left alone."""
    return value - 2**64 if 2**63 <= value < 2**64 else value


def unsigned_64(value: int) -> int:
    """The u64 of `signed_64`."""
    return value + 2**64 if value < 0 else value
