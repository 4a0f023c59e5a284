"""`lading settle …`: run the stage, make agreements where both keys are, show them, take money out."""

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer

from contracts import invoice, meters
from contracts.agreement_cli import withdraw_all
from contracts.agreements import Agreement, AgreementFolder
from contracts.cover_stage import Covering
from contracts.covers import CoverFolder
from contracts.drafting import Parties, read_draft
from contracts.ledger import Ledger
from contracts.making import draft_agreement, fund
from contracts.opening import Bench, open_bench
from contracts.stage import Settling
from lading import logs
from lading.health import log_answers, watched
from lading.heart import Heart
from lading.log import wall_ms
from lading.onchain import chain_answers, open_sender
from lading.opening import open_gateways, open_log
from lading.payout import Payout, Settled
from lading.process import results, stop_on_signals
from lading.settlement import Settlement
from lading.terminal import CONFIG, AsJson, Config

app = typer.Typer(help="Stage 5: agreements and payments.", no_args_is_help=True, add_completion=False)
app.command("withdraw")(withdraw_all)

Carrier = Annotated[Path, typer.Option(help="Carrier's key file, beside the operator's unless absolute.")]
Shipper = Annotated[Path, typer.Option(help="Shipper's key file, beside the operator's unless absolute.")]
CARRIER, SHIPPER = Path("carrier.key"), Path("shipper.key")


@app.command()
def run(config: Config = CONFIG) -> None:
    """Open agreements and pay what final evidence makes due, until SIGTERM or an interrupt."""
    logs.configure("settle")
    stop = stop_on_signals()
    bench = open_bench(config)
    shared, own, chain = bench.shared, bench.own, bench.chain
    log = open_log(shared)
    sender = open_sender(shared, own, chain)
    ledger = Ledger(log, shared.lading.below(own.ledger))
    agreements, covers = bench.agreements(), None
    tenant_of = open_gateways(shared).tenant_of
    stage = Settling(log, bench.deployment, sender, ledger, tenant_of, agreements)
    covering = None
    if bench.deployment.cover is not None:
        covers = bench.covers()
        covering = Covering(log, bench.deployment, sender, ledger, tenant_of, covers)

    def measure() -> None:
        live = sum(not stage.is_over(one) for one in agreements().values())
        meters.measure(live, len(stage.waits), sender)

    probes = {"log": log_answers(log), "chain": chain_answers(chain)}
    with watched("settle", shared, own, probes, measure) as heart:
        try:
            folders = (agreements,) if covers is None else (agreements, covers)
            _loop(stage, covering, folders, stop, own.poll_s, heart)
        finally:
            sender.close()
            ledger.close()


def _loop(
    stage: Settling,
    covering: Covering | None,
    folders: Iterable[AgreementFolder | CoverFolder],
    stop: threading.Event,
    poll_s: float,
    heart: Heart,
) -> None:
    """Step until told to stop; a log or chain that fails is tried again a bounded number of times."""
    log = structlog.get_logger()
    log.info("settle_started")
    said: dict[str, str] = {}

    written: list[Settled] = []  # and not told of yet: what comes after may fail

    def step() -> list[Settled]:
        written.extend([] if covering is None else covering.step(wall_ms()))
        written.extend(stage.step(wall_ms()))
        told = written.copy()
        written.clear()
        return told

    for settled in results(step, stop, poll_s, heart=heart):
        for one in settled:
            meters.count_settlement(one)
            log.info(
                "settled",
                **{"cover" if isinstance(one, Payout) else "agreement": one.claim.hex()},
                leg=one.leg_id.hex(),
                kind=one.kind,
                amount=one.amount,
                gas_used=one.gas_used,
            )
        covers = {} if covering is None else covering.waits
        waits = {key.hex(): reason for key, reason in (stage.waits | covers).items()}
        waits.update(problem for folder in folders for problem in folder.problems.items())
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
            help="Terms file (toml), - for stdin: bond, deadline, window, tiers.", allow_dash=True
        ),
    ],
    config: Config = CONFIG,
    carrier: Carrier = CARRIER,
    shipper: Shipper = SHIPPER,
    test_tokens: Annotated[bool, typer.Option(help="First make the bond's worth of test tokens.")] = False,
    as_json: AsJson = False,
) -> None:
    """Sign terms over a leg with both keys, put up the carrier's bond, and hand the agreement to the stage.

    Where the parties are apart: `lading agreement`.
    """
    bench = open_bench(config)
    accounts = [bench.account(path) for path in (carrier, shipper)]
    parties = Parties(accounts[0].address, accounts[1].address)
    agreement = draft_agreement(bench, read_draft(draft), [leg], parties)
    for account in accounts:
        agreement = agreement.signed_by(account)
    path = fund(bench, agreement, accounts[0], test_tokens=test_tokens).path
    if as_json:
        about = invoice.about(agreement, bench.money(agreement.terms.token))
        typer.echo(json.dumps(about | {"handed_over": str(path)}))
        return
    (shown,) = agreement.disclosures
    typer.echo(f"{agreement.id.hex()} over {shown.reference if shown else leg}: {path}")


@app.command()
def status(config: Config = CONFIG, as_json: AsJson = False) -> None:
    """Every agreement's legs with their state on chain, and what was settled."""
    bench = open_bench(config)
    agreements = bench.agreements()
    ledger = bench.ledger()
    rows = [row for one in agreements().values() for row in _rows(bench, one, ledger.settled_legs(one.id))]
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


def _rows(bench: Bench, agreement: Agreement, settled: Mapping[int, Settlement]) -> Iterator[dict[str, Any]]:
    """A row a leg."""
    terms = agreement.terms
    state = bench.escrow_of(agreement).state(agreement.id, len(terms.legs))
    for index, leg in enumerate(terms.legs):
        row: dict[str, Any] = {
            "agreement": agreement.id.hex(),
            "leg": leg.leg_id.hex(),
            "bond": terms.bond,
            "state": "settled" if state.is_open and state.concluded[index] else state.name,
        }
        if index in settled:
            one = settled[index]
            row |= {
                "kind": one.kind,
                "amount": one.amount,
                "tx": "0x" + one.tx_hash.hex(),
                "gas_used": one.gas_used,
            }
        yield row
