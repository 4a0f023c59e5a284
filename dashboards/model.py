"""What a report says: plain values that the caller fills and `dashboards.report.write_report` draws.

Times are milliseconds UTC since 1970, durations milliseconds, values thousandths of the channel's unit,
amounts whole base units of the token. Hashes, identifiers and transactions are lower-case hex without
a prefix.
Every text may hold anything: the report escapes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChannelSeries:
    """Every reading of one channel in one leg, in order of time.

    Stretches outside the limits, gaps and faults are derived from these as in docs/spec/totals.md, so the
    caller never draws them by hand. The three columns have one length; any sequence of int does.
    """

    channel: int
    quantity: int  # docs/spec/README.md
    name: str  # how staff call the sensor
    times_ms: Sequence[int]
    values_milli: Sequence[int]
    flags: Sequence[int]
    lower: int | None = None  # None: no such limit
    upper: int | None = None
    hold_ms: int | None = None  # None: a value holds until the next reading


@dataclass(frozen=True, slots=True)
class ChannelFigures:
    """A channel's totals at the end of the leg, as the closing frame signs them."""

    channel: int
    count: int
    valid_count: int
    min_value: int | None  # None while no reading is valid
    max_value: int | None
    known_ms: int
    unknown_ms: int
    above_ms: int
    below_ms: int
    longest_gap_ms: int
    mkt_milli: int | None = None  # None unless temperature


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One finding of a verdict (docs/spec/verdict.md); the report puts it into words."""

    rule: str
    severity: str  # breach | notice
    channel: int | None
    first_ms: int
    last_ms: int
    measured: int
    limit: int | None


@dataclass(frozen=True, slots=True)
class LegReport:
    """One leg: its verdict, figures and readings."""

    leg: str  # leg id
    reference: str  # what the shipper calls it
    gateway: str  # gateway id
    gateway_name: str
    state: str  # open | closed | incomplete
    result: str  # clean | breach
    final: bool
    first_ms: int
    last_ms: int
    frames: int
    channels: tuple[ChannelSeries, ...]
    figures: tuple[ChannelFigures, ...] = ()
    findings: tuple[FindingRow, ...] = ()
    profile: str = ""  # name of the limits, such as "vaccine 2–8 °C"
    verdict: str = ""  # verdict id
    superseded: int = 0  # how many earlier verdicts this one replaced
    due_ms: int | None = None


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
class BatchRow:
    """One tenant's batch of one interval."""

    tenant: str
    batch_seq: int
    interval: int
    first_event_ms: int
    last_event_ms: int
    frames: int
    root: str


@dataclass(frozen=True, slots=True)
class AnchorPoint:
    """One interval's anchor: its block, and how old the events in it were."""

    interval: int
    state: str  # pending | mined | safe | finalized
    tx: str
    block_number: int
    block_time_ms: int
    first_event_ms: int
    last_event_ms: int
    frames: int
    readings: int
    gas_used: int
    super_root: str = ""


@dataclass(frozen=True, slots=True)
class Payout:
    """What one party got out of a settlement."""

    party: str  # name or address
    role: str  # shipper, carrier, …
    amount: int


@dataclass(frozen=True, slots=True)
class SettlementRow:
    """One agreement settled by one transaction."""

    agreement: str
    leg: str
    kind: str  # penalty | release
    amount: int
    currency: str
    decimals: int  # 1 unit shown = 10**decimals base units
    tx: str
    block_number: int
    gas_used: int
    payouts: tuple[Payout, ...] = ()
    why: str = ""  # one sentence


@dataclass(frozen=True, slots=True)
class DeadLetterSample:
    """One dead letter as an example of its code."""

    reason: str
    origin: str  # MQTT topic or FILE:LINE
    received_ms: int


@dataclass(frozen=True, slots=True)
class DeadLetterRow:
    """All dead letters of one code."""

    code: str
    count: int
    samples: tuple[DeadLetterSample, ...] = ()


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

    leg: str
    path: str  # relative to the report
    bytes: int
    checks: tuple[CheckRow, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """A command a reader can run, and what it shows."""

    text: str
    command: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything one report shows."""

    title: str
    story: str  # one line: what happened
    made_ms: int  # when the report was made
    first_ms: int  # the span of the timelines
    last_ms: int
    legs: tuple[LegReport, ...]
    figures: tuple[tuple[str, str], ...] = ()  # label, value: the tiles in the header
    offline: tuple[Offline, ...] = ()
    events: tuple[EventMark, ...] = ()
    batches: tuple[BatchRow, ...] = ()
    anchors: tuple[AnchorPoint, ...] = ()
    settlements: tuple[SettlementRow, ...] = ()
    dead_letters: tuple[DeadLetterRow, ...] = ()
    skipped: tuple[SkippedLine, ...] = ()
    evidence: tuple[EvidenceResult, ...] = ()
    commands: tuple[Command, ...] = ()
