"""`lading cover …`: open a pool, add and take out capital, quote, buy, show and settle cover over a leg."""

import json
import secrets
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from contracts import written
from contracts.agreements import Disclosure
from contracts.cover_drafting import PolicyDraft, PoolDraft, make_policy, make_pool
from contracts.cover_stage import CoverPlanner
from contracts.cover_words import describe_cover, describe_pool, said_of
from contracts.covers import Cover, about, read_cover, write_cover
from contracts.drafting import Place, read_table, read_text
from contracts.insurance import Pool
from contracts.legs import begin_of, refuse_lacking
from contracts.making import address_of, check_begun
from contracts.opening import Bench, open_bench
from contracts.parties import mint_of
from contracts.settling import open_evidence
from contracts.words import leg_name
from lading.account import Account
from lading.chain import RevertedError
from lading.errors import MalformedError, RejectedError, ServiceError
from lading.log import wall_ms
from lading.opening import open_log, open_operator_public
from lading.terminal import CONFIG, AsJson, Config, shown_time
from lading.wallet import Wallet

app = typer.Typer(
    help="Insurance of legs: pools of capital, and covers that they sell.",
    no_args_is_help=True,
    add_completion=False,
)

EXIT_REFUSED = 1
INSURER, HOLDER = Path("insurer.key"), Path("shipper.key")
PREFIX_HEX_MIN = 8
KEY_HELP = "Key file, beside the operator's or where the path leads."
PoolArgument = Annotated[str, typer.Argument(help="The pool's id in hex.")]
CoverArgument = Annotated[str, typer.Argument(help="A cover's file, or its id or the beginning of it.")]
CoverId = Annotated[str, typer.Argument(help="A cover's id, or the beginning of it.")]
Key = Annotated[Path, typer.Option(help=KEY_HELP)]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
TestTokens = Annotated[bool, typer.Option("--test-tokens", help="First make the amount of test tokens.")]


