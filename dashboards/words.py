"""Figures and findings in the words of people who were not there."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from lading import quantities
from lading.limits import OFF_HIGH, OFF_LOW, OFF_U32, ChannelLimits, Limits
from lading.mkt import mean_kinetic_celsius
from lading.quantities import Quantity
from lading.verdict import Finding

_UNITS_MS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def clock(time_ms: int) -> str:
    """`2026-11-05 04:10 UTC`, with seconds where there are some."""
    moment = datetime.fromtimestamp(int(time_ms) / 1000, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC" if moment.second else "%Y-%m-%d %H:%M UTC")


def day(time_ms: int) -> str:
    """`5 Nov`."""
    moment = datetime.fromtimestamp(int(time_ms) / 1000, UTC)
    return f"{moment.day} {moment:%b}"


def span(first_ms: int, last_ms: int) -> str:
    """`2026-11-05 04:10 to 07:22 UTC`: the day once, where it is one."""
    first, last = clock(first_ms), clock(last_ms)
    if first == last:
        return first
    return f"{first.removesuffix(' UTC')} to {last[11:] if first[:10] == last[:10] else last}"


def duration(length_ms: int) -> str:
    """The two largest units: `3 h 12 min`, `50 h`, `1 d 4 h` from three days on; `0.250 s` below a second."""
    if length_ms < 1_000:
        return f"{int(length_ms)} ms"
    parts: list[tuple[int, str]] = []
    rest = int(length_ms)
    for size, name in _UNITS_MS:
        if name == "d" and length_ms < 3 * size:
            continue
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append((count, name))
    return " ".join(f"{count} {name}" for count, name in parts[:2] if count)


def value(value_milli: int, quantity: int) -> str:
    """`8.412 °C` without needless zeros; a door is open or shut."""
    if quantity == Quantity.DOOR and value_milli in (0, 1000):
        return "open" if value_milli else "shut"
    return f"{decimal(value_milli, 3)} {quantities.unit(quantity)}".rstrip()


def decimal(amount: int, places: int) -> str:
    """A whole number of 10**−places as `1,234.5`."""
    whole, rest = divmod(abs(int(amount)), 10**places)
    tail = f"{rest:0{places}d}".rstrip("0") if places else ""
    return f"{'−' if amount < 0 else ''}{whole:,}{'.' + tail if tail else ''}"


def money(amount: int, decimals: int, currency: str) -> str:
    """`1,250.00 USDC`: at least two decimals where the coin has them."""
    shown = decimal(amount, decimals)
    whole, _, tail = shown.partition(".")
    return f"{whole}{'.' + tail.ljust(2, '0') if decimals >= 2 else '.' + tail if tail else ''} {currency}".rstrip()


def share(part_ms: int, whole_ms: int) -> str:
    """`4.2 %`."""
    return f"{100 * part_ms / whole_ms:.1f} %" if whole_ms else "–"


def allowed(limits: ChannelLimits) -> str:
    """`2 °C to 8 °C, above it for up to 30 min`; empty without limits."""
    if limits.quantity == Quantity.DOOR:
        return _stretch("open", limits.above_stretch_max_ms)
    parts = (
        _range(limits),
        _stretch("above it", limits.above_stretch_max_ms) if limits.upper != OFF_HIGH else "",
        _stretch("below it", limits.below_stretch_max_ms) if limits.lower != OFF_LOW else "",
    )
    return ", ".join(part for part in parts if part)


def _stretch(where: str, limit_ms: int) -> str:
    if limit_ms == OFF_U32:
        return ""
    return f"{where} for up to {duration(limit_ms)}" if limit_ms else f"never {where}"


def _range(limits: ChannelLimits) -> str:
    low, high = limits.lower != OFF_LOW, limits.upper != OFF_HIGH
    lower, upper = value(limits.lower, limits.quantity), value(limits.upper, limits.quantity)
    if low and high:
        return f"{lower} to {upper}"
    if low:
        return f"at least {lower}"
    return f"at most {upper}" if high else ""


def finding(found: Finding, limits: Limits, name: str) -> str:
    """One finding as a sentence; `name` is the channel's, which leg rules do without."""
    channel = limits.by_channel.get(found.channel) if found.channel is not None else None
    rule = _CHANNEL_RULES.get(found.rule)
    if rule and channel:
        return f"{name} {rule(found, channel)}"
    if found.rule in _LEG_RULES:
        return _LEG_RULES[found.rule](found)
    subject = f"{name}: " if found.channel is not None else ""
    return f"{subject}{found.rule.replace('_', ' ')}, measured {found.measured}, limit {found.limit}"


