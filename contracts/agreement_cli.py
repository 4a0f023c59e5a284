"""`lading agreement …`: draft terms, sign them, put up the bond, see what is due, settle by hand, take money out."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from contracts import invoice
from contracts.agreements import Agreement, read_file, write_file
from contracts.bill import Bill
from contracts.drafting import Parties, read_draft
from contracts.escrows import CANCELLED
from contracts.legs import refuse_lacking
from contracts.making import (
    address_of,
    backing,
    cancel,
    cancelled_by,
    check_begun,
    draft_agreement,
    fund,
    hand_over,
    refuse_cancelled,
)
from contracts.money import Money
from contracts.opening import Bench, open_bench
from contracts.parties import Backing, credit_of, withdraw
from contracts.settling import bill_of, settle_now
from contracts.words import describe
from lading.account import SIGNATURE_BYTES, Account
from lading.errors import MalformedError, ServiceError
from lading.terminal import CONFIG, AsJson, Config

app = typer.Typer(
    help="Agreements between carrier and shipper, and what they pay.",
    no_args_is_help=True,
    add_completion=False,
)

EXIT_REFUSED = 1
CARRIER, SHIPPER = "carrier.key", "shipper.key"
KEY_HELP = "Key file, beside the operator's or where the path leads."
File = Annotated[Path, typer.Argument(help="The agreement's file.")]
Key = Annotated[Path, typer.Option(help=KEY_HELP)]


@app.command()
def new(
    draft: Annotated[
        Path, typer.Argument(help="Terms (toml), - for stdin: docs/agreements.md.", allow_dash=True)
    ],
    leg: Annotated[
        list[str], typer.Option(help="A leg of the shipment, by reference or id; again for more.")
    ],
    config: Config = CONFIG,
    carrier: Annotated[str, typer.Option(help="Carrier: an address, or a key file.")] = "",
    shipper: Annotated[str, typer.Option(help="Shipper: an address, or a key file.")] = "",
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write; none that is there.")] = Path(
        "new.agreement"
    ),
    as_json: AsJson = False,
) -> None:
    """Draft an agreement over legs that were begun: write it without signatures, and print it in words."""
    bench = open_bench(config)
    written = read_draft(draft)
    parties = Parties(
        address_of(bench, carrier or written.carrier or CARRIER, "carrier"),
        address_of(bench, shipper or written.shipper or SHIPPER, "shipper"),
    )
    agreement = draft_agreement(bench, written, leg, parties)
    if output.exists():
        raise ServiceError("agreement", f"{output} is there already, wanted a new file")
    write_file(output, agreement)
    _tell(agreement, bench.money(agreement.terms.token), as_json, {"file": str(output)})


@app.command()
def sign(
    file: File,
    config: Config = CONFIG,
    key: Annotated[Path | None, typer.Option(help=KEY_HELP)] = None,
    signature: Annotated[
        str, typer.Option(help="A party's signature made elsewhere: 0x and 130 hex digits.")
    ] = "",
    typed_data: Annotated[
        bool, typer.Option("--typed-data", help="Print what a wallet signs (EIP-712), and sign nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show an agreement in words, ask, and add a party's signature to its file."""
    agreement = read_file(file)
    if typed_data:
        typer.echo(json.dumps(agreement.typed_data(), indent=1))
        return
    if (key is None) == (not signature):
        raise MalformedError("option", "wanted one of --key, --signature and --typed-data")
    bench = _bench(config)
    refuse_lacking(agreement.disclosures, agreement.terms.tiers)
    if bench is not None:
        bench.escrow_of(agreement)
        refuse_cancelled(bench, agreement)
    compared = [] if bench is None else check_begun(bench, agreement.terms)
    money = Money() if bench is None else bench.money(agreement.terms.token)
    signed = _signed(agreement, key, signature, bench)
    for line in [*describe(agreement, money), *compared]:
        typer.echo(line, err=as_json)
    if not yes and not typer.confirm("Sign this?", err=as_json):
        raise typer.Exit(EXIT_REFUSED)
    write_file(file, signed)
    if as_json:
        _tell(signed, money, as_json, {"file": str(file)})
    else:
        missing = " and ".join(signed.missing)
        typer.echo(f"signed: {file}" + (f"; {missing} has yet to sign" if missing else ", by both parties"))


