"""What the detectors say of a leg's channels (docs/spec/anomaly.md). Advice: no verdict, and nothing to settle by."""

import itertools
import re
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

from lading import fields
from lading.cbor import Value, encode, open_document
from lading.errors import MalformedError
from lading.fields import U16_MAX, U32_MAX, U64_MAX
from lading.forecast import Forecast, is_forecast

RECORD_BYTES_MAX = 65_536
EPISODE_TAG, SCORES_TAG = "lading/episode/1", "lading/scores/1"
SCORE_MAX = 1_000_000
RANGES_MAX = 64
CHANNELS_MAX = 512
DIGEST_BYTES = 8
_RELEASE = re.compile(r"[0-9a-f]{16}")

State = Literal["begun", "ended"]


class ScoredLeg(NamedTuple):
    """One scoring of a leg: who computed it, of what, and from which frame on. Leg and limits are zero between legs."""

    release: str
    leg_id: bytes
    gateway_id: bytes
    limits_hash: bytes
    first_frame_seq: int


class Moment(NamedTuple):
    """A reading: its time, its number and its frame's hash."""

    time_ms: int
    seq: int
    frame_hash: bytes


@dataclass(frozen=True, slots=True)
class Episode:
    """High scores of a channel, from `begin` to `last`. `score` is the peak's, in millionths."""

    leg: ScoredLeg
    channel: int
    quantity: int
    state: State
    detector: str
    score: int
    reason: str
    begin: Moment
    peak: Moment
    last: Moment

    @property
    def key(self) -> tuple[ScoredLeg, int, int, int]:
        """A later record with this key replaces an earlier one."""
        return self.leg, self.channel, self.quantity, self.begin.seq

    def encode(self) -> bytes:
        """Document `lading/episode/1`."""
        moments: list[Value] = [list(moment) for moment in (self.begin, self.peak, self.last)]
        said = [self.channel, self.quantity, self.state, self.detector, self.score, self.reason]
        return encode([EPISODE_TAG, *self.leg, *said, *moments])

    @staticmethod
    def decode(data: bytes) -> "Episode":
        """From the document; MalformedError as the page says."""
        items = open_document(data, EPISODE_TAG, 15, RECORD_BYTES_MAX)
        channel, quantity, state, detector, score, reason, *moments = items[5:]
        episode = Episode(
            _leg(items[:5]),
            fields.uint(channel, "channel", U16_MAX),
            fields.uint(quantity, "quantity", U16_MAX),
            cast(State, fields.choice(state, "state", ("begun", "ended"))),
            _words(detector, "detector", 32),
            fields.uint(score, "score", SCORE_MAX),
            _words(reason, "reason", 256),
            *(_moment(moment) for moment in moments),
        )
        begin, peak, last = episode.begin, episode.peak, episode.last
        if not begin.seq <= peak.seq <= last.seq or (episode.state == "begun" and not begin == peak == last):
            raise MalformedError("episode", f"{state}, with readings {begin.seq}, {peak.seq}, {last.seq}")
        return episode


class ChannelScores(NamedTuple):
    """A channel's scores in one part."""

    channel: int
    quantity: int
    first_seq: int
    readings: int
    invalid: int
    score: int  # the greatest, in millionths
    seq: int  # the first reading that has it
    digest: bytes


@dataclass(frozen=True, slots=True)
class Scores:
    """All scores of one part of a leg, in short."""

    leg: ScoredLeg
    part: int
    closed: bool
    frames: tuple[tuple[int, int], ...]
    channels: tuple[ChannelScores, ...]

    def encode(self) -> bytes:
        """Document `lading/scores/1`."""
        frames: list[Value] = [list(one) for one in self.frames]
        channels: list[Value] = [list(one) for one in self.channels]
        return encode([SCORES_TAG, *self.leg, self.part, self.closed, frames, channels])

    @staticmethod
    def decode(data: bytes) -> "Scores":
        """From the document; MalformedError as the page says."""
        items = open_document(data, SCORES_TAG, 10, RECORD_BYTES_MAX)
        part, closed, frames, channels = items[5:]
        scores = Scores(
            _leg(items[:5]),
            fields.uint(part, "part", U32_MAX),
            fields.flag(closed, "closed"),
            tuple(_range(one) for one in fields.items(frames, "frames", RANGES_MAX)),
            tuple(_channel(one) for one in fields.items(channels, "channels", CHANNELS_MAX)),
        )
        if not scores.frames or any(a[1] + 1 >= b[0] for a, b in itertools.pairwise(scores.frames)):
            raise MalformedError("scores", f"{len(scores.frames)} ranges of frames, none or out of order")
        behind = [one.channel for one in scores.channels if one.seq >= one.first_seq + one.readings]
        if behind and len(scores.frames) == 1:  # between ranges readings are missing that have numbers
            raise MalformedError(
                "scores", f"channels {behind}: greatest behind the last, in one range of frames"
            )
        if any(a[:2] >= b[:2] for a, b in itertools.pairwise(scores.channels)):
            raise MalformedError("scores", "channels are not in order, each once")
        return scores


def read_anomaly(data: bytes) -> Episode | Scores | Forecast:
    """A record of `lading.anomalies.v1`."""
    if is_forecast(data):
        return Forecast.decode(data)
    return Scores.decode(data) if SCORES_TAG.encode() in data[:24] else Episode.decode(data)


def _leg(items: list[Any]) -> ScoredLeg:
    release, leg, gateway, limits, first = items
    return ScoredLeg(
        _release(release),
        fields.fixed(leg, "leg id"),
        fields.fixed(gateway, "gateway id"),
        fields.fixed(limits, "limits hash"),
        fields.uint(first, "first frame_seq"),
    )


def _release(value: Any) -> str:
    text = fields.text(value, "release", 16)
    if not _RELEASE.fullmatch(text):
        raise MalformedError("field", f"release is {text!r}, wanted 16 lower-case hex digits")
    return text


def _words(value: Any, name: str, bytes_max: int) -> str:
    text = fields.text(value, name, bytes_max)
    if not text:
        raise MalformedError("field", f"{name} is empty")
    return text


def _moment(value: Any) -> Moment:
    time_ms, seq, frame_hash = fields.items(value, "moment", 3, count=3)
    return Moment(
        fields.time_ms(time_ms, "moment's time"),
        fields.uint(seq, "moment's seq"),
        fields.fixed(frame_hash, "moment's frame hash"),
    )


def _range(value: Any) -> tuple[int, int]:
    first, last = fields.items(value, "range", 2, count=2)
    found = fields.uint(first, "first frame"), fields.uint(last, "last frame")
    if found[0] > found[1]:
        raise MalformedError("scores", f"range from frame {first} to {last}")
    return found


def _channel(value: Any) -> ChannelScores:
    channel, quantity, first_seq, count, invalid, score, seq, digest = fields.items(
        value, "channel's scores", 8, count=8
    )
    found = ChannelScores(
        fields.uint(channel, "channel", U16_MAX),
        fields.uint(quantity, "quantity", U16_MAX),
        fields.uint(first_seq, "first seq"),
        fields.uint(count, "count", U32_MAX),
        fields.uint(invalid, "invalid", U32_MAX),
        fields.uint(score, "score", SCORE_MAX),
        fields.uint(seq, "seq", U64_MAX),
        fields.fixed(digest, "digest", DIGEST_BYTES),
    )
    if invalid > count or not count or seq < first_seq:
        raise MalformedError("scores", f"channel {channel}: {invalid} invalid of {count}, greatest at {seq}")
    return found
