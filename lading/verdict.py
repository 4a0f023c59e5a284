"""What the rules say of a leg (docs/spec/verdict.md)."""

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast

from lading import fields
from lading.cbor import encode, open_document
from lading.errors import MalformedError
from lading.fields import U16_MAX, U64_MAX
from lading.totals import TOTALS_BYTES, Totals
from lading.tree import sha256

VERDICT_BYTES_MAX = 1_048_576
FINDINGS_MAX = 65_536
VERDICT_TAG, RECORD_TAG = "lading/verdict/1", "lading/verdict-record/1"

LegState = Literal["open", "closed", "incomplete", "forked"]
Result = Literal["clean", "breach"]
Severity = Literal["breach", "notice"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule's finding on one interval: figures in the rule's units, readings by sequence number."""

    rule: str
    severity: Severity
    channel: int | None
    first_ms: int
    last_ms: int
    measured: int
    limit: int | None
    first_seq: int
    last_seq: int
    frame_hashes: tuple[bytes, ...] = ()

    @property
    def order(self) -> tuple[str, int, int, int, int]:
        """Findings are sorted by this."""
        return (
            self.rule,
            -1 if self.channel is None else self.channel,
            self.first_ms,
            self.last_ms,
            self.first_seq,
        )

    def as_list(self) -> list[Any]:
        """The document's array."""
        return [
            self.rule,
            self.severity,
            self.channel,
            self.first_ms,
            self.last_ms,
            self.measured,
            self.limit,
            self.first_seq,
            self.last_seq,
            list(self.frame_hashes),
        ]


@dataclass(frozen=True, slots=True)
class Horizon:
    """The data a verdict saw: contiguous frames from the leg's first."""

    first_frame_seq: int
    last_frame_seq: int
    last_frame_hash: bytes
    last_ms: int


@dataclass(frozen=True)
class Verdict:
    """The body: depends on the leg's frames, assignment, clone proofs and finality alone."""

    leg_id: bytes
    gateway_id: bytes
    limits_hash: bytes
    state: LegState
    final: bool
    horizon: Horizon
    findings: tuple[Finding, ...]
    totals: tuple[tuple[int, int, Totals], ...]  # (channel, quantity, totals), channels ascending

    @property
    def result(self) -> Result:
        """`breach` when any finding is one."""
        return "breach" if any(finding.severity == "breach" for finding in self.findings) else "clean"

    @cached_property
    def encoded(self) -> bytes:
        """Document `lading/verdict/1`."""
        horizon = self.horizon
        return encode(
            [
                VERDICT_TAG,
                self.leg_id,
                self.gateway_id,
                self.limits_hash,
                self.state,
                self.result,
                self.final,
                [horizon.first_frame_seq, horizon.last_frame_seq, horizon.last_frame_hash, horizon.last_ms],
                [finding.as_list() for finding in self.findings],
                [[channel, quantity, totals.encode()] for channel, quantity, totals in self.totals],
            ]
        )

    @cached_property
    def id(self) -> bytes:
        """SHA-256 of the encoding."""
        return sha256(self.encoded)

    @staticmethod
    def decode(data: bytes) -> "Verdict":
        """From the document; findings sorted and unique, result as they say."""
        leg, gateway, limits, state, result, final, horizon, findings, totals = open_document(
            data, VERDICT_TAG, 10, VERDICT_BYTES_MAX
        )
        verdict = Verdict(
            fields.fixed(leg, "leg id"),
            fields.fixed(gateway, "gateway id"),
            fields.fixed(limits, "limits hash"),
            cast(LegState, fields.choice(state, "state", ("open", "closed", "incomplete", "forked"))),
            fields.flag(final, "final"),
            _horizon(horizon),
            tuple(_finding(item) for item in fields.items(findings, "findings", FINDINGS_MAX)),
            tuple(_channel_totals(item) for item in fields.items(totals, "totals", 256)),
        )
        _check_consistent(verdict, result)
        return verdict


def _check_consistent(verdict: Verdict, result: Any) -> None:
    orders = [finding.order for finding in verdict.findings]
    if any(a >= b for a, b in itertools.pairwise(orders)):
        raise MalformedError("verdict", "findings are not sorted and unique")
    channels = [channel for channel, _, _ in verdict.totals]
    if any(a >= b for a, b in itertools.pairwise(channels)):
        raise MalformedError("verdict", "channels are not strictly ascending")
    if result != verdict.result:
        raise MalformedError("verdict", f"result {str(result)[:20]!r}, the findings say {verdict.result}")
    if verdict.final and verdict.state not in ("closed", "forked"):
        raise MalformedError("verdict", f"final in state {verdict.state}")


def _horizon(value: Any) -> Horizon:
    first, last, last_hash, last_ms = fields.items(value, "horizon", 4, count=4)
    return Horizon(
        fields.uint(first, "first frame_seq"),
        fields.uint(last, "last frame_seq"),
        fields.fixed(last_hash, "last frame hash"),
        fields.time_ms(last_ms, "horizon time"),
    )


def _finding(value: Any) -> Finding:
    rule, severity, channel, first_ms, last_ms, measured, limit, first_seq, last_seq, frames = fields.items(
        value, "finding", 10, count=10
    )
    return Finding(
        fields.text(rule, "rule", 64),
        cast(Severity, fields.choice(severity, "severity", ("breach", "notice"))),
        None if channel is None else fields.uint(channel, "channel", U16_MAX),
        fields.time_ms(first_ms, "finding's first time"),
        fields.time_ms(last_ms, "finding's last time"),
        fields.integer(measured, "measured"),
        None if limit is None else fields.integer(limit, "limit"),
        fields.uint(first_seq, "first seq", U64_MAX),
        fields.uint(last_seq, "last seq", U64_MAX),
        fields.hashes(frames, "frame hashes", 2),
    )


def _channel_totals(value: Any) -> tuple[int, int, Totals]:
    channel, quantity, totals = fields.items(value, "channel totals", 3, count=3)
    return (
        fields.uint(channel, "channel", U16_MAX),
        fields.uint(quantity, "quantity", U16_MAX),
        Totals.decode(fields.fixed(totals, "totals", TOTALS_BYTES)),
    )


@dataclass(frozen=True)
class VerdictRecord:
    """A verdict as it goes to the log, with the id of the earlier one that it replaces."""

    verdict: Verdict
    supersedes: bytes | None

    def encode(self) -> bytes:
        """Document `lading/verdict-record/1`."""
        return encode([RECORD_TAG, self.verdict.encoded, self.supersedes])

    @staticmethod
    def decode(data: bytes) -> "VerdictRecord":
        """From the document."""
        body, supersedes = open_document(data, RECORD_TAG, 3, VERDICT_BYTES_MAX + 256)
        earlier = None if supersedes is None else fields.fixed(supersedes, "supersedes")
        return VerdictRecord(Verdict.decode(fields.blob(body, "verdict", VERDICT_BYTES_MAX)), earlier)
