"""`lading settle …`: run the stage, make agreements, show them, take money out."""

import json
import secrets
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import structlog
import typer

from contracts.agreements import Agreement, AgreementFolder, Domain, agreement_id, save
from contracts.drafting import make_terms, read_draft
from contracts.ledger import Ledger
from contracts.parties import credit_of, deposit, mint, withdraw
from contracts.settings import SettleSettings
from contracts.stage import Settling, escrow_state
from lading import logs, settings, topics
from lading.account import Account
from lading.assignment import BEGIN, Assignment, open_assignment
from lading.chain import Chain, connect
from lading.cose import KeySigner
from lading.deployment import Deployment
from lading.errors import LadingError, ServiceError
from lading.gateways import GatewayFile
from lading.log import SqliteLog, wall_ms
from lading.sending import Fees, Sender
from lading.settings import Shared

app = typer.Typer(help="Stage 5: agreements and payments.", no_args_is_help=True)

RETRIES_MAX = 30
RETRY_S_MAX = 30.0
READ_RECORDS = 1_000
Config = Annotated[Path, typer.Option("--config", help="Settings file.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Carrier = Annotated[Path, typer.Option(help="Carrier's key file, below `data` unless absolute.")]
Shipper = Annotated[Path, typer.Option(help="Shipper's key file, below `data` unless absolute.")]
CONFIG, CARRIER, SHIPPER = Path("lading.toml"), Path("carrier.key"), Path("shipper.key")


@app.command()
def run(config: Config = CONFIG) -> None:
    """Open agreements and pay what final evidence makes due, until SIGTERM or an interrupt."""
    logs.configure("settle")
    shared, own = _load(config)
    stop = _stop_on_signal()
    chain = connect(shared.chain.rpc)
    deployment = _deployment(shared, chain)
    log = SqliteLog(shared.lading.below(shared.log.path))
    fees = Fees(own.priority_wei, own.budget_wei, own.bump_blocks, int(own.resend_s * 1000))
    sender = Sender(chain, Account.load(shared.lading.below(own.key)), shared.lading.below(own.outbox), fees)
    ledger = Ledger(log, shared.lading.below(own.ledger))
    agreements = _agreements(shared, own, chain, deployment)
    gateways = GatewayFile(shared.lading.below(shared.lading.gateways))
    stage = Settling(log, deployment, sender, ledger, gateways.tenant_of, agreements)
    try:
        _loop(stage, agreements, stop, own.poll_s)
    finally:
        sender.close()
        ledger.close()


def _loop(stage: Settling, agreements: AgreementFolder, stop: threading.Event, poll_s: float) -> None:
    """Step until told to stop; a log or chain that fails is tried again a bounded number of times."""
    log = structlog.get_logger()
    log.info("settle_started")
    failures = 0
    said: dict[str, str] = {}
    while not stop.is_set():
        try:
            settled = stage.step(wall_ms())
            failures = 0
        except LadingError as exc:
            failures += 1
            log.warning("step_failed", code=exc.code, reason=exc.text, failures=failures)
            if failures > RETRIES_MAX:
                raise
            stop.wait(min(poll_s * 2**failures, RETRY_S_MAX))
            continue
        for one in settled:
            log.info(
                "settled",
                agreement=one.agreement.hex(),
                kind=one.kind,
                amount=one.amount,
                gas_used=one.gas_used,
            )
        waits = {key.hex(): reason for key, reason in stage.waits.items()} | agreements.problems
        for name, reason in waits.items():
            if said.get(name) != reason.split("(")[0]:
                log.info("agreement_waits", agreement=name, reason=reason)
        said = {name: reason.split("(")[0] for name, reason in waits.items()}
        stop.wait(poll_s)


@app.command()
def agree(
    leg: Annotated[str, typer.Argument(help="The leg's reference, or its id in hex.")],
    draft: Annotated[Path, typer.Argument(help="Terms file (toml): bond, deadline_s, window_s, tiers.")],
    config: Config = CONFIG,
    carrier: Carrier = CARRIER,
    shipper: Shipper = SHIPPER,
    test_tokens: Annotated[bool, typer.Option(help="First make the bond's worth of test tokens.")] = False,
) -> None:
    """Sign terms over a leg with both keys, put up the carrier's bond, and hand the agreement to the stage."""
    shared, own = _load(config)
    chain = connect(shared.chain.rpc)
    deployment = _deployment(shared, chain)
    accounts = [Account.load(shared.lading.below(path)) for path in (carrier, shipper)]
    begin = _begin(shared, leg)
    parties = (accounts[0].address, accounts[1].address)
    terms = make_terms(read_draft(draft), begin, *parties, deployment.token, secrets.randbits(128))
    if test_tokens:
        mint(chain, deployment, accounts[0], terms.bond)
    deposit(chain, deployment, accounts[0], terms.bond)
    domain = Domain(chain.chain_id, deployment.escrow)
    path = save(shared.lading.below(own.agreements), Agreement.sign(terms, domain, *accounts), domain)
    typer.echo(f"{agreement_id(terms, domain).hex()} over {begin.reference}: {path}")


@app.command()
def status(config: Config = CONFIG, as_json: AsJson = False) -> None:
    """Every agreement with its state on chain, and what was settled."""
    shared, own = _load(config)
    chain = connect(shared.chain.rpc)
    deployment = _deployment(shared, chain)
    ledger = Ledger(SqliteLog(shared.lading.below(shared.log.path)), ":memory:")
    ledger.catch_up()
    settled = {one.agreement: one for one in ledger.settlements()}
    agreements = _agreements(shared, own, chain, deployment)
    rows = []
    for key, agreement in agreements().items():
        row: dict[str, Any] = {
            "agreement": key.hex(),
            "leg": agreement.terms.leg_id.hex(),
            "bond": agreement.terms.bond,
        }
        row["state"] = escrow_state(chain, deployment, key)
        if key in settled:
            one = settled[key]
            row |= {
                "kind": one.kind,
                "amount": one.amount,
                "tx": "0x" + one.tx_hash.hex(),
                "gas_used": one.gas_used,
            }
        rows.append(row)
    if as_json:
        typer.echo(json.dumps({"agreements": rows, "problems": agreements.problems}))
        return
    for row in rows:
        paid = f"{row['kind']} {row['amount']} in {row['tx']}" if "kind" in row else ""
        typer.echo(
            f"{row['agreement'][:16]}  leg {row['leg'][:16]}  bond {row['bond']}  {row['state']:8} {paid}"
        )
    for name, reason in agreements.problems.items():
        typer.echo(f"{name}: {reason}", err=True)


@app.command("withdraw")
def withdraw_credit(
    config: Config = CONFIG,
    key: Annotated[Path, typer.Option(help="Key file, below `data` unless absolute.")] = CARRIER,
) -> None:
    """Take everything out that the vault owes an account, to the account itself."""
    shared, _ = _load(config)
    chain = connect(shared.chain.rpc)
    deployment = _deployment(shared, chain)
    account = Account.load(shared.lading.below(key))
    taken = withdraw(chain, deployment, account)
    left = credit_of(chain, deployment, account.address)
    typer.echo(f"0x{account.address.hex()}: {taken} withdrawn, {left} left")


def _begin(shared: Shared, leg: str) -> Assignment:
    """The newest begin order of a leg in the log, signed by this operator."""
    operator = KeySigner.load(shared.lading.below(shared.lading.operator_key)).public
    log = SqliteLog(shared.lading.below(shared.log.path))
    positions: dict[int, int] = {}
    found = None
    while records := log.read(topics.ASSIGNMENTS, positions, READ_RECORDS):
        for record in records:
            positions[record.partition] = record.offset + 1
            order = open_assignment(record.value, operator)
            if order.action == BEGIN and leg in (order.reference, order.leg_id.hex()):
                found = order
    if found is None:
        raise ServiceError("leg", f"the log holds no begin order of {leg!r}")
    return found


def _agreements(shared: Shared, own: SettleSettings, chain: Chain, deployment: Deployment) -> AgreementFolder:
    return AgreementFolder(shared.lading.below(own.agreements), Domain(chain.chain_id, deployment.escrow))


def _load(config: Path) -> tuple[Shared, SettleSettings]:
    return settings.load_shared(config), settings.load(config, "settle", SettleSettings)


def _deployment(shared: Shared, chain: Chain) -> Deployment:
    """ServiceError when the file is of another chain, or of one that has begun anew."""
    path = shared.lading.below(shared.chain.deployment)
    deployment = Deployment.load(path)
    if deployment.chain_id != chain.chain_id or not chain.code(deployment.escrow):
        raise ServiceError(
            "deployment", f"{path} is not of the chain at {shared.chain.rpc}: remove it and deploy again"
        )
    return deployment


def _stop_on_signal() -> threading.Event:
    stop = threading.Event()

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    return stop
