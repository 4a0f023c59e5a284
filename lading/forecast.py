"""What the forecaster says of a leg's channel (docs/spec/anomaly.md). Advice: no verdict, and nothing to settle by."""

import itertools
from dataclasses import dataclass
from typing import Any, NamedTuple

from lading import fields
from lading.cbor import Value, encode, open_document
from lading.errors import MalformedError
from lading.fields import U16_MAX
from lading.tree import sha256

RECORD_BYTES_MAX = 65_536
TAG = "lading/forecast/1"
SHARE_MAX = 1_000_000
HORIZONS_MAX, QUANTILES_MAX = 64, 64


class Risk(NamedTuple):
    """Of a limit, in thousandths: how probable a breach is within each horizon, in millionths, and when it begins."""

    limit: int
    shares: tuple[int, ...]
    first_ms: int | None  # none where there is nothing to fear


@dataclass(frozen=True, slots=True)
class Forecast:
    """The next hours of a channel, from `from_ms` on. `values`: thousandths, a row a horizon, a column a quantile."""

    release: bytes
    leg_id: bytes
    gateway_id: bytes
    limits_hash: bytes
    channel: int
    quantity: int
    from_ms: int
    horizons_ms: tuple[int, ...]
    levels: tuple[int, ...]  # of the quantiles, in millionths
    values: tuple[tuple[int, ...], ...]
    upper: Risk | None
    lower: Risk | None

    @property
    def key(self) -> bytes:
        """Of which forecast this is: there is one with a key, whatever machine made it."""
        about: list[Value] = [self.leg_id, self.gateway_id, self.limits_hash, self.channel, self.from_ms]
        return sha256(encode([TAG, self.release, *about]))

    def encode(self) -> bytes:
        """Document `lading/forecast/1`."""
        whose: list[Value] = [
            self.release,
            self.leg_id,
            self.gateway_id,
            self.limits_hash,
            self.channel,
            self.quantity,
        ]
        rows: list[Value] = [list(row) for row in self.values]
        columns: list[Value] = [list(self.horizons_ms), list(self.levels), rows]
        return encode([TAG, *whose, self.from_ms, *columns, _listed(self.upper), _listed(self.lower)])

    @staticmethod
    def decode(data: bytes) -> "Forecast":
        """From the document; MalformedError as the page says."""
        items = open_document(data, TAG, 13, RECORD_BYTES_MAX)
        release, leg, gateway, limits, channel, quantity, from_ms, horizons, levels, values, *risks = items
        spans = _ascending(horizons, "horizons", HORIZONS_MAX, fields.TIME_MS_MAX)
        shares = _ascending(levels, "quantiles", QUANTILES_MAX, SHARE_MAX - 1)
        rows = fields.items(values, "values", HORIZONS_MAX, count=len(spans))
        upper, lower = (_risk(one, len(spans)) for one in risks)
        return Forecast(
            fields.fixed(release, "release"),
            fields.fixed(leg, "leg id"),
            fields.fixed(gateway, "gateway id"),
            fields.fixed(limits, "limits hash"),
            fields.uint(channel, "channel", U16_MAX),
            fields.uint(quantity, "quantity", U16_MAX),
            fields.time_ms(from_ms, "from"),
            spans,
            shares,
            tuple(_row(row, len(shares)) for row in rows),
            upper,
            lower,
        )


def is_forecast(data: bytes) -> bool:
    """Whether a record of `lading.anomalies.v1` says so of itself."""
    return TAG.encode() in data[:24]


def _listed(risk: Risk | None) -> Value:
    return None if risk is None else [risk.limit, list(risk.shares), risk.first_ms]


def _ascending(value: Any, name: str, count_max: int, maximum: int) -> tuple[int, ...]:
    found = tuple(fields.uint(one, name, maximum) for one in fields.items(value, name, count_max))
    if not found or found[0] == 0 or any(a >= b for a, b in itertools.pairwise(found)):
        raise MalformedError("forecast", f"{name} {found[:8]}, wanted some, above 0, ascending")
    return found


def _row(value: Any, count: int) -> tuple[int, ...]:
    row = tuple(fields.integer(one, "value") for one in fields.items(value, "values", count, count=count))
    if any(a > b for a, b in itertools.pairwise(row)):
        raise MalformedError("forecast", f"quantiles {row[:8]}, wanted none below the one before")
    return row


def _risk(value: Any, count: int) -> Risk | None:
    if value is None:
        return None
    limit, shares, first_ms = fields.items(value, "risk", 3, count=3)
    found = tuple(
        fields.uint(one, "share", SHARE_MAX) for one in fields.items(shares, "shares", count, count=count)
    )
    if any(a > b for a, b in itertools.pairwise(found)):
        raise MalformedError("forecast", f"shares {found[:8]}, wanted none below the one before")
    first = None if first_ms is None else fields.time_ms(first_ms, "first time")
    return Risk(fields.integer(limit, "limit"), found, first)
