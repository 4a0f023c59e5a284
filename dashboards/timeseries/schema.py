"""Every measurement with its tags and fields, once: the writer writes these, the boards ask for these.

`page` renders what docs/spec/series.md says of each; a test holds the page to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["float", "integer", "text"]

TEXT_CHARS_MAX = 512
"""Longer texts are cut."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field: `unit` is empty for numbers without one and for texts. `optional`: not on every point."""

    name: str
    kind: Kind
    unit: str
    meaning: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measurement: tags in the order they are written in, `time` in words."""

    name: str
    meaning: str
    time: str
    tags: tuple[str, ...]
    fields: tuple[Field, ...]

    def field(self, name: str) -> Field:
        """A field by name; KeyError when it is not declared."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"{self.name} has no field {name}, only {', '.join(f.name for f in self.fields)}")


OF_GATEWAY = ("tenant", "gateway")
OF_LEG = (*OF_GATEWAY, "leg")
OF_CHANNEL = (*OF_LEG, "channel", "part", "quantity")

QUANTITY_UNIT = "quantity's"
"""The unit of the `quantity` tag: docs/spec/README.md."""
RULE_UNIT = "rule's"
"""The unit of the `rule` tag's figures: docs/spec/series.md, finding."""

_LOG_TIME = "log time of the record, with its offset (mod 10^6) as nanoseconds"
_VERDICT_ID = Field("verdict_id", "text", "", "the verdict's id, hex")

