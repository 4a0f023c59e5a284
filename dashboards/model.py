"""What a report says: the shared language's own values where it has them, plain ones where only a report does.

Times are milliseconds UTC since 1970, durations milliseconds, values thousandths of the channel's unit, amounts
whole base units of the token. Every text may hold anything: the report escapes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lading.batch import AnchorRecord, BatchRecord
from lading.deadletter import DeadLetter
from lading.limits import Limits
from lading.verdict import Verdict


@dataclass(frozen=True, slots=True)
class ChannelSeries:
    """Every reading of one channel in one leg, in order of time; the columns have one length.

    Stretches outside the limits, gaps and faults are derived from these, so the caller never draws them.
    """

    channel: int
    quantity: int  # docs/spec/README.md
    name: str  # how staff call the sensor
    times_ms: Sequence[int]
    values_milli: Sequence[int]
    flags: Sequence[int]


@dataclass(frozen=True, slots=True)
class LegReport:
    """One leg: its newest verdict, its limits and its readings."""

    verdict: Verdict
    limits: Limits
    reference: str  # what the shipper calls it
    gateway_name: str
    first_ms: int
    last_ms: int
    frames: int
    channels: tuple[ChannelSeries, ...]
    profile: str = ""  # name of the limits, such as "vaccine 2–8 °C"
    superseded: int = 0  # how many earlier verdicts this one replaced


@dataclass(frozen=True, slots=True)
class Offline:
    """A stretch in which a gateway had no link: it went on signing."""

    gateway_name: str
    first_ms: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class EventMark:
    """Something worth a mark on the timeline, such as "key cloned"."""

    time_ms: int
    gateway_name: str
    text: str


@dataclass(frozen=True, slots=True)
class AnchorRow:
    """One interval: its anchor and the batches below it."""

    record: AnchorRecord
    batches: tuple[BatchRecord, ...]
    readings: int


@dataclass(frozen=True, slots=True)
class Payout:
    """What one party got out of a settlement."""

    party: str  # name or address
    role: str  # shipper, carrier, …
    amount: int


@dataclass(frozen=True, slots=True)
class SettlementRow:
    """A leg's end under an agreement, or of a cover over it; `claim` is the agreement's or cover's id."""

    claim: bytes
    leg_id: bytes
    kind: str  # penalty | release, of a cover payout | lapse
    amount: int
    currency: str
    decimals: int  # one whole coin = 10**decimals base units
    tx_hash: bytes
    block_number: int
    gas_used: int
    payouts: tuple[Payout, ...] = ()
    why: str = ""  # one sentence


@dataclass(frozen=True, slots=True)
class DeadLetterRow:
    """All dead letters of one code, a few of them in full."""

    code: str
    count: int
    samples: tuple[DeadLetter, ...] = ()


@dataclass(frozen=True, slots=True)
class SkippedLine:
    """A line of a recording that was not taken. Give every one: the report folds neighbours into ranges."""

    file: str
    line: int  # from 1
    reason: str
    text: str = ""  # the line, or its start


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One check of one evidence file."""

    name: str  # docs/spec/evidence.md
    status: str  # PASS | WARN | FAIL | LEFT
    text: str


@dataclass(frozen=True, slots=True)
class EvidenceResult:
    """One evidence file and what `lading verify` said of it."""

    leg_id: bytes
    path: str  # relative to the report
    size_bytes: int
    checks: tuple[CheckRow, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """A command that a reader can run, and what it shows."""

    text: str
    command: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one report shows."""

    title: str
    story: str  # one line: what happened
    made_ms: int  # when the report was made
    first_ms: int  # the span of the timelines
    last_ms: int
    legs: tuple[LegReport, ...]
    figures: tuple[tuple[str, str], ...] = ()  # label and value: the tiles in the header
    offline: tuple[Offline, ...] = ()
    events: tuple[EventMark, ...] = ()
    anchors: tuple[AnchorRow, ...] = ()
    settlements: tuple[SettlementRow, ...] = ()
    dead_letters: tuple[DeadLetterRow, ...] = ()
    skipped: tuple[SkippedLine, ...] = ()
    evidence: tuple[EvidenceResult, ...] = ()
    commands: tuple[Command, ...] = ()
