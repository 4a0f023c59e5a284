"""A cover and a pool in words."""

from contracts.covers import Cover
from contracts.figures import exact_duration
from contracts.insurance import CoverState, Pool
from contracts.money import Money
from contracts.words import calibration_lines, leg_lines, sentence, unmet_lines
from lading.terminal import shown_time


def describe_cover(cover: Cover, money: Money) -> list[str]:
    """The whole policy, a line each."""
    policy = cover.terms
    limits = cover.disclosure.limits if cover.disclosure else None
    return [
        f"Cover {cover.id.hex()}",
        f"  chain     {cover.domain.chain_id}, contract 0x{cover.domain.escrow.hex()}",
        f"  pool      {policy.pool.hex()}",
        f"  tenant    {policy.tenant.hex()}: frames of its batches count, and of no other's",
        f"  holder    0x{policy.holder.hex()} pays the premium, and gets the payout",
        f"  premium   {money.show(policy.premium)}, not given back",
        f"  maximum   {money.show(policy.maximum)}: no payout is more",
        f"  deduct    {money.show(policy.deductible)} of what the table makes due",
        f"  starts    {shown_time(policy.start_s * 1000)}: channels read before are not covered",
        f"  quote     holds until {shown_time(policy.quote_until_s * 1000)}",
        *leg_lines(policy.leg, cover.disclosure),
        f"After the deadline, better evidence may be shown for {exact_duration(policy.window_s * 1000)}; then it ends.",
        *calibration_lines(policy.uncertainty_max_milli),
        "Due is the sum of these, less the deductible:",
        *(f"  - {sentence(tier, limits)}: {money.show(tier.amount)}" for tier in policy.tiers),
        *unmet_lines(policy.legs, [cover.disclosure], policy.tiers),
    ]


def describe_pool(pool_id: bytes, pool: Pool, money: Money) -> list[str]:
    """A pool's terms and books."""
    return [
        f"Pool {pool_id.hex()}",
        f"  manager   0x{pool.manager.hex()} signs what is sold",
        f"  capital   {money.show(pool.capital)}, of it locked for open covers {money.show(pool.locked)}",
        f"  paid out  {money.show(pool.paid)}",
        f"  limits    {money.show(pool.event_max)} for one leg, {money.show(pool.aggregate_max)} in all",
        f"  waiting   {exact_duration(pool.waiting_s * 1000)} from purchase to start",
        f"  span      {exact_duration(pool.span_s * 1000)} from purchase to the end of the window, at most",
        f"  notice    {exact_duration(pool.notice_s * 1000)} before capital leaves",
    ]


def said_of(state: CoverState, payout: int | None, money: Money) -> str:
    """Where a cover stands."""
    if state.name == "none":
        return "not bought"
    if state.name != "settled" or payout is None:
        return state.name
    if not payout:
        return "ended, nothing due"
    owed = f", of it {money.show(state.owed)} still owed" if state.owed else ""
    return f"ended, payout {money.show(payout)}{owed}"
