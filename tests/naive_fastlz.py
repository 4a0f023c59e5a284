"""FastLZ level 1 that really compresses, and takes apart again: what contracts.fees.fastlz only counts."""


def compress(data: bytes) -> bytes:
    """As Solady's LibZip.flzCompress: one place remembered for each hash of three bytes."""
    seen: dict[int, int] = {}
    out, start, at, limit = bytearray(), 0, 2, len(data) - 13
    while at < limit - 1:
        key = _hash(data[at : at + 3])
        before, seen[key] = seen.get(key, 0), at
        if at - before > 8191 or data[before : before + 3] != data[at : at + 3]:
            at += 1
            continue
        out += _literals(data[start:at])
        length = 3
        while at + length < limit + 9 and data[before + length] == data[at + length]:
            length += 1
        length -= 1 if at + length == limit + 9 else 0  # the reference stops one short at the end
        out += _copies(length, at - before - 1)
        for place in (at + length - 2, at + length - 1):
            seen[_hash(data[place : place + 3])] = place
        start = at = at + length
    return bytes(out + _literals(data[start:]))


def decompress(data: bytes) -> bytes:
    """By the format alone: three bits of kind and length, five of distance, or a run of literals."""
    out, at = bytearray(), 0
    while at < len(data):
        kind, low = data[at] >> 5, data[at] & 31
        at += 1
        if kind == 0:
            out += data[at : at + low + 1]
            at += low + 1
            continue
        length = kind + 2
        if kind == 7:
            length += data[at]
            at += 1
        distance = (low << 8 | data[at]) + 1
        at += 1
        for _ in range(length):
            out.append(out[-distance])
    return bytes(out)


def _literals(data: bytes) -> bytes:
    parts = [data[at : at + 32] for at in range(0, len(data), 32)]
    return b"".join(bytes([len(part) - 1]) + part for part in parts)


def _copies(length: int, distance: int) -> bytes:
    out, high, low = bytearray(), distance >> 8, distance & 255
    while length - 3 >= 262:
        out += bytes([7 << 5 | high, 253, low])
        length -= 262
    if length < 9:
        return bytes(out) + bytes([(length - 2) << 5 | high, low])
    return bytes(out) + bytes([7 << 5 | high, length - 9, low])


def _hash(three: bytes) -> int:
    return (2654435769 * int.from_bytes(three, "little") % 2**32) >> 19
