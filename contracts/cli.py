"""`lading settle …`: run the stage, make agreements, show them, take money out."""

import json
import secrets
import threading
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer

from contracts import meters
from contracts.agreements import Agreement, AgreementFolder, Domain, agreement_id, save
from contracts.drafting import make_terms, newest_begin, read_draft
from contracts.ledger import Ledger
from contracts.parties import credit_of, deposit, mint, withdraw
from contracts.settings import SettleSettings
from contracts.stage import Settling, escrow_state
from lading import logs, settings
from lading.account import Account
from lading.assignment import Assignment
from lading.chain import Chain, connect
from lading.deployment import Deployment
from lading.health import log_answers, watched
from lading.heart import Heart
from lading.log import wall_ms
from lading.onchain import chain_answers, open_deployment, open_sender
from lading.opening import open_gateways, open_log, open_operator_public
from lading.process import results, stop_on_signals
from lading.settings import Shared
from lading.terminal import CONFIG, AsJson, Config

app = typer.Typer(help="Stage 5: agreements and payments.", no_args_is_help=True)

Carrier = Annotated[Path, typer.Option(help="Carrier's key file, beside the operator's unless absolute.")]
Shipper = Annotated[Path, typer.Option(help="Shipper's key file, beside the operator's unless absolute.")]
CARRIER, SHIPPER = Path("carrier.key"), Path("shipper.key")


@app.command()
def run(config: Config = CONFIG) -> None:
    """Open agreements and pay what final evidence makes due, until SIGTERM or an interrupt."""
    logs.configure("settle")
    shared, own = _load(config)
    stop = stop_on_signals()
    chain = connect(shared.chain.rpc)
    deployment = open_deployment(shared, chain, "escrow")
    log = open_log(shared)
    sender = open_sender(shared, own, chain)
    ledger = Ledger(log, shared.lading.below(own.ledger))
    agreements = _agreements(shared, own, chain, deployment)
    stage = Settling(log, deployment, sender, ledger, open_gateways(shared).tenant_of, agreements)

    def measure() -> None:
        live = sum(not ledger.is_settled(key) for key in agreements())
        meters.measure(live, len(stage.waits), sender)

    probes = {"log": log_answers(log), "chain": chain_answers(chain)}
    with watched("settle", shared, own, probes, measure) as heart:
        try:
            _loop(stage, agreements, stop, own.poll_s, heart)
        finally:
            sender.close()
            ledger.close()


def _loop(
    stage: Settling, agreements: AgreementFolder, stop: threading.Event, poll_s: float, heart: Heart
) -> None:
    """Step until told to stop; a log or chain that fails is tried again a bounded number of times."""
    log = structlog.get_logger()
    log.info("settle_started")
    said: dict[str, str] = {}
    for settled in results(lambda: stage.step(wall_ms()), stop, poll_s, heart=heart):
        for one in settled:
            meters.count_settlement(one)
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
    draft: Annotated[
        Path,
        typer.Argument(
            help="Terms file (toml), - for stdin: bond, deadline_s, window_s, tiers.", allow_dash=True
        ),
    ],
    config: Config = CONFIG,
    carrier: Carrier = CARRIER,
    shipper: Shipper = SHIPPER,
    test_tokens: Annotated[bool, typer.Option(help="First make the bond's worth of test tokens.")] = False,
) -> None:
    """Sign terms over a leg with both keys, put up the carrier's bond, and hand the agreement to the stage."""
    shared, own = _load(config)
    chain = connect(shared.chain.rpc)
    deployment = open_deployment(shared, chain, "escrow")
    accounts = [Account.load(shared.lading.beside_operator(path)) for path in (carrier, shipper)]
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
    deployment = open_deployment(shared, chain, "escrow")
    ledger = Ledger(open_log(shared), ":memory:")
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
    key: Annotated[Path, typer.Option(help="Key file, beside the operator's unless absolute.")] = CARRIER,
) -> None:
    """Take everything out that the vault owes an account, to the account itself."""
    shared, _ = _load(config)
    chain = connect(shared.chain.rpc)
    deployment = open_deployment(shared, chain, "escrow")
    account = Account.load(shared.lading.beside_operator(key))
    taken = withdraw(chain, deployment, account)
    left = credit_of(chain, deployment, account.address)
    typer.echo(f"0x{account.address.hex()}: {taken} withdrawn, {left} left")


def _begin(shared: Shared, leg: str) -> Assignment:
    """The newest begin order of a leg in the log, signed by this operator."""
    return newest_begin(open_log(shared), open_operator_public(shared), leg)


def _agreements(shared: Shared, own: SettleSettings, chain: Chain, deployment: Deployment) -> AgreementFolder:
    return AgreementFolder(shared.lading.below(own.agreements), Domain(chain.chain_id, deployment.escrow))


def _load(config: Path) -> tuple[Shared, SettleSettings]:
    return settings.load_shared(config), settings.load(config, "settle", SettleSettings)
