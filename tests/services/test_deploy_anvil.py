"""Deploying to a real node: equal addresses on chains of other ids, what verifying finds, roles with their delays."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from anchoring.administration import DAY_S
from anchoring.equal import PROXY, EqualCreator
from anchoring.verifying import findings
from lading import abi
from lading.account import Account
from lading.chain import Chain, connect
from lading.cli import cli
from lading.deployment import Deployment
from lading.errors import ServiceError
from lading.names import tenant_id
from lading.wallet import Wallet
from tests.services.anvil import anvil

WATCH = Account.from_seed(b"watch")
ADMIN = Account.from_seed(b"admin")
WINDOW_S = 3 * DAY_S


class Site:
    """An installation in a folder, on one chain."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.chain = connect(url)
        self.config = folder / "lading.toml"
        if not self.config.exists():
            self.run("init", "--config", str(self.config))
        text = self.config.read_text().splitlines()
        rpc = [f'rpc = "{url}"' if line.startswith("rpc = ") else line for line in text]
        self.config.write_text("\n".join(rpc) + "\n")

    def run(self, *arguments: str) -> Result:
        """A command, as typed."""
        return CliRunner().invoke(cli, list(arguments))

    def anchoring(self, line: str) -> Result:
        """A command of the stage, with this installation's settings."""
        return self.run("anchoring", *shlex.split(line), "--config", str(self.config))

    @property
    def path(self) -> Path:
        """deployment.json."""
        return next(self.folder.rglob("deployment.json"))


@pytest.fixture
def url() -> Iterator[str]:
    with anvil() as found:
        yield found


def address(account: Account) -> str:
    return "0x" + account.address.hex()


def test_equal_addresses_on_chains_of_other_ids(tmp_path: Path, url: str) -> None:
    """Two chains, one of them without the proxy: same addresses, foretold by `addresses`; the copies verify."""
    first = Site(tmp_path, url)
    deployed = first.anchoring("deploy --test-ether")
    assert deployed.exit_code == 0, deployed.exception
    one = Deployment.load(first.path)
    first.path.unlink()
    with anvil("--chain-id", "4242") as other_url:
        second = Site(tmp_path, other_url)
        second.chain.rpc.request("anvil_setCode", ["0x" + PROXY.hex(), "0x"])
        assert second.anchoring("deploy --test-ether").exit_code == 0
        two = Deployment.load(second.path)
        foretold = json.loads(second.anchoring("addresses --json").output)
        verified = second.anchoring("verify-deployment")
    assert (one.chain_id, two.chain_id) == (31_337, 4_242)
    for name in ("gateways", "anchors", "vault", "escrow", "cover"):
        assert getattr(one, name) == getattr(two, name) == bytes.fromhex(foretold[name][2:])
    assert (verified.exit_code, verified.output) == (0, "as deployed by this version, under direct keys\n")


def test_verifying_finds_changed_code(tmp_path: Path, url: str) -> None:
    """One byte of the vault's code is another: exit 1, and the vault is named. A false proxy is refused."""
    site = Site(tmp_path, url)
    assert site.anchoring("deploy --test-ether").exit_code == 0
    deployment = Deployment.load(site.path)
    code = bytearray(site.chain.code(deployment.vault))
    code[100] ^= 1
    site.chain.rpc.request("anvil_setCode", ["0x" + deployment.vault.hex(), "0x" + code.hex()])
    found = site.anchoring("verify-deployment --json")
    assert found.exit_code == 1
    assert [one["contract"] for one in json.loads(found.output)["differs"]] == ["CreditVault"]
    site.chain.rpc.request("anvil_setCode", ["0x" + PROXY.hex(), "0x00"])
    with pytest.raises(ServiceError, match="is not the deployment proxy"):
        EqualCreator(Wallet(site.chain, ADMIN))


