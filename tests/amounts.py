"""Many legs with made-up totals and terms, settled at once: what the chain pays against what Python says is due."""

from random import Random

from lading.assignment import Assignment
from lading.due import Seen, due
from lading.frame import CLOSED, NO_ANCHOR, OPEN, Frame, LegRef, make_run, seal
from lading.terms import Terms
from lading.tiers import METRICS_OF_LEG, Metric, Tier
from lading.totals import EMPTY, Totals
from tests.legs import GATEWAY, make_order
from tests.settling import BOND, HOUR_MS, LIMITS, START_MS, World, make_terms_of

LEG_MS = 2 * HOUR_MS
SPAN_MS_MAX = 2**40


def some_totals(random: Random) -> Totals:
    """Totals that a decoder takes: each figure anywhere in its range, or at an end of it."""
    if random.random() < 0.15:
        return EMPTY

    def pick(low: int, high: int) -> int:
        return random.choice((low, high, random.randint(low, high), random.randint(low, min(high, low + 10))))

    count = pick(1, 2**32 - 1)
    first_ms = pick(START_MS - HOUR_MS, START_MS + HOUR_MS)
    last_ms = first_ms + pick(0, LEG_MS)
    known_ms = pick(0, last_ms - first_ms)
    big = 2**64 - 1
    return Totals(
        first_seq=pick(0, 2**32),
        count=count,
        valid_count=pick(0, count),
        first_ms=first_ms,
        last_ms=last_ms,
        min_value=pick(-(2**31), 2**31 - 1),
        max_value=pick(-(2**31), 2**31 - 1),
        longest_gap_ms=pick(0, big),
        known_ms=known_ms,
        unknown_ms=last_ms - first_ms - known_ms,
        above_ms=pick(0, big),
        above_longest_ms=pick(0, big),
        below_ms=pick(0, big),
        below_longest_ms=pick(0, big),
        mkt_weight_sum=pick(0, 2**127),
    )


def some_tiers(random: Random, totals: Totals) -> tuple[Tier, ...]:
    """Tiers of every metric with thresholds around the figure, so that greater, equal and less all occur."""
    figures = {
        Metric.ABOVE_MS: totals.above_ms,
        Metric.ABOVE_LONGEST_MS: totals.above_longest_ms,
        Metric.BELOW_MS: totals.below_ms,
        Metric.BELOW_LONGEST_MS: totals.below_longest_ms,
        Metric.MKT: totals.mkt_weight_sum // max(totals.known_ms, 1),
        Metric.LONGEST_GAP_MS: totals.longest_gap_ms,
        Metric.UNKNOWN_MS: totals.unknown_ms,
        Metric.LATE_MS: HOUR_MS,
        Metric.SILENCE_MS: 4 * HOUR_MS,
        Metric.MAX_VALUE: totals.max_value + 2**31,
        Metric.MIN_VALUE: 2**31 - totals.min_value,
        Metric.UNCOVERED_MS: LEG_MS,
    }
    chosen = random.sample(sorted(figures), random.randint(1, 6))
    tiers = {
        (
            0 if metric in METRICS_OF_LEG else 1,
            int(metric),
            max(0, figures[metric] + random.choice((-1, 0, 1, -HOUR_MS, HOUR_MS))),
        )
        for metric in chosen
    }
    return tuple(Tier(*place, random.choice((1, BOND // 7, BOND // 2, BOND))) for place in sorted(tiers))


def some_frame(order: Assignment, seq: int, totals: Totals, closed: bool) -> Frame:
    """The leg's only frame, with an empty run under the totals."""
    run = make_run(1, 1, totals.first_seq + totals.count, bytes(16), [], totals)
    leg = LegRef(CLOSED if closed else OPEN, order.leg_id, LIMITS.hash)
    previous = bytes([1]) * 32 if seq else bytes(32)
    return seal(GATEWAY, leg, seq, previous, START_MS + LEG_MS, NO_ANCHOR, [run])


def settle_many(world: World, seed: int, legs: int) -> list[tuple[Terms, int, int]]:
    """(terms, penalty by Python, penalty paid by the chain) of each leg; every third leg is never closed."""
    random = Random(seed)
    wanted: dict[bytes, tuple[Terms, int]] = {}
    frames = []
    for number in range(legs):
        totals, closed = some_totals(random), number % 3 != 2
        order = make_order(LIMITS, reference=f"leg-{number}")
        frame = some_frame(order, number, totals, closed)
        terms = make_terms_of(world, frame.header, some_tiers(random, totals), due_ms=START_MS + HOUR_MS)
        seen = Seen({1: totals}, frame.header.sent_ms, closed)
        wanted[world.agree(terms)] = terms, due(terms.leg_terms(0), seen)
        frames.append(frame)
    world.until(lambda: all(world.settling.state(key) == "open" for key in wanted), 1000)
    world.take(frames)
    for frame in frames:
        world.judge([frame])
    world.until(lambda: len(world.settling.ledger.settlements()) == legs)
    found = []
    for one in world.settling.ledger.settlements():
        terms, penalty = wanted[one.agreement]
        assert one.penalty + one.rest == terms.bond
        found.append((terms, penalty, one.penalty))
    return found
