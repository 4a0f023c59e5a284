"""`lading anchoring deploy` and its like: the contracts, where they are, and who administers them."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from anchoring.administration import ROLES, Holders, hand_over, members
from anchoring.deploy import OUTFLOW_PERIOD_S, GatewayKey, deploy, enrol_tenant, register_gateways, upgrade
from anchoring.equal import EqualCreator
from anchoring.keys import ensure_keys, fund_for_tests
from anchoring.settings import AnchoringSettings, all_key_paths, load
from anchoring.verifying import addresses, findings
from lading import abi
from lading.account import Account
from lading.chain import Chain, connect
from lading.deployment import ADDRESS_BYTES, Deployment
from lading.errors import MalformedError, ServiceError
from lading.onchain import open_deployment
from lading.opening import open_gateways
from lading.settings import Shared
from lading.terminal import CONFIG, AsJson, Config
from lading.wallet import Wallet

app = typer.Typer()

EXIT_DIFFERS = 1
DEPLOYER_KEY = Path("deployer.key")
WindowS = Annotated[int, typer.Option(help="Seconds from an anchor to its finality in the registry.")]
DeployerKey = Annotated[Path, typer.Option(help="Key file, beside the operator's unless absolute.")]
Holder = Annotated[
    str | None, typer.Option(help="Its account's address; none: the admin's. Only --admin delayed.")
]


class Admin(StrEnum):
    """Who administers: the deployer's key at once, or an AccessManager after delays."""

    DIRECT = "direct"
    DELAYED = "delayed"


AdminOption = Annotated[Admin, typer.Option(help="direct: the deployer's key. delayed: an AccessManager.")]


@app.command("deploy")
def deploy_all(
    config: Config = CONFIG,
    window_s: WindowS = 60,
    deployer_key: DeployerKey = DEPLOYER_KEY,
    token: Annotated[str | None, typer.Option(help="Token's address; without one, a test token.")] = None,
    outflow_max: Annotated[
        int | None,
        typer.Option(
            help="With --token: what a product may pay out in a day, in its smallest units; for good.",
            min=OUTFLOW_PERIOD_S,
        ),
    ] = None,
    test_ether: Annotated[
        bool, typer.Option(help="Make missing accounts, and give poor ones ether: on a node for tests.")
    ] = False,
    admin: AdminOption = Admin.DIRECT,
    admin_holder: Holder = None,
    guardian_holder: Annotated[str | None, typer.Option(help="The guardian's address, another one.")] = None,
    steward_holder: Holder = None,
    registrar_holder: Holder = None,
    keeper_holder: Holder = None,
) -> None:
    """Put the contracts on the chain, once, at the same addresses on every chain; register what is new, every time."""
    shared, own = load(config)
    holders = None
    if admin is Admin.DELAYED:
        holders = _holders(admin_holder, guardian_holder, steward_holder, registrar_holder, keeper_holder)
    lading, path = shared.lading, shared.lading.below(shared.chain.deployment)
    to = connect(shared.chain.rpc)
    if test_ether:
        fund_for_tests(to, ensure_keys(all_key_paths(config, shared)))
    deployer = Account.load(lading.beside_operator(deployer_key))
    if path.exists():
        deployment = open_deployment(shared, to, "anchors")
    else:
        if (token is None) != (outflow_max is None):
            raise ServiceError("administration", "--token and --outflow-max: found one, wanted both or none")
        paid = None if token is None else _address("--token", token)
        deployment = _deploy(to, deployer, shared, own, window_s, paid, outflow_max, holders)
        deployment.save(path)
    enrol_tenant(to, deployment, deployer, lading.tenant, deployer.address)
    if holders is not None:
        hand_over(Wallet(to, deployer), deployment, holders)
    entries = [entry for entry in open_gateways(shared).all() if entry.tenant == lading.tenant]
    keys = [GatewayKey(entry.public, entry.valid_from_ms, entry.valid_until_ms) for entry in entries]
    count = register_gateways(to, deployment, deployer, lading.tenant, keys)
    typer.echo(
        f"{path}: escrow 0x{deployment.escrow.hex()}, {count} of {len(keys)} gateways newly registered"
    )


