"""Orders and verdicts as points: limits, verdict, findings, totals, and the corrections of what was written before."""

from collections.abc import Iterator
from dataclasses import dataclass

from dashboards.timeseries import schema
from dashboards.timeseries.lines import NS_A_MS, Value, is_in_range, line
from dashboards.timeseries.names import Names, OfLeg
from dashboards.timeseries.readings import channel_tags
from lading.limits import OFF_HIGH, OFF_LOW, OFF_U32, ChannelLimits, Limits
from lading.mkt import mean_kinetic_celsius
from lading.quantities import Quantity
from lading.rules import describe
from lading.totals import Totals
from lading.verdict import Finding, Verdict, VerdictRecord

PLANNED_MS_MAX = 10 * 365 * 86_400_000
"""How far ahead of its order a leg may begin."""

_POINT_RULES = ("door", "light", "shock")
_IN_SECONDS = (
    "cumulative_above",
    "cumulative_below",
    "excursion_above",
    "excursion_below",
    "gap",
    "late",
    "stuck",
    "unknown_total",
)
_IN_UNITS = ("peak_above", "peak_below", "rate")


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict of the log with what its points need. Times in ns; `until_ms`: the latest horizon of the leg so far."""

    record: VerdictRecord
    of: OfLeg
    limits: Limits | None
    time_ns: int
    until_ms: int

    @property
    def record_ms(self) -> int:
        """When the record was written."""
        return self.time_ns // NS_A_MS


def limit_lines(names: Names, of: OfLeg, limits: Limits, time_ms: int, record_ms: int) -> Iterator[bytes]:
    """A leg's limits at a time; empty lines at one that cannot be."""
    is_true = is_in_range(time_ms, record_ms + PLANNED_MS_MAX)
    for one in limits.channels:
        tags = channel_tags(names, of, one.channel, one.quantity)
        yield line(schema.LIMIT, tags, _limit_values(one), time_ms * NS_A_MS) if is_true else b""


def _limit_values(one: ChannelLimits) -> dict[str, Value]:
    return {
        "upper": _unless(one.upper, OFF_HIGH),
        "lower": _unless(one.lower, OFF_LOW),
        "upper_stretch_s": _unless(one.above_stretch_max_ms, OFF_U32),
        "upper_cumulative_s": _unless(one.above_total_max_ms, OFF_U32),
        "lower_stretch_s": _unless(one.below_stretch_max_ms, OFF_U32),
        "lower_cumulative_s": _unless(one.below_total_max_ms, OFF_U32),
        "peak_upper": _unless(one.peak_upper, OFF_HIGH),
        "peak_lower": _unless(one.peak_lower, OFF_LOW),
        "mkt_celsius": _unless(one.mkt_max, OFF_HIGH),
        "gap_s": _unless(one.gap_max_ms, OFF_U32),
        "unknown_s": _unless(one.unknown_total_max_ms, OFF_U32),
        "rate": _unless(one.rate_max, OFF_U32),
        "stuck_s": _unless(one.stuck_max_ms, OFF_U32),
        "hold_s": one.hold_ms / 1000,
    }


def _unless(value: int, off: int) -> float | None:
    """Thousandths of a unit as units, milliseconds as seconds."""
    return None if value == off else value / 1000


def verdict_lines(names: Names, judged: Judged) -> Iterator[bytes]:
    """The points of a verdict itself."""
    verdict = judged.record.verdict
    yield line(schema.VERDICT, judged.of.tags(), _verdict_values(judged.record), judged.time_ns)
    for finding in verdict.findings:
        yield _finding_line(names, judged, finding, is_active=True)
    if judged.until_ms == 0:
        return  # nothing was judged yet
    if judged.limits is not None:
        yield from limit_lines(names, judged.of, judged.limits, judged.until_ms, judged.record_ms)
    by_channel = judged.limits.by_channel if judged.limits else {}
    for channel, quantity, totals in verdict.totals:
        tags = channel_tags(names, judged.of, channel, quantity)
        values = _totals_values(totals, quantity, by_channel.get(channel))
        is_true = is_in_range(judged.until_ms, judged.record_ms)
        yield line(schema.TOTALS, tags, values, judged.until_ms * NS_A_MS) if is_true else b""