def _against(found: Finding) -> str:
    return f"; {'none' if not found.limit else duration(found.limit)} is allowed"


def _outside(side: str) -> Callable[[Finding, ChannelLimits], str]:
    def sentence(found: Finding, limits: ChannelLimits) -> str:
        total = "in all" if found.rule.startswith("cumulative") else "in one stretch"
        return f"was {_where(side, limits)} for {duration(found.measured)} {total}{_against(found)}"

    return sentence


def _where(side: str, limits: ChannelLimits) -> str:
    if limits.quantity == Quantity.DOOR:
        return "open" if side == "above" else "shut"
    bound = limits.upper if side == "above" else limits.lower
    return f"{side} {value(bound, limits.quantity)}"


def _peak(verb: str, most: str) -> Callable[[Finding, ChannelLimits], str]:
    def sentence(found: Finding, limits: ChannelLimits) -> str:
        bound = value(found.limit, limits.quantity) if found.limit is not None else "no limit"
        return f"{verb} {value(found.measured, limits.quantity)}; the {most} allowed is {bound}"

    return sentence


def _mkt(found: Finding, limits: ChannelLimits) -> str:
    mean = mean_kinetic_celsius(found.measured, 1)
    shown = "unknown" if mean is None else value(round(mean * 1000), limits.quantity)
    return f"had a mean kinetic temperature of {shown}; {value(limits.mkt_max, limits.quantity)} is allowed"


def _rate(found: Finding, limits: ChannelLimits) -> str:
    bound = value(found.limit or 0, limits.quantity)
    return f"changed by up to {value(found.measured, limits.quantity)} a minute; {bound} is allowed"


_CHANNEL_RULES: Mapping[str, Callable[[Finding, ChannelLimits], str]] = {
    "excursion_above": _outside("above"),
    "excursion_below": _outside("below"),
    "cumulative_above": _outside("above"),
    "cumulative_below": _outside("below"),
    "peak_above": _peak("reached", "highest"),
    "peak_below": _peak("fell to", "lowest"),
    "mkt": _mkt,
    "rate": _rate,
    "gap": lambda found, _: f"gave no valid reading for {duration(found.measured)}{_against(found)}",
    "unknown_total": lambda found, _: f"was unknown for {duration(found.measured)} in all{_against(found)}",
    "stuck": lambda found, _: f"did not change at all for {duration(found.measured)}{_against(found)}",
    "fault": lambda found, _: f"failed: {found.measured:,} readings in a row are sensor faults",
    "clock": lambda found, _: f"has {found.measured:,} readings in a row without a trusted clock",
}

_LEG_RULES: Mapping[str, Callable[[Finding], str]] = {
    "late": lambda found: f"The leg ran {duration(found.measured)} past the time it was due",
    "clone": lambda found: (
        f"Two different signed frames carry number {found.measured}: the gateway's key was cloned or stolen"
    ),
}

RULE_NAMES: Mapping[str, str] = {
    "excursion_above": "single stretch above",
    "excursion_below": "single stretch below",
    "cumulative_above": "time above in all",
    "cumulative_below": "time below in all",
    "peak_above": "peak",
    "peak_below": "low",
    "mkt": "mean kinetic temperature",
    "gap": "gap",
    "unknown_total": "unknown time",
    "late": "late",
    "clone": "cloned key",
    "rate": "rate of change",
    "stuck": "stuck value",
    "fault": "sensor fault",
    "clock": "clock",
}

REFUSALS: Mapping[str, str] = {
    "frame_size": "longer or shorter than any frame",
    "frame_encoding": "not the one encoding of a frame",
    "frame_version": "another format version",
    "frame_field": "fields that contradict each other",
    "frame_runs": "runs missing, doubled or out of order",
    "frame_readings": "reading columns that do not fit together",
    "frame_root": "a hash tree over other readings",
    "frame_totals": "totals that contradict the readings",
    "signature": "not signed by the gateway's key",
    "gateway_unknown": "a gateway nobody registered",
    "gateway_revoked": "a key that was no longer valid",
    "chain": "does not follow the frame before it",
    "totals": "totals that do not follow from the readings",
    "limits": "other channels than the leg's limits",
    "equivocation": "a second, different frame with a number already used: a cloned key",
    "duplicate": "a frame that was taken already",
}
