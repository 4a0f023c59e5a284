"""A leg's rule state as bytes, for checkpoints: restored, it goes on as if it had never stopped.

Not a format that others read: it may change with the version byte, and a state of another version is built
again from the log.
"""

import struct

from lading.assignment import Assignment
from lading.errors import MalformedError
from lading.rules.leg import LastFrame, LegTrack
from lading.rules.track import FIGURES, NOWHERE, PLACES, STRETCH_RULES, ChannelTrack, Place, Stretch
from lading.totals import TOTALS_BYTES

VERSION = 1

_LEG = struct.Struct(">B?QQqqQBQ32sI")
_HASH = struct.Struct(">I32s")
_CHANNEL = struct.Struct(f">QHH{TOTALS_BYTES}s{3 * len(PLACES) + len(FIGURES)}q")
_STRETCH = struct.Struct(">B7q")


def save(leg: LegTrack) -> bytes:
    """The state of a leg with at least one frame, or with none."""
    if leg.last:
        leg.drop_hashes()
    last = leg.last or LastFrame(0, bytes(32), 0, 0)
    parts = [
        _LEG.pack(
            VERSION,
            leg.last is not None,
            leg.first_frame_seq,
            leg.first_sent_ms,
            leg.begin_ms,
            leg.end_ms,
            last.frame_seq,
            last.leg_state,
            last.sent_ms,
            last.hash,
            len(leg.hashes),
        )
    ]
    parts += [_HASH.pack(number, value) for number, value in leg.hashes.items()]
    for channel, track in leg.tracks.items():
        parts += _channel_parts(track, leg.first_seqs[channel], leg.totals_bytes(channel))
    return b"".join(parts)


def _channel_parts(track: ChannelTrack, first_seq: int, totals: bytes) -> list[bytes]:
    figures = [number for name in PLACES for number in getattr(track, name)]
    figures += [getattr(track, name) for name in FIGURES]
    head = _CHANNEL.pack(first_seq, len(track.listed), len(track.more), totals, *figures)
    return [head, *(_pack_stretch(stretch) for stretch in (*track.listed, *track.more.values()))]


def _pack_stretch(stretch: Stretch) -> bytes:
    rule = STRETCH_RULES.index(stretch.rule)
    return _STRETCH.pack(rule, *stretch.first, *stretch.last, stretch.measured)


def load(begin: Assignment, data: bytes) -> LegTrack:
    """The leg that `save` was given; MalformedError `snapshot` for another version or length."""
    leg = LegTrack(begin)
    try:
        at = _load_leg(leg, data)
        for channel, track in leg.tracks.items():
            at = _load_channel(leg, channel, track, data, at)
    except struct.error as exc:
        raise MalformedError("snapshot", f"{len(data)} bytes: {exc}") from exc
    if at != len(data):
        raise MalformedError("snapshot", f"{len(data)} bytes, wanted {at}")
    return leg


def _load_leg(leg: LegTrack, data: bytes) -> int:
    version, started, first_seq, first_sent, begin, end, seq, state, sent, last_hash, count = (
        _LEG.unpack_from(data)
    )
    if version != VERSION:
        raise MalformedError("snapshot", f"version {version}, wanted {VERSION}")
    leg.first_frame_seq, leg.first_sent_ms, leg.begin_ms, leg.end_ms = first_seq, first_sent, begin, end
    leg.last = LastFrame(seq, last_hash, state, sent) if started else None
    at = _LEG.size
    for _ in range(count):
        number, value = _HASH.unpack_from(data, at)
        leg.hashes[number] = value
        at += _HASH.size
    return at


def _load_channel(leg: LegTrack, channel: int, track: ChannelTrack, data: bytes, at: int) -> int:
    head: tuple[int, int, int, bytes, *tuple[int, ...]] = _CHANNEL.unpack_from(data, at)
    first_seq, listed, more, totals, *numbers = head
    leg.first_seqs[channel] = first_seq
    leg.set_totals(channel, totals)
    for i, name in enumerate(PLACES):
        setattr(track, name, _place(numbers[3 * i : 3 * i + 3]))
    for name, number in zip(FIGURES, numbers[3 * len(PLACES) :], strict=True):
        setattr(track, name, number)
    at += _CHANNEL.size
    stretches = [_stretch(data, at + i * _STRETCH.size) for i in range(listed + more)]
    track.listed = stretches[:listed]
    track.more = {stretch.rule: stretch for stretch in stretches[listed:]}
    return at + (listed + more) * _STRETCH.size


def _place(numbers: list[int]) -> Place:
    place = Place(*numbers)
    return NOWHERE if place == NOWHERE else place


def _stretch(data: bytes, at: int) -> Stretch:
    rule, *numbers, measured = _STRETCH.unpack_from(data, at)
    return Stretch(STRETCH_RULES[rule], _place(numbers[:3]), _place(numbers[3:]), measured)
