"""anomaly.json: episodes, score sheets and the digest of scores (docs/spec/anomaly.md)."""

import struct
from typing import Any

from tests.vectors.cases_documents import _but, _case
from tests.vectors.cases_frame import KEY, LEG, LIMITS, START
from tests.vectors.twin import cbor, h, limits_bytes

RELEASE = "0123456789abcdef"


def anomaly() -> dict[str, Any]:
    return {
        "about": "docs/spec/anomaly.md. error: empty when accepted, else 'refused'. digests: score as a double's bits.",
        "episodes": _episodes(),
        "scores": _sheets(),
        "digests": [
            {"scores": [[bits, d] for bits, d in words], "digest": digest(words)} for words in _words()
        ],
    }


def _leg() -> list[Any]:
    return [RELEASE, LEG, KEY.id, h(limits_bytes(LIMITS)), 7]


def _moment(seq: int) -> list[Any]:
    return [START + 60_000 * seq, seq, h(b"frame")]


def _episodes() -> list[dict[str, Any]]:
    said = [1, 1, "ended", "spike", 734_211, "temperature far from its level"]
    good = ["lading/episode/1", *_leg(), *said, _moment(100), _moment(104), _moment(131)]
    begun = _but(_but(_but(good, 8, "begun"), 13, _moment(100)), 14, _moment(100))
    return [
        _case("ended", good), _case("begun", begun),
        _case("between legs", [*good[:2], bytes(32), KEY.id, bytes(32), *good[5:]]),
        _case("one reading", [*good[:12], _moment(100), _moment(100), _moment(100)]),
        _case("longest texts, greatest score", _but(_but(_but(good, 9, "d" * 32), 10, 1_000_000), 11, "r" * 256)),
        _case("another tag", _but(good, 0, "lading/episode/2"), "refused"),
        _case("an item too few", good[:-1], "refused"), _case("an item too many", [*good, None], "refused"),
        _case("release in capitals", _but(good, 1, RELEASE.upper()), "refused"),
        _case("release of 15 digits", _but(good, 1, RELEASE[:15]), "refused"),
        _case("leg id of 31 bytes", _but(good, 2, bytes(31)), "refused"),
        _case("channel 65536", _but(good, 6, 65_536), "refused"),
        _case("unknown state", _but(good, 8, "up"), "refused"),
        _case("no detector", _but(good, 9, ""), "refused"),
        _case("detector of 33 bytes", _but(good, 9, "d" * 33), "refused"),
        _case("score above 1", _but(good, 10, 1_000_001), "refused"),
        _case("no reason", _but(good, 11, ""), "refused"),
        _case("reason of 257 bytes", _but(good, 11, "r" * 257), "refused"),
        _case("peak before begin", _but(good, 13, _moment(99)), "refused"),
        _case("last before peak", _but(good, 14, _moment(103)), "refused"),
        _case("begun with a later peak", _but(good, 8, "begun"), "refused"),
        _case("moment of two items", _but(good, 12, _moment(100)[:2]), "refused"),
        _case("trailing byte", cbor(good) + b"\0", "refused"),
    ]  # fmt: skip


def _sheets() -> list[dict[str, Any]]:
    channels = [[1, 1, 100, 60, 2, 734_211, 104, bytes(range(8))], [2, 2, 0, 1, 0, 0, 0, bytes(8)]]
    good = ["lading/scores/1", *_leg(), 3, True, [[7, 12], [14, 14]], channels]

    def channel(index: int, value: Any) -> list[Any]:
        return _but(good, 9, [_but(channels[0], index, value)])

    many = [[2 * n, 2 * n] for n in range(65)]
    return [
        _case("two ranges, two channels", good), _case("part 0, open", _but(_but(good, 6, 0), 7, False)),
        _case("no channel", _but(good, 9, [])), _case("64 ranges", _but(good, 8, many[:64])),
        _case("one number, two quantities", _but(good, 9, [channels[0], _but(channels[0], 1, 2)])),
        _case("another tag", _but(good, 0, "lading/scores/2"), "refused"),
        _case("an item too few", good[:-1], "refused"), _case("an item too many", [*good, None], "refused"),
        _case("part of 2^32", _but(good, 6, 2**32), "refused"), _case("closed as 1", _but(good, 7, 1), "refused"),
        _case("no frames", _but(good, 8, []), "refused"), _case("65 ranges", _but(good, 8, many), "refused"),
        _case("range that descends", _but(good, 8, [[8, 7]]), "refused"),
        _case("ranges that touch", _but(good, 8, [[7, 12], [13, 14]]), "refused"),
        _case("ranges out of order", _but(good, 8, [[14, 14], [7, 12]]), "refused"),
        _case("channels out of order", _but(good, 9, channels[::-1]), "refused"),
        _case("a channel twice", _but(good, 9, [channels[0], channels[0]]), "refused"),
        _case("no reading", channel(3, 0), "refused"), _case("more invalid than there are", channel(4, 61), "refused"),
        _case("score above 1", channel(5, 1_000_001), "refused"),
        _case("greatest before the first", channel(6, 99), "refused"),
        _case("greatest behind the last", _but(channel(6, 160), 8, [[7, 12]]), "refused"),
        _case("greatest behind a gap", channel(6, 160)),
        _case("digest of 7 bytes", channel(7, bytes(7)), "refused"),
        _case("trailing byte", cbor(good) + b"\0", "refused"),
    ]  # fmt: skip


def _bits(score: float) -> int:
    (bits,) = struct.unpack(">Q", struct.pack(">d", score))
    return int(bits)


def _words() -> list[list[tuple[int, int]]]:
    return [
        [],
        [(_bits(0.0), 0)],
        [(_bits(1.0), 255)],
        [(_bits(0.0), 0), (_bits(0.1), 1), (_bits(0.7342111), 3), (_bits(2.0**-1074), 2)],
    ]


def digest(words: list[tuple[int, int]]) -> bytes:
    d = 14695981039346656037
    for pair in words:
        for word in pair:
            d = ((d ^ word) * 1099511628211) % 2**64
    return d.to_bytes(8, "big")