@app.command("upgrade")
def upgrade_escrow(config: Config = CONFIG, deployer_key: DeployerKey = DEPLOYER_KEY) -> None:
    """Put this version's escrow beside the deployed one, for new agreements; open ones keep theirs."""
    shared, _ = load(config)
    to = connect(shared.chain.rpc)
    wallet = Wallet(to, Account.load(shared.lading.beside_operator(deployer_key)))
    found = open_deployment(shared, to, "anchors")
    changed = upgrade(found, EqualCreator(wallet), wallet)
    if changed != found:
        changed.save(shared.lading.below(shared.chain.deployment))
    before = ", ".join(f"0x{one.hex()}" for one in changed.escrows_before) or "none"
    typer.echo(f"escrow 0x{changed.escrow.hex()}; before: {before}")


@app.command("addresses")
def show_addresses(
    config: Config = CONFIG,
    window_s: WindowS = 60,
    deployer_key: DeployerKey = DEPLOYER_KEY,
    admin: AdminOption = Admin.DIRECT,
    as_json: AsJson = False,
) -> None:
    """Where `deploy` puts the contracts of these keys and this window, on whatever chain."""
    shared, own = load(config)
    deployer = Account.load(shared.lading.beside_operator(deployer_key)).address
    anchorer = Account.load(shared.lading.below(own.key)).address
    found = addresses(deployer, anchorer, window_s, admin is Admin.DELAYED)
    shown = {name: f"0x{address.hex()}" for name, address in found.items()}
    typer.echo(json.dumps(shown) if as_json else "\n".join(f"{name:9} {at}" for name, at in shown.items()))


@app.command("verify-deployment")
def verify_deployment(config: Config = CONFIG, as_json: AsJson = False) -> None:
    """Compare code, parameters and roles on the chain with this version's; exit 1 and say what differs."""
    shared, _ = load(config)
    to = connect(shared.chain.rpc)
    deployment = Deployment.load(shared.lading.below(shared.chain.deployment))
    if deployment.chain_id != to.chain_id:
        raise ServiceError("deployment", f"chain {to.chain_id}, wanted {deployment.chain_id}")
    found = findings(to, deployment)
    names = {role.number: role.name for role in ROLES}
    roles = [] if found or deployment.manager is None else list(members(to, deployment).items())
    rows = [
        {"role": names[number], "account": f"0x{at.hex()}", "delay_s": delay} for (number, at), delay in roles
    ]
    if as_json:
        differs = [{"contract": one.contract, "text": one.text} for one in found]
        typer.echo(json.dumps({"is_as_wanted": not found, "differs": differs, "roles": rows}))
    else:
        for one in found:
            typer.echo(f"{one.contract}: {one.text}")
        for row in rows:
            typer.echo(f"{row['role']:9} {row['account']} after {row['delay_s']} s")
        typer.echo(
            "differs" if found else "as deployed by this version" + ("" if roles else ", under direct keys")
        )
    if found:
        raise typer.Exit(EXIT_DIFFERS)


Field = Annotated[str, typer.Argument(help="gateways, anchors, vault, or manager.")]
Function = Annotated[str, typer.Argument(help="The contract's function.")]
Arguments = Annotated[
    list[str] | None, typer.Argument(help="Its arguments: 0x…, numbers, true, false, JSON.")
]
Key = Annotated[Path, typer.Option(help="The caller's key file, beside the operator's unless absolute.")]


@app.command()
def schedule(
    field: Field,
    function: Function,
    arguments: Arguments = None,
    config: Config = CONFIG,
    key: Key = DEPLOYER_KEY,
) -> None:
    """Announce a call as a role's holder: it can be executed after the role's delay."""
    chain, wallet, manager, target, call = _prepared(field, function, arguments or [], config, key)
    wallet.transact(manager, "schedule", target, call, 0)
    operation = manager.call("hashOperation", wallet.account.address, target, call)
    typer.echo(
        f"0x{operation.hex()} from {manager.call('getSchedule', operation)} s on, now {chain.head().time_s} s"
    )