@app.command("open")
def open_pool(
    terms: Annotated[Path, typer.Argument(help="The pool's file (toml): docs/cover.md.", allow_dash=True)],
    config: Config = CONFIG,
    key: Key = INSURER,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Open a pool; whoever opens it is its manager."""
    bench = open_bench(config)
    account, insurance, token = bench.account(key), bench.insurance(), bench.deployment.token
    draft = read_table(terms, PoolDraft)
    made = make_pool(draft, account.address, token, bench.money(token), secrets.randbits(128))
    pool_id = made.pool_id(insurance.pools_domain)
    shown = Pool(
        made.token,
        *(0, 0, 0),
        made.manager,
        made.waiting_s,
        made.span_s,
        made.notice_s,
        0,
        made.event_max,
        made.aggregate_max,
    )
    _ask(describe_pool(pool_id, shown, bench.money(token)), "Open this pool?", yes, as_json)
    insurance.open_pool(account, made)
    _say({"pool": pool_id.hex()}, f"opened: {pool_id.hex()}", as_json)


@app.command()
def add(
    pool: PoolArgument,
    amount: Annotated[str, typer.Argument(help='Such as "1000 TEST".')],
    config: Config = CONFIG,
    key: Key = INSURER,
    test_tokens: TestTokens = False,
    as_json: AsJson = False,
) -> None:
    """Add capital to a pool, for shares of it."""
    bench, pool_id = open_bench(config), _pool_id(pool)
    account, insurance = bench.account(key), bench.insurance()
    token = insurance.pool(pool_id).token
    money = bench.money(token)
    units = read_text("amount", lambda text: written.amount_units(text, money), amount)
    if test_tokens:
        mint_of(bench.chain, token, account, units)
    shares = insurance.add(account, pool_id, units)
    _say({"pool": pool, "shares": shares}, f"{money.show(units)} added for {shares} shares", as_json)


@app.command()
def remove(
    pool: PoolArgument,
    config: Config = CONFIG,
    key: Key = INSURER,
    shares: Annotated[int, typer.Option(min=0, help="How many shares; 0: all.")] = 0,
    anew: Annotated[bool, typer.Option("--anew", help="Announce in place of what was announced.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take capital out: announce it, and call again within 7 days after the notice. It is a credit then."""
    bench, pool_id = open_bench(config), _pool_id(pool)
    account, insurance = bench.account(key), bench.insurance()
    holding = insurance.holding(pool_id, account.address)
    money = bench.money(insurance.pool(pool_id).token)
    if anew or not holding.is_announced(wall_ms() // 1000):
        holding = insurance.announce(account, pool_id, shares or holding.shares)
        leave = shown_time(holding.leave_s * 1000)
        text = f"{holding.leaving} shares announced; they may leave from {leave} on: call again then"
        _say({"pool": pool, "announced": holding.leaving, "leave_s": holding.leave_s}, text, as_json)
        return
    taken = insurance.remove(account, pool_id, shares or holding.leaving)
    _say({"pool": pool, "removed": taken}, f"{money.show(taken)} are credits in the vault now", as_json)


@app.command()
def quote(
    pool: PoolArgument,
    terms: Annotated[Path, typer.Argument(help="The policy's file (toml): docs/cover.md.", allow_dash=True)],
    leg: Annotated[str, typer.Option(help="The leg, by reference or id.")],
    holder: Annotated[str, typer.Option(help="Who may buy it: an address, or a key file.")] = str(HOLDER),
    config: Config = CONFIG,
    key: Key = INSURER,
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")] = Path("new.cover"),
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Show a policy in words, ask, and sign it as the pool's manager: the holder may buy it."""
    bench, pool_id = open_bench(config), _pool_id(pool)
    account, insurance = bench.account(key), bench.insurance()
    found = insurance.pool(pool_id)
    money = bench.money(found.token)
    begin = begin_of(open_log(bench.shared), open_operator_public(bench.shared), leg)
    policy = make_policy(
        read_table(terms, PolicyDraft),
        begin,
        pool_id,
        found,
        address_of(bench, holder, "holder"),
        Place(found.token, money, insurance.window_min_s()),
        secrets.randbits(128),
        wall_ms() // 1000,
    )
    cover = Cover(policy, insurance.domain, Disclosure.of(begin)).signed_by(account)
    cover.check(found.manager)
    if output.exists():
        raise ServiceError("cover", f"{output} is there already, wanted a new file")
    _ask(describe_cover(cover, money), "Sign this?", yes, as_json)
    write_cover(output, cover)
    _say(about(cover) | {"file": str(output)}, f"signed: {output}", as_json)


@app.command()
def buy(
    file: Annotated[Path, typer.Argument(help="The cover's file.")],
    config: Config = CONFIG,
    key: Key = HOLDER,
    test_tokens: TestTokens = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Show a quote in words, ask, hand the cover to the stage, and pay its premium: again where it was cut off."""
    bench, cover = open_bench(config), read_cover(file)
    account, insurance = bench.account(key), bench.insurance()
    if cover.domain != insurance.domain:
        raise RejectedError("cover", f"{file} is for contract 0x{cover.domain.escrow.hex()}")
    pool = insurance.pool(cover.terms.pool)
    cover.check(pool.manager)
    refuse_lacking([cover.disclosure], cover.terms.tiers)
    compared = check_begun(bench, cover.terms)
    money = bench.money(pool.token)
    state = insurance.state(cover.id).name
    _check_buyer(cover, account, state)
    _ask([*describe_cover(cover, money), *compared], "Buy this?", yes, as_json)
    # Before the premium: what is paid for reaches the stage, wherever this command is cut off.
    path = bench.covers().save(cover)
    row = about(cover) | {"file": str(path)}
    if state != "none":
        _say(row | {"tx": None}, f"bought before; handed to the stage: {path}", as_json)
        return
    if test_tokens and cover.terms.premium:
        mint_of(bench.chain, pool.token, account, cover.terms.premium)
    receipt = insurance.buy(account, cover)
    row |= {"tx": f"0x{receipt.tx_hash.hex()}"}
    _say(row, f"bought in 0x{receipt.tx_hash.hex()}; handed to the stage: {path}", as_json)


@app.command()
def cancel(
    file: Annotated[Path, typer.Argument(help="The cover's file.")],
    config: Config = CONFIG,
    key: Key = INSURER,
    as_json: AsJson = False,
) -> None:
    """Take a quote back that nobody bought, as the pool's manager."""
    bench, cover = open_bench(config), read_cover(file)
    insurance = bench.insurance()
    if cover.domain != insurance.domain:
        raise RejectedError("cover", f"{file} is for contract 0x{cover.domain.escrow.hex()}")
    receipt = insurance.cancel(bench.account(key), cover)
    tx = f"0x{receipt.tx_hash.hex()}"
    _say(about(cover) | {"tx": tx}, f"cancelled in {tx}", as_json)


@app.command()
def show(what: CoverArgument, config: Config = CONFIG, as_json: AsJson = False) -> None:
    """Explain a cover, or a pool by its id: what was agreed, and where it stands."""
    bench = open_bench(config)
    insurance = bench.insurance()
    covers = bench.covers()()
    if not Path(what).is_file() and not _found(covers, what):
        pool_id = _pool_id(what)
        pool = insurance.pool(pool_id)
        row = {k: v if isinstance(v, int) else f"0x{v.hex()}" for k, v in asdict(pool).items()}
        money = bench.money(pool.token)
        _say({"pool": what} | row, "\n".join(describe_pool(pool_id, pool, money)), as_json)
        return
    cover = read_cover(Path(what)) if Path(what).is_file() else _cover(covers, what)
    money = bench.money(insurance.pool(cover.terms.pool).token)
    row, text = _standing(bench, cover)
    _say(row, "\n".join([*describe_cover(cover, money), f"Now: {text}."]), as_json)


@app.command("list")
def list_covers(config: Config = CONFIG, as_json: AsJson = False) -> None:
    """Every cover that the stage has, and where it stands."""
    bench = open_bench(config)
    folder = bench.covers()
    found = [(_standing(bench, cover), cover) for cover in folder().values()]
    if as_json:
        typer.echo(json.dumps({"covers": [row for (row, _), _ in found], "problems": folder.problems}))
        return
    for (_, text), cover in found:
        typer.echo(f"{cover.id.hex()[:16]}  {leg_name(cover.terms.leg, cover.disclosure)}  {text}")
    for name, reason in folder.problems.items():
        typer.echo(f"{name}: {reason}", err=True)


@app.command()
def settle(what: CoverId, config: Config = CONFIG, key: Key = HOLDER, as_json: AsJson = False) -> None:
    """Take the step that is due now, as the stage would: exit 1 where none is."""
    bench = open_bench(config)
    insurance, cover, account = bench.insurance(), _cover(bench.covers()(), what), bench.account(key)
    taken, why = _settle(bench, cover, account)
    state = insurance.state(cover.id)
    payout = insurance.payout(cover.id)
    text = said_of(state, payout, bench.money(insurance.pool(cover.terms.pool).token))
    row = {"cover": cover.id.hex(), "taken": taken, "waits": why, "state": state.name, "payout": payout}
    _say(row, f"{taken}: {text}" if taken else f"waits: {why}", as_json)
    raise typer.Exit(0 if taken else EXIT_REFUSED)


def _check_buyer(cover: Cover, account: Account, state: str) -> None:
    """What the contract would refuse only after the premium is deposited."""
    if account.address != cover.terms.holder:
        raise RejectedError(
            "party",
            f"0x{account.address.hex()} is not the holder, wanted 0x{cover.terms.holder.hex()}",
        )
    if state == "cancelled":
        raise RejectedError("cover", f"{cover.id.hex()} was cancelled by the pool's manager")


def _settle(bench: Bench, cover: Cover, account: Account) -> tuple[str, str]:
    """The step that was taken, or why none was."""
    insurance = bench.insurance()
    planner = CoverPlanner(bench.chain, bench.deployment.anchors, *open_evidence(bench))
    plan = planner.next_step(cover, insurance, insurance.state(cover.id), wall_ms() // 1000)
    if plan.step is None:
        return "", plan.why
    try:
        Wallet(bench.chain, account).transact(insurance.contract, plan.step.function, *plan.step.arguments)
    except RevertedError as exc:
        return "", exc.text
    return plan.step.name, ""


def _standing(bench: Bench, cover: Cover) -> tuple[dict[str, Any], str]:
    """Where a cover stands by the newest block, and whether the finalized one says the same."""
    insurance = bench.insurance()
    state = insurance.state(cover.id)
    payout = insurance.payout(cover.id) if state.name == "settled" else None
    money = bench.money(insurance.pool(cover.terms.pool).token)
    final = insurance.final_state(cover.id)
    is_final = final is not None and final.name == state.name
    row = about(cover) | {"state": state.name, "final": is_final, "payout": payout, "owed": state.owed}
    is_told = is_final or state.name == "none"
    return row, said_of(state, payout, money) + ("" if is_told else "; not in a finalized block yet")


def _found(covers: dict[bytes, Cover], text: str) -> list[Cover]:
    wanted = text.lower().removeprefix("0x")
    return [
        one for key, one in covers.items() if len(wanted) >= PREFIX_HEX_MIN and key.hex().startswith(wanted)
    ]


def _cover(covers: dict[bytes, Cover], text: str) -> Cover:
    found = _found(covers, text)
    if len(found) != 1:
        known = ", ".join(sorted(key.hex()[:16] for key in covers)[:8]) or "none"
        raise ServiceError("cover_unknown", f"{text!r} means {len(found)} covers; there are {known}")
    return found[0]


def _pool_id(text: str) -> bytes:
    try:
        found = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        found = b""
    if len(found) != 32:
        raise MalformedError("option", f"pool: found {text[:80]!r}, wanted 64 hex digits")
    return found


def _ask(lines: list[str], question: str, yes: bool, as_json: bool) -> None:
    for line in lines:
        typer.echo(line, err=as_json)
    if not yes and not typer.confirm(question, err=as_json):
        raise typer.Exit(EXIT_REFUSED)


def _say(row: dict[str, Any], text: str, as_json: bool) -> None:
    typer.echo(json.dumps(row, ensure_ascii=False) if as_json else text)
