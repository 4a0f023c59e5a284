"""How often a fleet anchors and settles, and what that costs a month at a chain's prices."""

from dataclasses import dataclass

from contracts.fees.formulas import Fee, Prices
from contracts.fees.transactions import COVER_OPERATIONS, OPERATIONS, measured

DAY_S = 86_400
MONTH_DAYS = 30
FRAMES_MAX = 100_000  # of one interval, as the anchoring stage's setting is without a choice
CADENCES_S = (60, 300, 900, 3_600, 6 * 3_600, DAY_S)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Readings are a gateway's; tenants share the anchors; `breach_share` of legs and covers end in a payment."""

    gateways: int
    readings_per_day: float
    frame_s: float
    tenants: int
    legs_per_month: float
    breach_share: float
    covers_per_month: float = 0

    @property
    def frames_per_day(self) -> float:
        """Of all gateways."""
        return self.gateways * DAY_S / self.frame_s

    @property
    def readings_per_month(self) -> float:
        """Of all gateways."""
        return self.gateways * self.readings_per_day * MONTH_DAYS

    def anchors_per_month(self, interval_s: float) -> float:
        """One an interval in which frames came; more where an interval would hold more frames than it may."""
        frames = self.frames_per_day
        return MONTH_DAYS * min(frames, max(DAY_S / interval_s, frames / FRAMES_MAX))

    def depths(self, interval_s: float) -> tuple[int, int]:
        """Siblings of a frame in its batch, and of a batch in its interval: tenants are alike in size."""
        frames = self.frames_per_day * MONTH_DAYS / self.anchors_per_month(interval_s)
        return _depth(frames / self.tenants), _depth(min(self.tenants, frames))

    def per_month(self, interval_s: float) -> dict[str, float]:
        """Transactions by operation. A penalty is followed by a withdrawal and by a deposit that fills the bond."""
        penalties = self.legs_per_month * self.breach_share
        payouts = self.covers_per_month * self.breach_share
        covers = {
            "cover": self.covers_per_month,
            "payout": payouts,
            "expiry": self.covers_per_month - payouts,
        }
        agreements = {
            "anchor": self.anchors_per_month(interval_s),
            "deposit": penalties,
            "open": self.legs_per_month,
            "penalty": penalties,
            "release": self.legs_per_month - penalties,
            "withdraw": penalties + payouts,
        }
        return agreements | (covers if self.covers_per_month else {})


@dataclass(frozen=True, slots=True)
class Costs:
    """At one interval length: the fee of one of each operation, how many a month, and what that is together."""

    interval_s: float
    fees: dict[str, Fee]
    per_month: dict[str, float]

    @property
    def anchoring_wei(self) -> int:
        """A month's anchors."""
        return round(self.fees["anchor"].total_wei * self.per_month["anchor"])

    @property
    def month_wei(self) -> int:
        """A month's anchors and settlements."""
        return round(sum(fee.total_wei * self.per_month[name] for name, fee in self.fees.items()))


def costs(fleet: Fleet, prices: Prices, interval_s: float) -> Costs:
    """What the fleet pays at an interval length."""
    depths = fleet.depths(interval_s)
    operations = OPERATIONS + (COVER_OPERATIONS if fleet.covers_per_month else ())
    fees = {one.name: prices.fee(measured(one, *depths)) for one in operations}
    return Costs(interval_s, fees, fleet.per_month(interval_s))


def _depth(leaves: float) -> int:
    """⌈log2 leaves⌉ of at least one."""
    return max(0, (max(1, -int(-leaves // 1)) - 1).bit_length())
