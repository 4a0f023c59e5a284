"""`lading cover`: from an insurer's file to a payout, each step shown in words."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from anchoring.cli import app as anchoring
from contracts.cover_cli import app
from contracts.covers import read_cover
from contracts.insurance import Insurance
from contracts.parties import balance_of, mint
from lading import abi, topics
from lading.errors import MalformedError, RejectedError, ServiceError
from lading.inspect import inspect
from lading.wallet import Wallet
from tests.insuring import BEGIN_MS, later_leg, pool_terms
from tests.legs import Leg
from tests.settling import CARRIER, DEPLOYER, MINUTE_MS, SETTLER, SHIPPER
from tests.unit.contracts.test_agreement_cli import Site, site  # noqa: F401

POOL = """
event_max = "5000 TEST"
aggregate_max = "50000 TEST"
waiting = "10 min"
span = "30 d"
notice = "1 h"
"""
POLICY = """
maximum = "1000 TEST"
deductible = "50 TEST"
premium = "20 TEST"
valid = "1 d"
deadline = "6 h"
window = "1 h"
[[tier]]
channel = 1
metric = "above"
threshold = "30 min"
amount = "300 TEST"
"""


def prepared(site: Site, monkeypatch: pytest.MonkeyPatch, reference: str = "") -> Leg:  # noqa: F811
    """Files and keys in place, and a leg in the log that begins later."""
    site.app = app
    world = site.world
    CARRIER.save(site.keys / "insurer.key")
    monkeypatch.setattr("contracts.cover_cli.wall_ms", lambda: world.now_ms)
    (site.folder / "pool.toml").write_text(POOL)
    (site.folder / "policy.toml").write_text(POLICY)
    made = later_leg(40 * MINUTE_MS)
    begin = replace(made.begin, begin_ms=BEGIN_MS, reference=reference or made.begin.reference)
    leg = Leg(begin, made.frames)
    world.log.append(topics.ASSIGNMENTS, [(leg.begin.gateway, leg.order)])
    return leg


def test_from_a_pool_to_a_payout(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """Opened, filled, quoted, bought, settled by hand: 300 less the deductible of 50."""
    world, leg = site.world, prepared(site, monkeypatch)

    pool = site.json("open", "pool.toml", "--yes")["pool"]
    assert site.json("add", pool, "10000 TEST", "--test-tokens")["shares"] == 10_000 * 10**12
    assert "capital   10,000 TEST, of it locked for open covers 0 TEST" in site.run("show", pool)
    quote = ("quote", pool, "policy.toml", "--leg", leg.begin.reference, "-o", "leg.cover", "--yes")
    told = site.run(*quote)
    for wanted in (
        "premium   20 TEST, not given back",
        "channel 1 (temperature) above 8.000 °C for more than 30 min in all: 300 TEST",
    ):
        assert wanted in told
    with pytest.raises(ServiceError, match="is there already"):
        site.run(*quote)
    shown = inspect(Path("leg.cover").read_bytes())
    assert (shown.kind, shown.problem) == ("cover", None)
    bought = site.json("buy", "leg.cover", "--test-tokens", "--yes")
    (row,) = site.json("list")["covers"]
    assert (row["state"], row["final"]) == ("open", True)
    monkeypatch.setitem(world.node._depths, "finalized", 1)  # the purchase is in the newest block
    (row,) = site.json("list")["covers"]
    assert (row["state"], row["final"]) == ("open", False)
    assert "Now: open; not in a finalized block yet." in site.run("show", bought["cover"])
    monkeypatch.setitem(world.node._depths, "finalized", 10_000)  # no finalized block at all
    assert site.json("list")["covers"][0]["final"] is False
    monkeypatch.setitem(world.node._depths, "finalized", 0)
    waits = site.run("settle", bought["cover"][:16], code=1)
    assert "waits: no frame of it is judged yet" in waits

    world.take(leg.frames)
    world.judge(leg.frames)
    for _ in range(4):
        world.step()
    settled = site.json("settle", bought["cover"])
    assert (settled["taken"], settled["payout"]) == ("settle", 250_000_000)
    assert "ended, payout 250 TEST" in site.run("show", bought["cover"])
    with pytest.raises(MalformedError, match="nobody insures what has happened"):
        site.run("quote", pool, "policy.toml", "--leg", leg.begin.reference, "-o", "late.cover", "--yes")
    told = site.run("remove", pool)
    assert re.search(r"they may leave from \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC on", told)
    assert site.json("remove", pool, "--anew", "--shares", "5")["announced"] == 5


def test_an_insurer_of_a_trial_has_what_the_guide_needs(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """A key with ether of the deployer's by one command; capital that is not there is named, in amounts."""
    prepared(site, monkeypatch)
    for name in ("insurer", "deployer"):
        (site.keys / f"{name}.key").unlink(missing_ok=True)
    DEPLOYER.save(site.keys / "deployer.key")
    asked = ["accounts", "insurer.key", "--give", "1", "--json", "--config", str(site.folder / "lading.toml")]
    made = CliRunner().invoke(anchoring, asked, catch_exceptions=False)
    assert json.loads(made.stdout)["insurer"]["balance_wei"] == 10**18
    pool = site.json("open", "pool.toml", "--yes")["pool"]
    with pytest.raises(RejectedError, match="holds 0 of the token's smallest units, wanted 10,000,000,000"):
        site.run("add", pool, "10000 TEST")


