"""The size of data under FastLZ level 1, as OP-stack nodes count it: the input of their data fee since Fjord.

Source: Fjord execution engine specification of the OP stack, which takes Solady's LibZip. The parse is part of the
rule: a compressor that finds other matches gives another fee. Only the size is computed, nothing is compressed.
"""

_TABLE_BITS = 13
_DISTANCE_MAX = 0x1FFF
_MULTIPLIER = 2654435769
_LITERALS_MAX, _MATCH_MAX = 32, 262
_TAIL = 14  # no match begins in the last bytes


def size(data: bytes) -> int:
    """Bytes of `data` under FastLZ level 1."""
    last = len(data) - _TAIL
    seen = [0] * (1 << _TABLE_BITS)
    total, start, at = 0, 0, 2
    while at < last:
        at, match = _next_match(data, seen, at, last)
        if at >= last:
            break
        length = _common(data, match + 3, at + 3, len(data) - 4)
        total += _literals(at - start) + _copies(length)
        start = at + length
        for place in (start, start + 1):
            seen[_hash(_word(data, place))] = place
        start = at = start + 2
    return total + _literals(len(data) - start)


def _next_match(data: bytes, seen: list[int], at: int, last: int) -> tuple[int, int]:
    """The next place from `at` whose three bytes were seen at most 8191 bytes before, and where; or `last`."""
    while at < last:
        word = _word(data, at)
        key = _hash(word)
        before, seen[key] = seen[key], at
        if at - before <= _DISTANCE_MAX and word == _word(data, before):
            return at, before
        at += 1
    return last, 0


def _common(data: bytes, first: int, second: int, end: int) -> int:
    """How many bytes agree, with the first that does not (the length as the format counts it)."""
    length = 0
    while second + length < end:
        length += 1
        if data[first + length - 1] != data[second + length - 1]:
            break
    return length


def _literals(count: int) -> int:
    whole, rest = divmod(count, _LITERALS_MAX)
    return whole * (_LITERALS_MAX + 1) + (rest + 1 if rest else 0)


def _copies(length: int) -> int:
    whole, rest = divmod(length - 1, _MATCH_MAX)
    return 3 * whole + (3 if rest >= 6 else 2)


def _word(data: bytes, at: int) -> int:
    return data[at] | data[at + 1] << 8 | data[at + 2] << 16


def _hash(word: int) -> int:
    return (_MULTIPLIER * word >> 19) & 0x1FFF
