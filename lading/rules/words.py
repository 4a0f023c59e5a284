"""Findings for people: one line each, with units."""

from lading import quantities
from lading.limits import ChannelLimits
from lading.mkt import mean_kinetic_celsius
from lading.rules.findings import MORE
from lading.verdict import Finding

_UNITS_MS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000))
_NAMED_STRETCHES = ("door", "light", "shock")


def duration(time_ms: int) -> str:
    """The two greatest units: `3 h 12 min`, `45 s`, `250 ms`."""
    for i, (unit, size_ms) in enumerate(_UNITS_MS):
        if time_ms >= size_ms:
            count, rest = divmod(time_ms, size_ms)
            lesser = _UNITS_MS[i + 1 : i + 2]
            small = rest // lesser[0][1] if lesser else 0
            return f"{count} {unit}" + (f" {small} {lesser[0][0]}" if small else "")
    return f"{time_ms} ms"


def amount(value_milli: int, quantity: int) -> str:
    """A value with its unit, thousandths written out: `8.000 °C`."""
    sign, whole = "−" if value_milli < 0 else "", abs(value_milli)
    return f"{sign}{whole // 1000}.{whole % 1000:03d} {quantities.unit(quantity)}".rstrip()


def describe(finding: Finding, limits: ChannelLimits | None = None, name: str = "") -> str:
    """One line: what was found, how much, and what was allowed.

    With the channel's limits it names quantity and unit; `limits` is None for the leg's own findings.
    `name`: how staff call the channel, in place of quantity and number.
    """
    if limits is None:
        return _leg_line(finding)
    what = name or f"{quantities.name(limits.quantity)} (channel {limits.channel})"
    if finding.rule.endswith(MORE):
        rule = finding.rule.removesuffix(MORE)
        return f"{what}: {finding.measured} more findings of {rule} than the {finding.limit} listed"
    return f"{what} {_channel_line(finding, limits)}"


def _leg_line(finding: Finding) -> str:
    if finding.rule == "late":
        return f"{duration(finding.measured)} after the time agreed"
    if finding.rule == "clone":
        return f"two different frames signed as frame {finding.measured}: the gateway's key is in two hands"
    return f"{finding.rule} on channel {finding.channel}: {finding.measured}, limit {finding.limit}"


def _channel_line(finding: Finding, limits: ChannelLimits) -> str:
    rule, measured = finding.rule, finding.measured
    if rule in _NAMED_STRETCHES:
        rule = "peak_above" if finding.first_ms == finding.last_ms else "excursion_above"
    if rule in ("fault", "clock"):
        reason = "failed" if rule == "fault" else "had no clock"
        readings = "1 reading" if measured == 1 else f"{measured} readings"
        return f"{reason} for {readings}, {duration(finding.last_ms - finding.first_ms)}"
    limit = finding.limit if finding.limit is not None else 0
    return _limit_line(rule, measured, limit, limits)


def _limit_line(rule: str, measured: int, limit: int, limits: ChannelLimits) -> str:
    quantity = limits.quantity
    upper, lower = amount(limits.upper, quantity), amount(limits.lower, quantity)
    lasted, allowed = duration(measured), duration(limit)
    if rule == "mkt":
        found, wanted = mean_kinetic_celsius(measured, 1), mean_kinetic_celsius(limit, 1)
        return f"with a mean kinetic temperature of {found:.3f} °C, allowed {wanted:.3f} °C"
    lines = {
        "excursion_above": f"above {upper} for {lasted} in one stretch, allowed {allowed}",
        "excursion_below": f"below {lower} for {lasted} in one stretch, allowed {allowed}",
        "cumulative_above": f"above {upper} for {lasted} in all, allowed {allowed}",
        "cumulative_below": f"below {lower} for {lasted} in all, allowed {allowed}",
        "peak_above": f"reached {amount(measured, quantity)}, allowed up to {amount(limit, quantity)}",
        "peak_below": f"reached {amount(measured, quantity)}, allowed down to {amount(limit, quantity)}",
        "gap": f"without a valid reading for {lasted}, allowed {allowed}",
        "unknown_total": f"unknown for {lasted} in all, allowed {allowed}",
        "rate": f"changed by {amount(measured, quantity)} a minute, expected at most {amount(limit, quantity)}",
        "stuck": f"at one unchanged value for {lasted}, expected at most {allowed}",
    }
    return lines.get(rule, f"{rule}: {measured}, limit {limit}")