@app.command("fund")
def fund_agreement(
    file: File,
    config: Config = CONFIG,
    key: Key = Path(CARRIER),
    test_tokens: Annotated[
        bool, typer.Option("--test-tokens", help="First make what is missing of test tokens.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Deposit what the carrier's bond lacks; hand the agreement to the stage where both have signed."""
    bench, agreement = open_bench(config), read_file(file)
    done = fund(bench, agreement, bench.account(key), test_tokens=test_tokens)
    money, behind = bench.money(agreement.terms.token), _found_backing(bench, agreement)
    if as_json:
        path = None if done.path is None else str(done.path)
        about = invoice.about(agreement, money)
        more = {"deposited": done.deposited, "handed_over": path} | _backing_json(behind)
        typer.echo(json.dumps(about | more))
        return
    typer.echo(f"{money.show(done.deposited)} deposited of a bond of {money.show(agreement.terms.bond)}")
    for line in _backing_lines(behind, money):
        typer.echo(line)
    missing = " and ".join(agreement.missing)
    typer.echo(
        f"handed to the stage: {done.path}" if done.path else f"not handed over: {missing} has yet to sign"
    )


@app.command()
def submit(file: File, config: Config = CONFIG, as_json: AsJson = False) -> None:
    """Hand a complete agreement to the stage, where the carrier has funded it elsewhere."""
    agreement, bench = read_file(file), open_bench(config)
    path = hand_over(bench, agreement)
    if path is None:
        raise ServiceError("agreement", f"{' and '.join(agreement.missing)} has yet to sign {file}")
    if as_json:
        about = invoice.about(agreement, bench.money(agreement.terms.token))
        typer.echo(json.dumps(about | {"handed_over": str(path)}))
        return
    typer.echo(f"handed to the stage: {path}")


@app.command()
def show(
    agreement: Annotated[str, typer.Argument(help="An agreement's file, or its id or the beginning of it.")],
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Explain an agreement: its terms, and for each leg what the evidence says, what it costs and what was paid."""
    path = Path(agreement)
    bench = _bench(config) if path.is_file() else open_bench(config)
    found = read_file(path) if path.is_file() else bench.find(agreement) if bench else None
    assert found is not None
    money = Money() if bench is None else bench.money(found.terms.token)
    by = "" if bench is None else cancelled_by(bench, found)
    bill = None if bench is None or found.missing or by else bill_of(bench, found)
    behind = _found_backing(bench, found)
    if as_json:
        document = invoice.about(found, money) if bill is None else invoice.as_json(bill, money)
        document |= {"state": CANCELLED, "cancelled_by": by} if by else {}
        typer.echo(json.dumps(document | _backing_json(behind), ensure_ascii=False, indent=1))
        return
    said = [f"Cancelled by the {by}: nobody can open it any more."] if by else _invoice(bill, money)
    for line in [*describe(found, money), *_backing_lines(behind, money), *said]:
        typer.echo(line)


@app.command("cancel")
def cancel_terms(
    file: File,
    config: Config = CONFIG,
    key: Key = Path(CARRIER),
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take signed terms back that nobody has opened, as the carrier or the shipper: for good, on chain."""
    bench, agreement = open_bench(config), read_file(file)
    money = bench.money(agreement.terms.token)
    for line in describe(agreement, money):
        typer.echo(line, err=as_json)
    if not yes and not typer.confirm("Cancel this?", err=as_json):
        raise typer.Exit(EXIT_REFUSED)
    account = bench.account(key)
    by, receipt = agreement.party_of(account.address), cancel(bench, agreement, account)
    tx = f"0x{receipt.tx_hash.hex()}"
    if as_json:
        about = invoice.about(agreement, money)
        typer.echo(json.dumps(about | {"state": CANCELLED, "cancelled_by": by, "tx": tx}))
        return
    typer.echo(f"cancelled by the {by} in transaction {tx}: nobody can open it any more")


@app.command()
def settle(
    agreement: Annotated[str, typer.Argument(help="The agreement's id, or the beginning of it.")],
    config: Config = CONFIG,
    key: Key = Path(CARRIER),
    as_json: AsJson = False,
) -> None:
    """Take the steps that are due now, as the stage would: exit 1 where none is."""
    bench = open_bench(config)
    done = settle_now(bench, bench.find(agreement), bench.account(key))
    if as_json:
        rows = [
            {"step": step, "tx": f"0x{receipt.tx_hash.hex()}", "gas_used": receipt.gas_used}
            for step, receipt in done.taken
        ]
        typer.echo(json.dumps({"taken": rows, "waits": done.waits}))
    for step, receipt in [] if as_json else done.taken:
        typer.echo(f"{step}: transaction 0x{receipt.tx_hash.hex()}, {receipt.gas_used:,} gas")
    for reason in [] if as_json else done.waits:
        typer.echo(f"waits: {reason}")
    raise typer.Exit(0 if done.taken else EXIT_REFUSED)


@app.command("withdraw")
def withdraw_all(config: Config = CONFIG, key: Key = Path(CARRIER), as_json: AsJson = False) -> None:
    """Take out what the vault owes an account: credits, and deposits that no agreement locks."""
    bench = open_bench(config)
    account = bench.account(key)
    taken = withdraw(bench.chain, bench.deployment, account)
    left = credit_of(bench.chain, bench.deployment, account.address)
    if as_json:
        address = f"0x{account.address.hex()}"
        typer.echo(json.dumps({"address": address, "withdrawn": taken, "left": left}))
        return
    money = bench.money(bench.deployment.token)
    typer.echo(f"0x{account.address.hex()}: {money.show(taken)} withdrawn, {money.show(left)} left")


def _bench(config: Path) -> Bench | None:
    """The installation, where there is one: a party may sign on a machine without."""
    return open_bench(config) if config.is_file() else None


def _signed(agreement: Agreement, key: Path | None, signature: str, bench: Bench | None) -> Agreement:
    """With the signature; RejectedError `party` or `signature` before anybody is asked anything."""
    if key is not None:
        return agreement.signed_by(Account.load(key) if bench is None else bench.account(key))
    try:
        made = bytes.fromhex(signature.removeprefix("0x"))
    except ValueError as exc:
        raise MalformedError("option", "the signature is not hex") from exc
    if len(made) != SIGNATURE_BYTES:
        raise MalformedError("option", f"a signature of {len(made)} bytes, wanted {SIGNATURE_BYTES}")
    return agreement.with_signature(made)


def _tell(agreement: Agreement, money: Money, as_json: bool, more: dict[str, Any]) -> None:
    if as_json:
        typer.echo(json.dumps(invoice.about(agreement, money) | more))
        return
    for line in describe(agreement, money):
        typer.echo(line)
    typer.echo(f"Written to {more['file']}.")


def _found_backing(bench: Bench | None, agreement: Agreement) -> Backing | None:
    """What stands behind a bond that is not locked yet: a deposit is nobody's before an agreement is opened."""
    if bench is None or all(one.domain != agreement.domain for one in bench.escrows):
        return None
    return backing(bench, agreement) if agreement.terms.token == bench.deployment.token else None


def _backing_json(found: Backing | None) -> dict[str, Any]:
    if found is None:
        return {"backing": None}
    return {"backing": {"free": found.free, "others": found.others, "missing": found.missing}}


def _backing_lines(found: Backing | None, money: Money) -> list[str]:
    if found is None:
        return []
    beside = f", wanted by {found.others} more that wait to be opened" if found.others else ""
    lacks = f"; for all {money.show(found.missing)} is missing" if found.missing else ""
    return [
        f"The carrier's free deposit is {money.show(found.free)}{beside}{lacks}.",
        "It is not reserved: whichever of the carrier's agreements is opened first locks its bond of it.",
    ]


def _invoice(bill: Bill | None, money: Money) -> list[str]:
    return [] if bill is None else invoice.invoice(bill, money)