READING = Measurement(
    "reading",
    "Each reading of each frame.",
    "the reading's",
    OF_CHANNEL,
    (
        Field("value", "float", QUANTITY_UNIT, "left out where the reading is flagged FAULT or CLOCK", True),
        Field("flags", "integer", "", "the reading's flags; left out where there are none", True),
    ),
)
POSITION = Measurement(
    "position",
    "Where a gateway was: a latitude and a longitude of one frame with one time, both valid.",
    "the readings'",
    OF_LEG,
    (
        Field("latitude", "float", "°", "north is positive"),
        Field("longitude", "float", "°", "east is positive"),
    ),
)
GATEWAY = Measurement(
    "gateway",
    "Each frame.",
    "when the frame was signed, with its frame_seq (mod 10^6) as nanoseconds",
    OF_GATEWAY,
    (
        Field("frame_seq", "integer", "", "number of the frame"),
        Field("leg_state", "integer", "", "0 idle, 1 open, 2 closed"),
        Field("readings", "integer", "", "readings in the frame"),
        Field("delay_s", "float", "s", "from signing to the log"),
        Field("battery", "float", "V", "the frame's last valid battery reading", True),
    ),
)
STATUS = Measurement(
    "status",
    "What a gateway says of itself on MQTT (or its last will does), each minute and when it comes and goes.",
    "when it was received",
    OF_GATEWAY,
    (
        Field("online", "integer", "", "1 online, 0 offline"),
        Field("outbox_frames", "integer", "", "frames that wait for the link", True),
        Field("outbox_bytes", "integer", "B", "their size", True),
        Field("readings_pending", "integer", "", "readings in no frame yet", True),
        Field("readings_refused", "integer", "", "readings refused since the start", True),
        Field("outbox_full", "integer", "", "1 where readings are refused for want of room", True),
        Field("frame_seq_next", "integer", "", "number of the next frame", True),
        Field(
            "clock_behind_s",
            "float",
            "s",
            "receive time minus the gateway's own; not of retained messages",
            True,
        ),
    ),
)
LIMIT = Measurement(
    "limit",
    "A leg's limits. A limit that is off is left out.",
    "the leg's begin, and the newest reading judged by each verdict",
    OF_CHANNEL,
    (
        Field("upper", "float", QUANTITY_UNIT, "above it is an excursion", True),
        Field("lower", "float", QUANTITY_UNIT, "below it is an excursion", True),
        Field("upper_stretch_s", "float", "s", "longest single stretch above", True),
        Field("upper_cumulative_s", "float", "s", "time above in all", True),
        Field("lower_stretch_s", "float", "s", "longest single stretch below", True),
        Field("lower_cumulative_s", "float", "s", "time below in all", True),
        Field("peak_upper", "float", QUANTITY_UNIT, "no value may be above", True),
        Field("peak_lower", "float", QUANTITY_UNIT, "no value may be below", True),
        Field("mkt_celsius", "float", "°C", "mean kinetic temperature", True),
        Field("gap_s", "float", "s", "longest time without a valid reading", True),
        Field("unknown_s", "float", "s", "unknown time in all", True),
        Field("rate", "float", QUANTITY_UNIT, "change in a minute", True),
        Field("stuck_s", "float", "s", "longest time at one unchanged value", True),
        Field("hold_s", "float", "s", "how long a value holds"),
    ),
)
VERDICT = Measurement(
    "verdict",
    "Each verdict that the log has: a leg's newest point is what holds now.",
    _LOG_TIME,
    OF_LEG,
    (
        Field("state", "text", "", "open, closed, incomplete, forked"),
        Field("result", "text", "", "clean, breach"),
        Field("final", "integer", "", "1 when every frame it saw is in a finalized anchor"),
        Field("breach", "integer", "", "1 for breach, 0 for clean"),
        Field("findings", "integer", "", "findings, of both severities"),
        _VERDICT_ID,
        Field("supersedes", "text", "", "id of the verdict that this one replaces", True),
        Field("superseded", "integer", "", "1 once a later verdict has replaced it"),
        Field("leg_id", "text", "", "the leg's id, hex"),
        Field("readings", "integer", "", "readings judged, over all channels"),
        Field("gap_count", "integer", "", "findings of gaps"),
        Field("above_s", "float", "s", "longest time above of a channel"),
        Field("below_s", "float", "s", "longest time below of a channel"),
        Field("unknown_s", "float", "s", "longest unknown time of a channel"),
    ),
)
FINDING = Measurement(
    "finding",
    "What a leg's newest verdict finds. What a later verdict no longer finds stays, with active 0.",
    "the finding's first; one nanosecond later for the peak of a door, light or shock",
    (*OF_LEG, "channel", "part", "rule", "severity"),
    (
        Field("first_ms", "integer", "ms", "its first time"),
        Field("last_ms", "integer", "ms", "its last time"),
        Field("measured", "float", RULE_UNIT, "the figure"),
        Field("limit", "float", RULE_UNIT, "what was allowed", True),
        Field("text", "text", "", "one line for people"),
        Field("active", "integer", "", "1 while the newest verdict has it"),
        Field("final", "integer", "", "1 when that verdict is final"),
        _VERDICT_ID,
    ),
)
EPISODE = Measurement(
    "episode",
    "What the detectors find in a channel: high scores, from their first to their last. Advice; in no verdict.",
    "the first reading's",
    OF_CHANNEL,
    (
        Field("peak_ms", "integer", "ms", "the greatest score's time"),
        Field("last_ms", "integer", "ms", "the last high score's time, so far"),
        Field("score", "float", "of 1", "the greatest score"),
        Field("detector", "text", "", "which detector said most at the peak"),
        Field("text", "text", "", "one line for people"),
        Field("up", "integer", "", "1 while it goes on"),
        Field("release", "text", "", "what computed the scores"),
        Field("first_seq", "integer", "", "number of its first reading"),
        Field("last_seq", "integer", "", "number of its last reading, so far"),
    ),
)
FORECAST = Measurement(
    "forecast",
    "What the newest forecast says of each time; beside it, as `early_*`, what was said of it from furthest ahead.",
    "the one that it says something of",
    (*OF_CHANNEL, "release"),
    (
        Field("lowest", "float", QUANTITY_UNIT, "the lowest quantile"),
        Field("low", "float", QUANTITY_UNIT, "the quantile 0.1", True),
        Field("median", "float", QUANTITY_UNIT, "the quantile 0.5", True),
        Field("high", "float", QUANTITY_UNIT, "the quantile 0.9", True),
        Field("highest", "float", QUANTITY_UNIT, "the highest quantile"),
        Field("lowest_level", "float", "of 1", "which quantile the lowest is"),
        Field("highest_level", "float", "of 1", "which quantile the highest is"),
        Field("upper", "float", QUANTITY_UNIT, "the upper limit", True),
        Field("lower", "float", QUANTITY_UNIT, "the lower limit", True),
        Field("upper_probability", "float", "of 1", "of a breach of the upper limit by then", True),
        Field("lower_probability", "float", "of 1", "of a breach of the lower limit by then", True),
        Field("from_ms", "integer", "ms", "what the forecast counts from"),
        Field("early_low", "float", QUANTITY_UNIT, "the quantile 0.1 as it was said then", True),
        Field("early_median", "float", QUANTITY_UNIT, "the quantile 0.5 as it was said then", True),
        Field("early_high", "float", QUANTITY_UNIT, "the quantile 0.9 as it was said then", True),
        Field("early_s", "float", "s", "how far ahead that was said", True),
    ),
)
RISK = Measurement(
    "risk",
    "How probable each forecast finds a breach of a limit. Advice; in no verdict.",
    "what the forecast counts from; of a leg that is over, its newest reading, or later after a forecast",
    (*OF_CHANNEL, "release", "side"),
    (
        Field("limit", "float", QUANTITY_UNIT, "the limit", True),
        Field(
            "probability",
            "float",
            "of 1",
            "of a breach within all hours of the forecast; 0 once the leg is over",
        ),
        Field("soon", "float", "of 1", "of a breach within 45 minutes; 0 once the leg is over"),
        Field("begin_ms", "integer", "ms", "when half of `probability` is reached", True),
        Field("within_s", "float", "s", "the hours of the forecast: its last horizon", True),
    ),
)
TOTALS = Measurement(
    "totals",
    "A channel's totals since the leg began, as the verdict saw them.",
    "the newest reading judged, or that of an earlier verdict where it was newer",
    OF_CHANNEL,
    (
        Field("count", "integer", "", "readings"),
        Field("min", "float", QUANTITY_UNIT, "least valid value", True),
        Field("max", "float", QUANTITY_UNIT, "greatest valid value", True),
        Field("above_s", "float", "s", "time above the upper limit"),
        Field("below_s", "float", "s", "time below the lower limit"),
        Field("longest_above_s", "float", "s", "longest single stretch above"),
        Field("longest_below_s", "float", "s", "longest single stretch below"),
        Field("unknown_s", "float", "s", "time without a valid value"),
        Field("longest_gap_s", "float", "s", "longest time between valid readings"),
        Field("known_s", "float", "s", "time with a valid value"),
        Field("mkt_celsius", "float", "°C", "mean kinetic temperature", True),
        Field(
            "budget_used", "float", "of 1", "above_s of the cumulative limit; more than 1 is a breach", True
        ),
    ),
)
BATCH = Measurement(
    "batch",
    "Each batch that anchoring has cut.",
    _LOG_TIME,
    ("tenant",),
    (
        Field("interval", "integer", "", "number of the interval, one anchor each"),
        Field("batch_seq", "integer", "", "number of the tenant's batch"),
        Field("frames", "integer", "", "frames in it"),
        Field("last_event_ms", "integer", "ms", "its newest reading"),
    ),
)
ANCHOR = Measurement(
    "anchor",
    "Each state that an interval's anchor has been in.",
    _LOG_TIME,
    ("state",),
    (
        Field("interval", "integer", "", "number of the interval"),
        Field("gas_used", "integer", "gas", "0 while pending"),
        Field("block_number", "integer", "", "0 while pending"),
        Field("lag_s", "float", "s", "block time minus the interval's newest reading; from mined on", True),
        Field("tx", "text", "", "transaction hash, hex"),
    ),
)
DEAD = Measurement(
    "dead",
    "Each message that was not taken. Its tenant is that of the gateway its topic names, where that one is enrolled.",
    "when it was received, with its offset (mod 10^6) as nanoseconds",
    ("tenant", "code"),
    (
        Field("count", "integer", "", "1"),
        Field("bytes", "integer", "B", "size of the message"),
        Field("reason", "text", "", "what was found and what was wanted"),
        Field("number", "text", "", "PARTITION:OFFSET, for `lading ingest dead show`"),
    ),
)
SETTLEMENT = Measurement(
    "settlement",
    "Each end of a leg under an agreement, and of a cover over a leg, with what was paid.",
    _LOG_TIME,
    ("tenant", "leg", "kind"),
    (
        Field(
            "amount", "float", "token's", "what was paid, or of a bond released, in the token's smallest unit"
        ),
        Field("gas_used", "integer", "gas", "of the transaction"),
        Field("agreement", "text", "", "the agreement's or the cover's id, hex"),
        Field("tx", "text", "", "transaction hash, hex"),
        Field("block_number", "integer", "", "block of the transaction"),
    ),
)
TOPIC = Measurement(
    "topic",
    "How long a topic of the log is, every few seconds.",
    "when it was asked",
    ("topic",),
    (
        Field("end", "integer", "", "records ever written, over all partitions"),
        Field("rate", "float", "1/s", "records a second since the last point", True),
    ),
)
LAG = Measurement(
    "lag",
    "How far a reader of the log is behind, every few seconds.",
    "when it was asked",
    ("group", "topic"),
    (Field("records", "integer", "", "records that it has not committed"),),
)
METRIC = Measurement(
    "metric",
    "Each sample of the stages' /metrics, with the metric's own labels as further tags; p50 and p99 of histograms too.",
    "when it was scraped",
    ("name", "stage", "instance"),
    (Field("value", "float", "metric's", "what the unit is, the name's end says"),),
)

MEASUREMENTS: Mapping[str, Measurement] = {
    measurement.name: measurement
    for measurement in (
        READING,
        POSITION,
        GATEWAY,
        STATUS,
        LIMIT,
        VERDICT,
        FINDING,
        EPISODE,
        FORECAST,
        RISK,
        TOTALS,
        BATCH,
        ANCHOR,
        DEAD,
        SETTLEMENT,
        TOPIC,
        LAG,
        METRIC,
    )
}


def page(measurement: Measurement) -> str:
    """What docs/spec/series.md says of it, in Markdown."""
    tags = ", ".join(f"`{tag}`" for tag in measurement.tags)
    rows = [
        f"| `{field.name}` | {field.kind}{' or absent' if field.optional else ''} | {field.unit} | {field.meaning} |"
        for field in measurement.fields
    ]
    head = f"## {measurement.name}\n\n{measurement.meaning}\n\nTime: {measurement.time}. Tags: {tags}.\n"
    return "\n".join([head, "| field | type | unit | meaning |", "|---|---|---|---|", *rows, ""])