def correction_lines(names: Names, judged: Judged, earlier: Verdict, earlier_ns: int) -> Iterator[bytes]:
    """What an earlier verdict of the leg left that does not hold any more."""
    if earlier_ns != judged.time_ns:
        yield line(schema.VERDICT, judged.of.tags(), {"superseded": 1}, earlier_ns)
    still = {_finding_place(finding) for finding in judged.record.verdict.findings}
    for finding in earlier.findings:
        if _finding_place(finding) not in still:
            yield _finding_line(names, judged, finding, is_active=False)


def _verdict_values(record: VerdictRecord) -> dict[str, Value]:
    verdict = record.verdict
    totals = [one for _, _, one in verdict.totals]
    return {
        "state": verdict.state,
        "result": verdict.result,
        "final": verdict.final,
        "breach": verdict.result == "breach",
        "findings": len(verdict.findings),
        "verdict_id": verdict.id.hex(),
        "supersedes": record.supersedes.hex() if record.supersedes else None,
        "superseded": 0,
        "leg_id": verdict.leg_id.hex(),
        "readings": sum(one.count for one in totals),
        "gap_count": sum(finding.rule == "gap" for finding in verdict.findings),
        "above_s": max((one.above_ms for one in totals), default=0) / 1000,
        "below_s": max((one.below_ms for one in totals), default=0) / 1000,
        "unknown_s": max((one.unknown_ms for one in totals), default=0) / 1000,
    }


def _is_peak(finding: Finding) -> bool:
    """A door's, light's or shock's peak has the name of its stretch, and perhaps its first time too."""
    return finding.rule in _POINT_RULES and finding.first_ms == finding.last_ms


def _finding_place(finding: Finding) -> tuple[int | None, str, str, int]:
    """Which point a finding is, within its leg: channel, rule, severity, time in ns."""
    time_ns = finding.first_ms * NS_A_MS + _is_peak(finding)
    return finding.channel, finding.rule, finding.severity, time_ns


def _finding_line(names: Names, judged: Judged, finding: Finding, *, is_active: bool) -> bytes:
    """What the verdict says of a finding, its own or an earlier one's; empty at a time that cannot be."""
    of, limits, verdict = judged.of, judged.limits, judged.record.verdict
    channel, rule, severity, time_ns = _finding_place(finding)
    if not is_in_range(finding.first_ms, judged.record_ms):
        return b""
    part = "" if channel is None else names.part(of.gateway, channel)
    own = limits.by_channel.get(channel) if limits and channel is not None else None
    tags = {"channel": "" if channel is None else str(channel), "part": part}
    values: dict[str, Value] = {
        "first_ms": finding.first_ms,
        "last_ms": finding.last_ms,
        "measured": figure(finding, finding.measured),
        "limit": None if finding.limit is None else figure(finding, finding.limit),
        "text": describe(finding, own, part),
        "active": is_active,
        "final": verdict.final,
        "verdict_id": verdict.id.hex(),
    }
    return line(schema.FINDING, of.tags() | tags | {"rule": rule, "severity": severity}, values, time_ns)


def figure(finding: Finding, value: int) -> float | None:
    """A finding's figure in the rule's unit (docs/spec/series.md)."""
    if finding.rule in _IN_SECONDS or finding.rule in _IN_UNITS or finding.rule in _POINT_RULES:
        return value / 1000
    if finding.rule == "mkt":
        return mean_kinetic_celsius(value, 1)
    return float(value)


def _totals_values(totals: Totals, quantity: int, limits: ChannelLimits | None) -> dict[str, Value]:
    is_valid = totals.valid_count > 0
    allowed_ms = limits.above_total_max_ms if limits else OFF_U32
    mkt = (
        mean_kinetic_celsius(totals.mkt_weight_sum, totals.known_ms)
        if quantity == Quantity.TEMPERATURE
        else None
    )
    return {
        "count": totals.count,
        "min": totals.min_value / 1000 if is_valid else None,
        "max": totals.max_value / 1000 if is_valid else None,
        "above_s": totals.above_ms / 1000,
        "below_s": totals.below_ms / 1000,
        "longest_above_s": totals.above_longest_ms / 1000,
        "longest_below_s": totals.below_longest_ms / 1000,
        "unknown_s": totals.unknown_ms / 1000,
        "longest_gap_s": totals.longest_gap_ms / 1000,
        "known_s": totals.known_ms / 1000,
        "mkt_celsius": mkt,
        "budget_used": totals.above_ms / allowed_ms if allowed_ms not in (0, OFF_U32) else None,
    }
