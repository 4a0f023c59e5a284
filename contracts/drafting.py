"""Terms over a leg, from the operator's begin order and a toml file of what carrier and shipper agreed.

bond = 1000000              # token's units
deadline_s = 432000         # after the due time, or after the begin where no due time was agreed
window_s = 172800
[[tier]]
channel = 1                 # 0 for late_ms and silence_ms
metric = "above_ms"         # docs/spec/settlement.md
threshold = 1800000         # of the metric; for mkt, max_value and min_value thousandths of the unit
amount = 100000
"""

import sys
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lading.assignment import BEGIN, Assignment
from lading.cose import PublicKey
from lading.errors import MalformedError, ServiceError
from lading.export import orders
from lading.log import Log
from lading.mkt import weight
from lading.terms import TIERS_MAX, VALUE_OFFSET, Metric, Terms, Tier

STDIN = Path("-")
FILE_BYTES_MAX = 65_536
U128_MAX = 2**128 - 1


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DraftTier(_Table):
    """One tier as people write it."""

    channel: int = Field(ge=0, le=65_535)
    metric: str
    threshold: int
    amount: int = Field(ge=1, le=U128_MAX)

    def tier(self) -> Tier:
        """As the escrow compares it."""
        try:
            metric = Metric[self.metric.upper()]
        except KeyError as exc:
            raise MalformedError(
                "terms", f"metric {self.metric!r}, wanted one of {', '.join(_NAMES)}"
            ) from exc
        threshold = _threshold(metric, self.threshold)
        if not 0 <= threshold <= U128_MAX:
            raise MalformedError("terms", f"threshold {self.threshold} of {self.metric}")
        return Tier(self.channel, metric, threshold, self.amount)


_NAMES = [metric.name.lower() for metric in Metric]


class Draft(_Table):
    """What a terms file says."""

    bond: int = Field(ge=1, le=2**112 - 1)
    deadline_s: int = Field(ge=1, le=10**9)
    window_s: int = Field(ge=1, le=2**32 - 1)
    tier: list[DraftTier] = Field(min_length=1, max_length=TIERS_MAX)


def read_draft(path: Path) -> Draft:
    """From a file, or stdin as `-`. ServiceError when there is none, MalformedError `terms` when it says otherwise."""
    try:
        text = sys.stdin.read(FILE_BYTES_MAX + 1) if path == STDIN else path.read_text("utf-8")
    except OSError as exc:
        raise ServiceError("terms", f"{path}: {exc.strerror}") from exc
    if len(text) > FILE_BYTES_MAX:
        raise MalformedError("terms", f"{path}: {len(text)} characters, wanted at most {FILE_BYTES_MAX}")
    try:
        return Draft.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValidationError) as exc:
        raise MalformedError("terms", f"{path}: {exc}") from exc


def make_terms(
    draft: Draft, begin: Assignment, carrier: bytes, shipper: bytes, token: bytes, salt: int
) -> Terms:
    """The terms of a draft over the leg that `begin` begins."""
    if begin.limits is None:
        raise MalformedError("terms", "the order ends a leg, wanted one that begins it")
    tiers = sorted((one.tier() for one in draft.tier), key=lambda t: (t.channel, t.metric, t.threshold))
    return Terms(
        carrier,
        shipper,
        token,
        begin.tenant,
        begin.gateway,
        begin.leg_id,
        begin.limits.hash,
        begin.begin_ms,
        begin.due_ms,
        (begin.due_ms or begin.begin_ms) // 1000 + draft.deadline_s,
        draft.window_s,
        draft.bond,
        salt,
        tuple(tiers),
    )


def _threshold(metric: Metric, value: int) -> int:
    if metric is Metric.MKT:
        return weight(value)
    if metric is Metric.MAX_VALUE:
        return value + VALUE_OFFSET
    return VALUE_OFFSET - value if metric is Metric.MIN_VALUE else value


def newest_begin(log: Log, operator: PublicKey, leg: str) -> Assignment:
    """The newest begin order in the log that this operator signed for a leg, by reference or id in hex."""
    found = [
        order.assignment
        for order in orders(log, operator)
        if order.assignment.action == BEGIN
        and leg in (order.assignment.reference, order.assignment.leg_id.hex())
    ]
    if not found:
        raise ServiceError("leg", f"the log holds no begin order of {leg!r}")
    return found[-1]
