"""Pools and policies from toml files as an insurer writes them; amounts and times with their units.

A pool:                                 A policy:
event_max = "5000 TEST"                 maximum = "1000 TEST"
aggregate_max = "50000 TEST"            deductible = "100 TEST"     # 0 where it is left out
waiting = "1 day"                       premium = "50 TEST"         # 0 where it is left out
span = "60 days"                        valid = "1 day"             # how long the quote holds
notice = "7 days"                       deadline, window, uncertainty_max and [[tier]] as in an agreement's file
"""

from contracts import written
from contracts.drafting import (
    BOND_MAX,
    JudgedDraft,
    Place,
    Quantified,
    Table,
    check_window,
    leg_of_draft,
    read_amount,
    read_seconds,
    read_text,
    tiers_of_draft,
    uncertainty_of_draft,
)
from contracts.insurance import Pool
from contracts.money import Money
from contracts.policies import PoolTerms
from lading.assignment import Assignment
from lading.errors import MalformedError
from lading.policy import Policy


class PoolDraft(Table):
    """What a pool's file says."""

    event_max: Quantified
    aggregate_max: Quantified
    waiting: str
    span: str
    notice: str


class PolicyDraft(JudgedDraft):
    """What a policy's file says."""

    maximum: Quantified
    deductible: Quantified = 0
    premium: Quantified = 0
    valid: str


def make_pool(draft: PoolDraft, manager: bytes, token: bytes, money: Money, salt: int) -> PoolTerms:
    """MalformedError `terms` names the file's key."""
    return PoolTerms(
        manager,
        token,
        read_amount("event_max", draft.event_max, money, BOND_MAX),
        read_amount("aggregate_max", draft.aggregate_max, money, BOND_MAX),
        read_seconds("waiting", draft.waiting),
        read_seconds("span", draft.span),
        read_seconds("notice", draft.notice),
        salt,
    )


def make_policy(
    draft: PolicyDraft,
    begin: Assignment,
    pool_id: bytes,
    pool: Pool,
    holder: bytes,
    place: Place,
    salt: int,
    now_s: int,
) -> Policy:
    """A policy over the leg that `begin` begins; the cover starts when the leg is planned to."""
    leg, money = leg_of_draft(draft, begin), place.money
    start_s = leg.begin_ms // 1000
    quote_until_s = min(now_s + read_text("valid", written.duration_s, draft.valid), start_s - pool.waiting_s)
    if quote_until_s <= now_s:
        raise MalformedError(
            "terms",
            f"the leg begins in {start_s - now_s} s, wanted one that begins after the pool's waiting time"
            f" of {pool.waiting_s} s: nobody insures what has happened",
        )
    policy = Policy(
        pool_id,
        holder,
        begin.tenant,
        start_s,
        quote_until_s,
        draft.window_s or read_seconds("window", draft.window),
        uncertainty_of_draft(draft, [begin]),
        read_amount("maximum", draft.maximum, money, BOND_MAX),
        _amount("deductible", draft.deductible, money),
        _amount("premium", draft.premium, money),
        salt,
        leg,
        tiers_of_draft(draft, [begin], money),
    )
    _check(policy, pool, place, now_s)
    return policy


def _check(policy: Policy, pool: Pool, place: Place, now_s: int) -> None:
    """What pool and contract would refuse, said by the file's keys."""
    money = place.money
    check_window(policy.window_s, place)
    free = pool.capital - pool.locked
    if policy.maximum > min(free, pool.event_max):
        raise MalformedError(
            "terms",
            f"maximum: {money.show(policy.maximum)}, wanted at most {money.show(min(free, pool.event_max))}:"
            " the pool's free capital and its limit for one leg",
        )
    end_s = policy.leg.deadline_s + policy.window_s
    if end_s > now_s + pool.span_s:
        raise MalformedError(
            "terms", f"the window ends {end_s - now_s} s from now, wanted at most the pool's {pool.span_s} s"
        )


def _amount(where: str, given: int | str, money: Money) -> int:
    return 0 if given == 0 else read_amount(where, given, money, BOND_MAX)
