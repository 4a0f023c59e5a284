"""What a person at a command line does with an agreement that the stage has: look at it, and take its next steps."""

from typing import NamedTuple

from contracts.agreements import Agreement
from contracts.bill import Bill, Biller
from contracts.ledger import Ledger
from contracts.opening import Bench
from contracts.proofs import Evidence
from contracts.steps import Planner, Step
from lading.account import Account
from lading.chain import Receipt, RevertedError
from lading.log import wall_ms
from lading.opening import open_gateways, open_log
from lading.wallet import Wallet


class Settled(NamedTuple):
    """Steps that were mined, and why others were not taken."""

    taken: list[tuple[str, Receipt]]
    waits: list[str]


def bill_of(bench: Bench, agreement: Agreement) -> Bill:
    """The agreement as log and chain have it now."""
    ledger, evidence, planner = _open(bench)
    biller = Biller(bench.chain, bench.deployment.gateways, ledger, evidence, planner)
    return biller.bill(agreement, bench.escrow_of(agreement), wall_ms() // 1000)


def settle_now(bench: Bench, agreement: Agreement, account: Account) -> Settled:
    """Every step that is due, from one's own account. The escrow takes each once, whoever sends it."""
    _, _, planner = _open(bench)
    escrow, now_s = bench.escrow_of(agreement), wall_ms() // 1000
    state = escrow.state(agreement.id, len(agreement.terms.legs))
    steps: list[Step] = []
    waits: list[str] = []
    if state.name == "none":
        steps.append(planner.open(agreement))
    if state.owed:
        steps.append(planner.pay(agreement, state.owed))
    for plan in planner.legs(agreement, escrow, state, now_s) if state.is_open else ():
        if plan.step is None:
            waits.append(plan.why)
        else:
            steps.append(plan.step)
    taken = []
    wallet = Wallet(bench.chain, account)
    for step in steps:
        try:
            taken.append((step.name, wallet.transact(escrow.contract, step.function, *step.arguments)))
        except RevertedError as exc:
            waits.append(exc.text)
    return Settled(taken, waits)


def _open(bench: Bench) -> tuple[Ledger, Evidence, Planner]:
    log = open_log(bench.shared)
    ledger = Ledger(log, ":memory:")
    ledger.catch_up()
    evidence = Evidence(log, ledger, open_gateways(bench.shared).tenant_of)
    return ledger, evidence, Planner(bench.chain, bench.deployment.anchors, ledger, evidence)