def test_a_purchase_that_was_cut_off_reaches_the_stage(
    site: Site,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever is not the holder moves no money; the stage has the cover before the premium goes, and after a re-run."""
    world, leg = site.world, prepared(site, monkeypatch, reference="PO\x1b[2J77")
    pool = site.json("open", "pool.toml", "--yes")["pool"]
    site.run("add", pool, "10000 TEST", "--test-tokens")
    site.run("quote", pool, "policy.toml", "--leg", leg.begin.reference, "-o", "leg.cover", "--yes")
    mint(world.chain, world.deployment, SETTLER, 20_000_000)
    with pytest.raises(RejectedError, match="is not the holder"):
        site.run("buy", "leg.cover", "--key", "stranger.key", "--yes")
    assert balance_of(world.chain, world.deployment, SETTLER.address) == 20_000_000
    assert site.json("list")["covers"] == []

    insurance = Insurance(world.chain, world.deployment)
    nameless = replace(pool_terms(world), token=world.deployment.vault)  # has no symbol
    insurance.open_pool(CARRIER, nameless)
    with pytest.raises(
        ServiceError, match="does not tell symbol and decimals"
    ):  # amounts are of the pool's token
        site.run("add", nameless.pool_id(insurance.pools_domain).hex(), "1 TEST")

    wallet, pools = Wallet(world.chain, DEPLOYER), insurance.pools.address
    token = wallet.create("MockToken").address
    vault = abi.at(world.chain, "CreditVault", world.deployment.vault)
    wallet.transact(vault, "allowToken", token, True)
    wallet.transact(vault, "admit", pools, token, 10**15, 86_400)
    foreign = replace(pool_terms(world), token=token)
    insurance.open_pool(CARRIER, foreign)
    in_foreign = foreign.pool_id(insurance.pools_domain).hex()
    assert site.json("add", in_foreign, "5 TEST", "--test-tokens")["shares"]  # test tokens are the pool's own

    policy = site.folder / "policy.toml"
    policy.write_text(POLICY.replace('window = "1 h"', "window_s = 1"))
    with pytest.raises(MalformedError, match="window: found '1 s', wanted at least"):
        site.run("quote", pool, "policy.toml", "--leg", leg.begin.reference, "-o", "short.cover", "--yes")
    policy.write_text(POLICY)
    site.run("quote", pool, "policy.toml", "--leg", leg.begin.reference, "-o", "gone.cover", "--yes")
    site.run("cancel", "gone.cover")
    with pytest.raises(RejectedError, match="cancelled by the pool's manager"):
        site.run("buy", "gone.cover", "--yes")

    with pytest.raises(RejectedError, match="holds 0 of the token's smallest units, wanted 20,000,000"):
        site.run("buy", "leg.cover", "--yes")
    assert [one["state"] for one in site.json("list")["covers"]] == ["none"]
    (kept,) = (site.folder / "lading-data" / "covers").iterdir()
    kept.unlink()
    mint(world.chain, world.deployment, SHIPPER, 20_000_000)
    insurance.buy(SHIPPER, read_cover(Path("leg.cover")))
    assert "bought before; handed to the stage" in site.run("buy", "leg.cover", "--yes")
    assert "PO\ufffd[2J77  open" in site.run("list")