@app.command()
def execute(
    field: Field,
    function: Function,
    arguments: Arguments = None,
    config: Config = CONFIG,
    key: Key = DEPLOYER_KEY,
) -> None:
    """Make a call that was scheduled, once its delay is over; or one of a role without delay."""
    _, wallet, manager, target, call = _prepared(field, function, arguments or [], config, key)
    receipt = wallet.transact(manager, "execute", target, call)
    typer.echo(f"done in 0x{receipt.tx_hash.hex()}")


@app.command()
def cancel(
    field: Field,
    function: Function,
    caller: Annotated[str, typer.Option(help="Address that scheduled it.")],
    arguments: Arguments = None,
    config: Config = CONFIG,
    key: Key = DEPLOYER_KEY,
) -> None:
    """Stop a scheduled call, as a guardian or as the one who scheduled it."""
    _, wallet, manager, target, call = _prepared(field, function, arguments or [], config, key)
    receipt = wallet.transact(manager, "cancel", _address("--caller", caller), target, call)
    typer.echo(f"cancelled in 0x{receipt.tx_hash.hex()}")


def _deploy(
    to: Chain,
    deployer: Account,
    shared: Shared,
    own: AnchoringSettings,
    window_s: int,
    token: bytes | None,
    outflow_max: int | None,
    holders: Holders | None,
) -> Deployment:
    keeper_s = next(role.delay_s for role in ROLES if role.name == "keeper")
    if holders is not None and window_s <= keeper_s:
        raise ServiceError(
            "administration", f"--window-s {window_s}: a contest would end before the keeper's {keeper_s} s"
        )
    anchorer = Account.load(shared.lading.below(own.key)).address
    creator = EqualCreator(Wallet(to, deployer))
    is_managed = holders is not None
    return deploy(
        to, deployer, anchorer, window_s, token, creator, is_managed=is_managed, outflow_max=outflow_max
    )


def _holders(admin: str | None, guardian: str | None, *others: str | None) -> Holders:
    if admin is None or guardian is None:
        raise ServiceError("administration", "--admin delayed wants --admin-holder and --guardian-holder")
    steward, registrar, keeper = (_address("holder", one or admin) for one in others)
    return Holders(
        _address("--admin-holder", admin), steward, registrar, _address("--guardian-holder", guardian), keeper
    )


def _prepared(
    field: str, function: str, arguments: list[str], config: Path, key: Path
) -> tuple[Chain, Wallet, abi.Contract, bytes, bytes]:
    """Chain, caller, manager, and the call that it is to make."""
    shared, _ = load(config)
    chain = connect(shared.chain.rpc)
    deployment = open_deployment(shared, chain, "anchors")
    names = {role.field: role.contract for role in ROLES}
    if deployment.manager is None or field not in names:
        raise ServiceError(
            "administration", f"{field}: wanted one of {', '.join(names)} under an AccessManager"
        )
    wallet = Wallet(chain, Account.load(shared.lading.beside_operator(key)))
    call = abi.interface(names[field]).encode_call(function, *(_value(text) for text in arguments))
    return chain, wallet, abi.at(chain, "AccessManager", deployment.manager), getattr(deployment, field), call


def _value(text: str) -> Any:
    """An argument as the ABI takes it."""
    if text.startswith("0x"):
        return bytes.fromhex(text[2:])
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return (
        [_value(one) if isinstance(one, str) else one for one in found] if isinstance(found, list) else found
    )


def _address(name: str, text: str) -> bytes:
    try:
        address = bytes.fromhex(text.removeprefix("0x"))
    except ValueError as exc:
        raise MalformedError("address", f"{name} {text!r}, wanted hexadecimal digits") from exc
    if len(address) != ADDRESS_BYTES:
        raise MalformedError("address", f"{name} has {len(address)} bytes, wanted {ADDRESS_BYTES}")
    return address
