"""A cover is bought before its leg, ends by the leg's evidence alone, and pays by its table."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.covers import Cover
from contracts.parties import balance_of, credit_of, withdraw
from lading.errors import MalformedError, RejectedError
from lading.tiers import Tier
from tests.insuring import (
    BEGIN_MS,
    CAPITAL,
    DEDUCTIBLE,
    HOLDER,
    INSURER,
    MAXIMUM,
    NOTICE_S,
    PREMIUM,
    Insured,
    later_leg,
    pool_terms,
)
from tests.settling import ABOVE_MS, HOUR_MS, MINUTE_MS, SILENCE_MS, World

TIERS = (
    Tier(0, SILENCE_MS, HOUR_MS, 400_000),
    Tier(1, ABOVE_MS, 10 * MINUTE_MS, 100_000),
    Tier(1, ABOVE_MS, 30 * MINUTE_MS, 200_000),
)


@pytest.fixture
def insured(tmp_path: Path) -> Insured:
    return Insured(World(tmp_path))


def test_a_breach_pays_the_holder(insured: Insured) -> None:
    """40 warm minutes reach both tiers: 300 000 less the deductible, as credits that the holder takes out."""
    world, leg = insured.world, later_leg(40 * MINUTE_MS)
    cover = insured.bought(leg, TIERS)
    locked = insured.insurance.pool(insured.pool).locked
    assert locked == MAXIMUM + PREMIUM
    world.take(leg.frames)
    world.judge(leg.frames)
    assert insured.until_ended(cover) == 300_000 - DEDUCTIBLE
    assert credit_of(world.chain, world.deployment, HOLDER.address) == 250_000
    withdraw(world.chain, world.deployment, HOLDER)
    assert balance_of(world.chain, world.deployment, HOLDER.address) == 250_000
    pool = insured.insurance.pool(insured.pool)
    assert (pool.capital, pool.locked, pool.paid) == (CAPITAL + PREMIUM - 250_000, 0, 250_000)
    insured.covering.step(world.now_ms)
    assert insured.covering.waits == {}


def test_a_clean_leg_frees_the_capital(insured: Insured) -> None:
    """Nothing is due; the premium is the owners', and all but the virtual shares' part leaves after the notice."""
    world, leg = insured.world, later_leg(0)
    cover = insured.bought(leg, TIERS)
    world.take(leg.frames)
    world.judge(leg.frames)
    assert insured.until_ended(cover) == 0
    shares = insured.insurance.holding(insured.pool, INSURER.address).shares
    leaving = insured.insurance.announce(INSURER, insured.pool, shares)
    assert leaving.leaving == shares
    world.now_ms += (NOTICE_S + 1) * 1000
    # A million virtual shares of 10^13: a unit and a bit.
    assert insured.insurance.remove(INSURER, insured.pool, shares) == CAPITAL + PREMIUM - 2


def test_silence_pays_after_the_window(insured: Insured, monkeypatch: pytest.MonkeyPatch) -> None:
    """No frame at all: the stage finishes the cover after its window, and the table's silence tier counts.

    Once that is final, the chain is not asked of it any more.
    """
    cover = insured.bought(later_leg(0), TIERS)
    insured.world.now_ms = BEGIN_MS + 5 * HOUR_MS
    assert insured.until_ended(cover) == 400_000 - DEDUCTIBLE
    for _ in range(2):  # writes its end, then lets go of it
        insured.covering.step(insured.world.now_ms)
    assert asked_of(insured, monkeypatch) == 0


def asked_of(insured: Insured, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many questions a step of the covers asks the chain."""
    asked: list[str] = []
    request = insured.world.node.request

    def counted(method: str, params: list[Any]) -> Any:
        asked.append(method)
        return request(method, params)

    monkeypatch.setattr(insured.world.node, "request", counted)
    insured.covering.step(insured.world.now_ms)
    monkeypatch.undo()
    return len(asked)


def test_not_bought_is_not_touched(insured: Insured, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quote that nobody bought waits, and after its time nothing is asked for any more."""
    world, leg = insured.world, later_leg(40 * MINUTE_MS)
    cover = Cover(insured.policy(leg, TIERS), insured.insurance.domain).signed_by(INSURER)
    insured.folder.save(cover)
    world.take(leg.frames)
    world.judge(leg.frames)
    for _ in range(4):
        insured.covering.step(world.now_ms)
        world.step()
    assert insured.insurance.state(cover.id).name == "none"
    assert insured.covering.waits == {}
    assert asked_of(insured, monkeypatch) == 0


def test_ids_are_the_contracts(insured: Insured) -> None:
    """Pool id and cover id computed here are what the contracts compute."""
    terms = pool_terms(insured.world)
    argument = tuple(getattr(terms, name) for name in terms.__slots__)
    assert insured.insurance.pools.call("poolId", argument) == insured.pool
    cover = Cover(insured.policy(later_leg(0), TIERS), insured.insurance.domain)
    assert insured.insurance.contract.call("coverId", cover.terms.argument()) == cover.id


def test_the_document_decodes_to_itself(insured: Insured) -> None:
    """One encoding; another contract's or another manager's signature is refused."""
    cover = Cover(insured.policy(later_leg(0), TIERS), insured.insurance.domain).signed_by(INSURER)
    assert Cover.decode(cover.encoded) == cover
    cover.check(INSURER.address)
    with pytest.raises(RejectedError, match="manager is"):
        cover.check(HOLDER.address)
    dearer = replace(cover, terms=replace(cover.terms, premium=PREMIUM + 1))
    with pytest.raises(RejectedError, match="manager is"):
        dearer.check(INSURER.address)
    with pytest.raises(MalformedError, match="policy"):
        type(cover.terms).decode(cover.terms.encode() + bytes(32))
