"""`lading agreement`: from a terms file over two machines to a paid leg, explained like an invoice."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account as EthAccount
from typer import Typer
from typer.testing import CliRunner

from anchoring.server import make_server
from contracts.agreement_cli import app
from contracts.agreements import AgreementFolder, read_file, write_file
from contracts.cli import app as settle
from contracts.typed_data import Domain
from lading import abi, topics
from lading.errors import LadingError, MalformedError, RejectedError, ServiceError
from lading.gateways import GatewayEntry, save_gateways
from lading.initial import app as initial
from lading.inspect import inspect
from lading.settings import load_shared
from lading.terms import Terms
from lading.tiers import Metric, Tier
from lading.wallet import Wallet
from tests.legs import GATEWAY, OPERATOR, TENANT, Leg
from tests.settling import CARRIER, DEPLOYER, MINUTE_MS, SETTLER, SHIPPER, START_MS, World, warm_leg

TERMS = f"""
shipper = "0x{SHIPPER.address.hex()}"
bond = "2000 TEST"
leg_cap = "150 TEST"
deadline = "6 h"
window = "1 h"
[[tier]]
channel = 1
metric = "above"
threshold = "30 min"
amount = "100 TEST"
[[tier]]
channel = 1
metric = "max_value"
threshold = "8.5 C"
amount = "75.50 TEST"
[[tier]]
metric = "silence"
threshold = "1 h"
amount = "50 TEST"
"""


@dataclass
class Site:
    """An installation whose chain and log are a test world's."""

    folder: Path
    world: World
    keys: Path
    app: Typer = app

    def run(self, *arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(self.app, [*arguments, "--config", str(self.folder / "lading.toml")])
        if isinstance(done.exception, LadingError):
            raise done.exception
        assert done.exit_code == code, done.output
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json"))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    data = tmp_path / "lading-data"
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(initial, ["--config", "lading.toml"])
    assert done.exit_code == 0, done.output
    world = World(data)
    server = make_server(world.node, 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("LADING_CHAIN_RPC", f"http://127.0.0.1:{server.server_address[1]}")
    world.deployment.save(data / "deployment.json")
    shared = load_shared(tmp_path / "lading.toml").lading
    operator = shared.below(shared.operator_key)
    operator.unlink()
    OPERATOR.save(operator)
    save_gateways(shared.below(shared.gateways), [GatewayEntry(GATEWAY.public, TENANT, name="truck-1")])
    for name, account in (("carrier", CARRIER), ("shipper", SHIPPER), ("stranger", SETTLER)):
        (operator.parent / f"{name}.key").unlink(missing_ok=True)
        account.save(operator.parent / f"{name}.key")
    monkeypatch.setattr("contracts.settling.wall_ms", lambda: world.now_ms)
    monkeypatch.setattr("contracts.making.wall_ms", lambda: world.now_ms)
    (tmp_path / "terms.toml").write_text(TERMS)
    yield Site(tmp_path, world, operator.parent)
    server.shutdown()
    server.server_close()
    thread.join()


def begun(site: Site, warm_ms: int) -> Leg:
    made = warm_leg(warm_ms)
    leg = Leg(replace(made.begin, begin_ms=START_MS), made.frames)
    site.world.log.append(topics.ASSIGNMENTS, [(leg.begin.gateway, leg.order)])
    return leg


def test_from_a_terms_file_to_a_paid_leg(site: Site) -> None:
    """Drafted, signed by two machines, funded once, settled by the stage; each amount explained; money taken out."""
    world, leg = site.world, begun(site, 40 * MINUTE_MS)
    told = site.run("new", "terms.toml", "--leg", leg.begin.reference, "-o", "po.agreement")
    assert "above 8.000 °C for more than 30 min in all: 100 TEST" in told
    with pytest.raises(ServiceError, match="is there already"):
        site.run("new", "terms.toml", "--leg", leg.begin.reference, "-o", "po.agreement")
    with pytest.raises(RejectedError, match="is no party"):
        site.run("sign", "po.agreement", "--key", "stranger.key", "--yes")
    site.run("sign", "po.agreement", "--key", "carrier.key", "--yes")
    typed = json.loads(site.run("sign", "po.agreement", "--typed-data"))
    secret = (site.keys / "shipper.key").read_text().strip()
    wallet = EthAccount.sign_typed_data(secret, full_message=typed)
    early = site.json("fund", "po.agreement", "--test-tokens")
    assert (early["deposited"], early["handed_over"], early["missing"]) == (2_000_000_000, None, ["shipper"])
    signed = site.json("sign", "po.agreement", "--signature", "0x" + bytes(wallet.signature).hex(), "--yes")
    assert signed["missing"] == []
    handed = site.json("fund", "po.agreement")
    assert handed["deposited"] == 0
    shown = inspect(Path("po.agreement").read_bytes())
    assert (shown.kind, shown.problem) == ("agreement", None)
    told = "\n".join(line for node in shown.fields for line in node.lines())
    assert repr(leg.begin.reference) in told
    assert "above_ms > 1800000 on channel 1: 100000000" in told
    swapped = inspect(
        Path("po.agreement")
        .read_bytes()
        .replace(leg.begin.reference.encode(), b"X" * len(leg.begin.reference))
    )
    assert "are not those of leg" in str(swapped.problem)
    assert Path(handed["handed_over"]).name == f"{handed['agreement']}.agreement"

    world.agreements = AgreementFolder(site.folder / "lading-data" / "agreements", [(2, world.domain)])()
    world.step(1000)
    world.take(leg.frames)
    world.judge(leg.frames)
    bill = site.json("show", handed["agreement"][:12])
    assert (bill["state"], bill["legs"][0]["due"], bill["foreseen"]) == ("open", 150_000_000, 150_000_000)
    assert [tier["reached"] for tier in bill["legs"][0]["tiers"]] == [False, True, True]
    world.until(lambda: bool(world.settling.ledger.settlements()), MINUTE_MS)
    shown = site.run("show", handed["agreement"])
    (paid,) = world.settling.ledger.settlements()
    for wanted in (
        f"{leg.begin.reference}, by its closing frame:",
        "above 8.000 °C for more than 30 min in all: 40 min",
        "with a reading above 8.500 °C: 9.000 °C",
        "175.50 TEST",
        "due of this leg, which may cost no more",
        f"concluded: paid 150 TEST, 1,850 TEST of the bond released in transaction 0x{paid.tx_hash.hex()}",
    ):
        assert wanted in shown
    assert site.json("withdraw", "--key", "shipper.key")["withdrawn"] == 150_000_000
    assert "1,850 TEST withdrawn, 0 TEST left" in site.run("withdraw")


def test_settled_by_hand(site: Site) -> None:
    """Without the stage a party opens, and settles once evidence is final; before that it is told what is missing."""
    world, leg = site.world, begun(site, 40 * MINUTE_MS)
    site.run("new", "terms.toml", "--leg", leg.begin.reference, "-o", "po.agreement")
    for key in ("carrier.key", "shipper.key"):
        site.run("sign", "po.agreement", "--key", key, "--yes")
    key = site.json("fund", "po.agreement", "--test-tokens")["agreement"]
    assert [row["step"] for row in site.json("settle", key)["taken"]] == ["open"]
    assert "waits: no frame of it is judged yet" in site.run("settle", key, code=1)
    world.take(leg.frames)
    world.judge(leg.frames)
    assert "waits: its closing frame is not final yet" in site.run("settle", key, code=1)
    world.until(lambda: world.anchoring.index.anchor(1) is not None, MINUTE_MS)
    for _ in range(2):
        world.step(2 * MINUTE_MS)
    assert [row["step"] for row in site.json("settle", key)["taken"]] == ["settle 0"]
    assert site.json("show", key)["state"] == "settled"


def test_signed_terms_are_taken_back(site: Site) -> None:
    """By a party alone and while nobody has opened them: then no command takes them on, and the stage leaves them."""
    world, leg = site.world, begun(site, 40 * MINUTE_MS)
    site.run("new", "terms.toml", "--leg", leg.begin.reference, "-o", "po.agreement")
    for key in ("carrier.key", "shipper.key"):
        site.run("sign", "po.agreement", "--key", key, "--yes")
    handed = site.json("fund", "po.agreement", "--test-tokens")
    with pytest.raises(RejectedError, match="is no party"):
        site.run("cancel", "po.agreement", "--key", "stranger.key", "--yes")
    done = site.json("cancel", "po.agreement", "--key", "shipper.key", "--yes")
    assert (done["state"], done["cancelled_by"]) == ("cancelled", "shipper")
    assert "Cancelled by the shipper" in site.run("show", "po.agreement")
    assert site.json("show", handed["agreement"])["cancelled_by"] == "shipper"
    for again in (["cancel", "--yes"], ["submit"], ["fund"], ["sign", "--key", "carrier.key", "--yes"]):
        with pytest.raises(RejectedError, match="cancelled by the shipper"):
            site.run(again[0], "po.agreement", *again[1:])
    assert "waits: cancelled by the shipper" in site.run("settle", handed["agreement"], code=1)

    world.agreements = AgreementFolder(site.folder / "lading-data" / "agreements", [(2, world.domain)])()
    world.step(1000)
    (agreement,) = world.agreements.values()
    assert world.settling.is_over(agreement)
    assert world.settling.waits == {}
    assert site.json("withdraw")["withdrawn"] == handed["deposited"]


def test_what_was_opened_is_not_taken_back(site: Site) -> None:
    """The escrow has it: it ends by the evidence."""
    leg = begun(site, 0)
    site.run("new", "terms.toml", "--leg", leg.begin.reference, "-o", "po.agreement")
    for key in ("carrier.key", "shipper.key"):
        site.run("sign", "po.agreement", "--key", key, "--yes")
    site.run("settle", site.json("fund", "po.agreement", "--test-tokens")["agreement"])
    with pytest.raises(RejectedError, match="agreement: is open, wanted one that nobody has opened"):
        site.run("cancel", "po.agreement", "--yes")


def test_a_deposit_that_agreements_share_is_said_to_be_shared(site: Site) -> None:
    """Nothing reserves a deposit for unsigned terms: `fund` and `show` say so, and what is missing once others wait."""
    leg = begun(site, 0)
    for name in ("one", "two"):
        site.run("new", "terms.toml", "--leg", leg.begin.reference, "-o", f"{name}.agreement")
        told = site.run("fund", f"{name}.agreement", "--test-tokens")
        assert "free deposit is 2,000 TEST.\nIt is not reserved" in told  # the second took it for its own
        for key in ("carrier.key", "shipper.key"):
            site.run("sign", f"{name}.agreement", "--key", key, "--yes")
    site.run("submit", "one.agreement")
    shared = (
        "free deposit is 2,000 TEST, wanted by 1 more that wait to be opened; for all 2,000 TEST is missing."
    )
    assert shared in site.run("show", "two.agreement")
    bond = 2_000_000_000
    assert site.json("show", "two.agreement")["backing"] == {"free": bond, "others": 1, "missing": bond}
    funded = site.json("fund", "two.agreement", "--test-tokens")
    assert funded["deposited"] == bond
    assert funded["backing"] == {"free": 2 * bond, "others": 1, "missing": 0}
    assert "is missing" not in site.run("show", "one.agreement")
    site.run("settle", funded["agreement"])
    assert site.json("show", "two.agreement")["backing"] is None  # it is open, and its bond locked


def test_where_one_machine_holds_both_keys(site: Site) -> None:
    """`settle agree` makes, funds and hands over; `settle withdraw` is the other withdraw: both say so to programs."""
    leg = begun(site, 0)
    site.app = settle
    made = site.json("agree", leg.begin.reference, "terms.toml", "--test-tokens")
    assert (made["missing"], made["bond"]) == ([], 2_000_000_000)
    assert Path(made["handed_over"]).name == f"{made['agreement']}.agreement"
    taken = site.json("withdraw")
    assert (taken["withdrawn"], taken["left"]) == (2_000_000_000, 0)


def test_a_party_signs_where_there_is_no_installation(site: Site) -> None:
    """Words, digest and question; a no signs nothing; amounts are then in the token's smallest units."""
    leg = begun(site, 0)
    site.run("new", "terms.toml", "--leg", leg.begin.reference, "-o", "po.agreement")
    elsewhere = ["--key", str(site.keys / "shipper.key"), "--config", "none.toml"]
    asked = CliRunner().invoke(app, ["sign", "po.agreement", *elsewhere], input="n\n")
    assert asked.exit_code == 1
    assert "100,000,000 of the token's smallest units" in asked.output
    assert read_file(Path("po.agreement")).missing == ("carrier", "shipper")
    said = CliRunner().invoke(app, ["sign", "po.agreement", *elsewhere], input="y\n")
    assert "carrier has yet to sign" in said.output
    shown = CliRunner().invoke(app, ["show", "po.agreement", "--config", "none.toml"])
    assert "Signed by shipper; carrier has yet to sign." in shown.output


def test_what_cannot_be_signed_is_refused(site: Site) -> None:
    """An escrow that the installation does not know, both ways of signing at once, cut signatures."""
    leg = begun(site, 0)
    site.run("new", "terms.toml", "--leg", leg.begin.reference, "-o", "po.agreement")
    for options in ([], ["--key", "carrier.key", "--signature", "0x00"]):
        with pytest.raises(MalformedError, match="wanted one of"):
            site.run("sign", "po.agreement", "--yes", *options)
    for signature in ("0x", "0x00", "zz"):
        with pytest.raises(MalformedError, match="option"):
            site.run("sign", "po.agreement", "--yes", "--signature", signature)
    with pytest.raises(RejectedError):
        site.run("sign", "po.agreement", "--yes", "--signature", "0x" + "00" * 65)
    with pytest.raises(RejectedError, match="is not the carrier"):
        site.run("fund", "po.agreement", "--key", "shipper.key")
    with pytest.raises(ServiceError, match="has yet to sign"):
        site.run("submit", "po.agreement")
    with pytest.raises(ServiceError, match="agreement_unknown"):
        site.run("show", "0123456789")
    drafted = read_file(Path("po.agreement"))
    assert isinstance(drafted.terms, Terms)
    others = tuple(replace(one, gateway_id=one.gateway_id[:8] + bytes(24)) for one in drafted.terms.legs)
    tiers = (*drafted.terms.tiers, Tier(99, Metric.ABOVE_MS, 2**127, 1))
    for changed, said in (
        ({"legs": others}, "leg: .* wanted .* as it was begun"),
        ({"tenant": bytes(32)}, "leg: .* wanted .* as it was begun"),
        ({"tiers": tiers}, "channel: tiers name channel 99"),
    ):
        write_file(Path("po.agreement"), replace(drafted, terms=replace(drafted.terms, **changed)))  # type: ignore[arg-type]
        with pytest.raises(RejectedError, match=said):
            site.run("sign", "po.agreement", "--yes", "--key", "carrier.key")
    write_file(Path("po.agreement"), replace(drafted, domain=Domain(31_337, b"\x13" * 20)))
    with pytest.raises(ServiceError, match="escrow: the agreement is for 0x1313"):
        site.run("sign", "po.agreement", "--yes", "--key", "carrier.key")


def test_a_bond_goes_to_the_escrow_that_was_signed_for(site: Site) -> None:
    """After an upgrade too: the second call finds the first one's deposit. Another token is refused."""
    world, leg = site.world, begun(site, 0)
    site.run("new", "terms.toml", "--leg", leg.begin.reference, "-o", "po.agreement")
    now = world.deployment
    wallet = Wallet(world.chain, DEPLOYER)
    other = wallet.create("v1/PenaltyEscrow", now.gateways, now.anchors, now.vault).address
    vault = abi.at(world.chain, "CreditVault", now.vault)
    wallet.transact(vault, "admit", other, now.token, 10**15, 86_400)
    upgraded = replace(now, escrow=other, escrows_before=(now.escrow,))
    upgraded.save(site.folder / "lading-data" / "deployment.json")
    assert site.json("fund", "po.agreement", "--test-tokens")["deposited"] == 2_000_000_000
    assert site.json("fund", "po.agreement", "--test-tokens")["deposited"] == 0
    drafted = read_file(Path("po.agreement"))
    assert isinstance(drafted.terms, Terms)
    write_file(Path("po.agreement"), replace(drafted, terms=replace(drafted.terms, token=b"\7" * 20)))
    with pytest.raises(RejectedError, match="token: is in 0x0707"):
        site.run("fund", "po.agreement", "--test-tokens")