def test_administration_with_delays(tmp_path: Path, url: str) -> None:
    """deploy --admin delayed, then the registrar's two days: announced, too early, cancelled, announced, done."""
    site = Site(tmp_path, url)
    for account in (WATCH, ADMIN):
        site.chain.rpc.request("anvil_setBalance", [address(account), hex(10**20)])
        account.save(tmp_path / f"{account.address.hex()}.key")
    holders = f"--admin-holder {address(ADMIN)} --guardian-holder {address(WATCH)}"
    early = site.anchoring(f"deploy --test-ether --admin delayed --window-s {DAY_S} {holders}")
    assert "a contest would end before" in str(early.exception)
    done = site.anchoring(f"deploy --test-ether --admin delayed --window-s {WINDOW_S} {holders}")
    assert done.exit_code == 0, done.exception
    deployment = Deployment.load(site.path)
    assert findings(site.chain, deployment) == []
    admin, watch = (f"--key {tmp_path}/{one.address.hex()}.key" for one in (ADMIN, WATCH))
    call = f"gateways enrolTenant 0x{tenant_id('other').hex()} {address(ADMIN)}"
    assert site.anchoring(f"schedule {call} {admin}").exit_code == 0
    assert "AccessManagerNotReady" in str(site.anchoring(f"execute {call} {admin}").exception)
    assert site.anchoring(f"cancel {call} --caller {address(ADMIN)} {watch}").exit_code == 0
    assert site.anchoring(f"schedule {call} {admin}").exit_code == 0
    later(site.chain, 2 * DAY_S)
    assert site.anchoring(f"execute {call} {admin}").exit_code == 0
    shown = site.anchoring("verify-deployment")
    assert f"guardian  {address(WATCH)} after 0 s" in shown.output
    assert (
        site.anchoring("deploy").exit_code == 0
    )  # again: nothing to do, and nothing that the deployer may no longer


def test_verifying_finds_what_is_on_its_way(tmp_path: Path, url: str) -> None:
    """A shorter delay, a member to come, delays of grants and targets, a call, an open function: each is told."""
    site = Site(tmp_path, url)
    site.chain.rpc.request("anvil_setBalance", [address(ADMIN), hex(10**20)])
    holders = f"--admin-holder {address(ADMIN)} --guardian-holder {address(WATCH)}"
    done = site.anchoring(f"deploy --test-ether --admin delayed --window-s {WINDOW_S} {holders}")
    assert done.exit_code == 0, done.exception
    deployment = Deployment.load(site.path)
    assert deployment.manager is not None
    manager = abi.at(site.chain, "AccessManager", deployment.manager)
    vault, steward = deployment.vault, 1
    withdraw = abi.interface("CreditVault").selector("withdraw")
    grant_to_watch = manager.interface.encode_call("grantRole", 0, WATCH.address, 7 * DAY_S)
    hidden = {
        "setGrantDelay": (steward, 5 * DAY_S),
        "setTargetAdminDelay": (vault, 5 * DAY_S),
        "setTargetFunctionRole": (vault, [withdraw], 2**64 - 1),
        "grantRole": (steward, ADMIN.address, 0),
    }
    as_admin(site, manager, *(manager.interface.encode_call(name, *of) for name, of in hidden.items()))
    told = "\n".join(findings_of(site, deployment))
    assert f"0x{ADMIN.address.hex()} in role {steward} falls to 0 s at" in told
    assert f"RoleGrantDelayChanged: role {steward} has {5 * DAY_S} s from" in told
    assert f"TargetAdminDelayUpdated: 0x{vault.hex()} has {5 * DAY_S} s from" in told
    assert f"function 0x{withdraw.hex()} of 0x{vault.hex()} is of role {2**64 - 1}" in told
    assert "scheduled" not in told
    Wallet(site.chain, ADMIN).transact(manager, "schedule", manager.address, grant_to_watch, 0)
    assert f"0x{ADMIN.address.hex()} has scheduled grantRole for" in "\n".join(findings_of(site, deployment))
    later(site.chain, 6 * DAY_S)
    grant_steward = manager.interface.encode_call("grantRole", steward, WATCH.address, 7 * DAY_S)
    as_admin(site, manager, grant_steward)
    told = "\n".join(findings_of(site, deployment))
    assert f"0x{WATCH.address.hex()} becomes member of role {steward} at" in told
    assert f"grants of role {steward} take effect after {5 * DAY_S} s" in told
    assert f"changes of 0x{vault.hex()} take {5 * DAY_S} s" in told
    assert site.anchoring("verify-deployment").exit_code == 1


def findings_of(site: Site, deployment: Deployment) -> list[str]:
    """The texts of what differs."""
    return [one.text for one in findings(site.chain, deployment)]


def as_admin(site: Site, manager: abi.Contract, *calls: bytes) -> None:
    """Each scheduled by the admin and executed once its delay is over, as it must be."""
    wallet = Wallet(site.chain, ADMIN)
    for call in calls:
        wallet.transact(manager, "schedule", manager.address, call, 0)
    later(site.chain, 7 * DAY_S)
    for call in calls:
        wallet.transact(manager, "execute", manager.address, call)


def later(chain: Chain, passed_s: int) -> None:
    """Time passes, by a block."""
    chain.rpc.request("evm_increaseTime", [passed_s])
    chain.rpc.request("evm_mine", [])
