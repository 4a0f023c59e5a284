"""Figures as whoever signs reads them: exact, because money hangs on each."""

_UNITS_MS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1))


def exact_duration(time_ms: int) -> str:
    """Every unit that is in it: `1 d 2 h 59 min`, `0 ms`."""
    parts, rest = [], time_ms
    for unit, size_ms in _UNITS_MS:
        count, rest = divmod(rest, size_ms)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts) or "0 ms"


def thousandths(value_milli: int) -> str:
    """Without a unit, and without zeros at the end: `0.5`, `−12345.678`."""
    sign, (whole, rest) = "−" if value_milli < 0 else "", divmod(abs(value_milli), 1000)
    return f"{sign}{whole}" + (f".{rest:03d}".rstrip("0") if rest else "")
