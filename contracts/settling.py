"""What a person at a command line does with an agreement that the stage has: look at it, and take its next steps."""

from typing import NamedTuple

from contracts.agreements import Agreement
from contracts.bill import Bill, Biller
from contracts.escrows import Escrow
from contracts.ledger import Ledger
from contracts.opening import Bench
from contracts.proofs import Evidence
from contracts.steps import Planner, Step, stops_all
from lading.account import Account
from lading.chain import Receipt, RevertedError
from lading.errors import LadingError
from lading.log import wall_ms
from lading.opening import open_gateways, open_log
from lading.wallet import Wallet

FRAMES_TRIED_MAX = 16  # of a leg, one after the other, while the chain refuses them


class Settled(NamedTuple):
    """Steps that were mined, and why others were not taken."""

    taken: list[tuple[str, Receipt]]
    waits: list[str]


def bill_of(bench: Bench, agreement: Agreement) -> Bill:
    """The agreement as log and chain have it now."""
    ledger, evidence = open_evidence(bench)
    planner = Planner(bench.chain, bench.deployment.anchors, ledger, evidence)
    biller = Biller(bench.chain, bench.deployment.gateways, ledger, evidence, planner)
    return biller.bill(agreement, bench.escrow_of(agreement), wall_ms() // 1000)


def settle_now(bench: Bench, agreement: Agreement, account: Account) -> Settled:
    """Every step that is due, from one's own account. The escrow takes each once, whoever sends it."""
    planner = Planner(bench.chain, bench.deployment.anchors, *open_evidence(bench))
    escrow, now_s = bench.escrow_of(agreement), wall_ms() // 1000
    state = escrow.state(agreement.id, len(agreement.terms.legs))
    doing = _Doing(Wallet(bench.chain, account), escrow, Settled([], []))
    if state.name == "none":
        doing.take(planner.open(agreement))
    if state.cancelled_by:
        doing.settled.waits.append(f"cancelled by the {state.cancelled_by}")
    if state.owed:
        doing.take(planner.pay(agreement, state))
    for index, is_concluded in enumerate(state.concluded if state.is_open else ()):
        if not is_concluded:
            doing.take_leg(planner, agreement, index, now_s)
    return doing.settled


class _Doing(NamedTuple):
    """One account's steps at an escrow."""

    wallet: Wallet
    escrow: Escrow
    settled: Settled

    def take(self, step: Step) -> RevertedError | None:
        """Send it and wait; the refusal where there is one."""
        try:
            receipt = self.wallet.transact(self.escrow.contract, step.function, *step.arguments)
        except RevertedError as exc:
            self.settled.waits.append(exc.text)
            return exc
        self.settled.taken.append((step.name, receipt))
        return None

    def take_leg(self, planner: Planner, agreement: Agreement, index: int, now_s: int) -> None:
        """A leg's next step; where the chain refuses its frame for good, the next older one's."""
        for _ in range(FRAMES_TRIED_MAX):
            try:
                plan = planner.leg(agreement, self.escrow, index, now_s)
            except LadingError as exc:
                if stops_all(exc):
                    raise
                self.settled.waits.append(str(exc))
                return
            if plan.step is None:
                self.settled.waits.append(plan.why)
                return
            refused = self.take(plan.step)
            if refused is None or not planner.note_refused(plan.step, refused, now_s):
                return


def open_evidence(bench: Bench) -> tuple[Ledger, Evidence]:
    """The log as far as payments need it, read anew, and the proofs that it gives."""
    ledger = bench.ledger()
    return ledger, Evidence(open_log(bench.shared), ledger, open_gateways(bench.shared).tenant_of)
