"""Times, figures and codes in the words of people who were not there."""

from collections.abc import Mapping
from datetime import UTC, datetime

from lading import quantities
from lading.limits import OFF_HIGH, OFF_LOW, OFF_U32, ChannelLimits
from lading.quantities import Quantity
from lading.rules.findings import MORE
from lading.rules.words import duration


def printable(text: str) -> str:
    """Without control characters: a name may not move the cursor or colour the terminal."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


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


def rule_name(rule: str) -> str:
    """A rule in two or three words."""
    if rule.endswith(MORE):
        return f"more of {rule_name(rule.removesuffix(MORE))}"
    return _RULE_NAMES.get(rule, rule.replace("_", " "))


_RULE_NAMES: Mapping[str, str] = {
    "excursion_above": "stretch above",
    "excursion_below": "stretch below",
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
