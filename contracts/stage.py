"""The stage's driver: opens agreements, pays from final evidence, writes what the chain has settled to the log.

What is due is derived from the chain's own state at each step, so it does not matter where the last process died; the
escrow itself concludes a leg once. An agreement is served by the escrow that it was signed for.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property

from contracts.agreements import Agreement
from contracts.escrows import CANCELLED, Escrow, State, escrows_of
from contracts.ledger import Ledger
from contracts.proofs import Evidence
from contracts.records import Recorder
from contracts.steps import Planner, Step, stops_all
from contracts.typed_data import Domain
from lading import topics
from lading.batchlog import TenantOf
from lading.chain import FINALIZED, RevertedError
from lading.deployment import Deployment
from lading.errors import LadingError, ServiceError
from lading.log import Log
from lading.sending import Sender
from lading.settlement import Settlement

BLOCK_MAX = 2**64
Agreements = Callable[[], Mapping[bytes, Agreement]]


class Settling:
    """One process settles: it holds the only sender of the settling key. Others may settle too: nothing doubles."""

    def __init__(
        self,
        log: Log,
        deployment: Deployment,
        sender: Sender,
        ledger: Ledger,
        tenant_of: TenantOf,
        agreements: Agreements,
    ) -> None:
        self.ledger = ledger
        self.waits: dict[bytes, str] = {}  # agreement → why the chain does not take its next step yet
        self._log = log
        self._sender = sender
        self._deployment = deployment
        evidence = Evidence(log, ledger, tenant_of)
        self._planner = Planner(sender.chain, deployment.anchors, ledger, evidence, sender.has)
        self._recorder = Recorder(sender, deployment, ledger, evidence)
        self._agreements = agreements
        self._over: set[bytes] = set()

    def state(self, key: bytes) -> str:
        """What the escrow says: none, open, shown (first escrow only), settled, judged (likewise) or cancelled."""
        agreement = self._agreements()[key]
        return self._escrow(agreement).state(key, len(agreement.terms.legs)).name

    def step(self, now_ms: int) -> list[Settlement]:
        """Send what is due, follow it; the settlements that were written."""
        self.ledger.catch_up()
        live = {key: one for key, one in self._agreements().items() if not self.is_over(one)}
        self.waits = {key: reason for key, reason in self.waits.items() if key in live}
        states = {key: self._escrow(one).state(key, len(one.terms.legs)) for key, one in live.items()}
        for key in sorted(live, key=lambda key: self._owed_since(key, states[key])):
            self._advance(live[key], states[key], now_ms // 1000)
        moved = {intent.key.split("/")[0].split()[-1] for intent in self._sender.step(now_ms)}
        self._tell_waits(live)
        ended = [
            one
            for key, one in live.items()
            if sum(states[key].concluded) > self.ledger.settled_count(key) or key.hex() in moved
        ]
        return self._write(ended)

    def _tell_waits(self, live: Mapping[bytes, Agreement]) -> None:
        """Transactions that are on their way and do not get on."""
        by_name = {key.hex(): key for key in live}
        for purpose, reason in self._sender.waits().items():
            key = by_name.get(purpose.split("/")[0].split()[-1])
            if key is not None:
                self.waits[key] = f"{purpose.split()[0]}: {reason}"

    def is_over(self, agreement: Agreement) -> bool:
        """Whether all its settlements are in the log and nothing is owed on chain, or nobody can open it any more."""
        key, legs = agreement.id, len(agreement.terms.legs)
        if key not in self._over and self.ledger.settled_count(key) == legs:
            was_owed = any(one.owed for one in self.ledger.settled_legs(key).values())
            if not was_owed or not self._escrow(agreement).state(key, legs).owed:
                self._over.add(key)
        return key in self._over

    @cached_property
    def _escrows(self) -> dict[Domain, Escrow]:
        """Asked of the chain at the first step: a start needs no node that answers."""
        return {one.domain: one for one in escrows_of(self._sender.chain, self._deployment)}

    def _escrow(self, agreement: Agreement) -> Escrow:
        return self._escrows[agreement.domain]

    def _owed_since(self, key: bytes, state: State) -> int:
        """Block in which an agreement's oldest debt was made: the vault's limit is first for who has waited longest."""
        settled = self.ledger.settled_legs(key).values() if state.owed else ()
        return min((one.block_number for one in settled if one.owed), default=BLOCK_MAX)

    def _advance(self, agreement: Agreement, state: State, now_s: int) -> None:
        """Take the agreement's next steps, if there are any, by the escrow's state."""
        escrow = self._escrow(agreement)
        reasons = list(self._take_steps(agreement, escrow, state, now_s))
        if reasons:
            self.waits[agreement.id] = "; ".join(dict.fromkeys(reasons))
        else:
            self.waits.pop(agreement.id, None)

    def _take_steps(self, agreement: Agreement, escrow: Escrow, state: State, now_s: int) -> Iterator[str]:
        """Why those that are refused now are."""
        if state.name == "none":
            yield from self._try(agreement, escrow, self._planner.open(agreement), now_s)
        is_late = state.name == "none" and now_s >= _opens_until_s(agreement)
        if is_late or state.name == CANCELLED:
            self._forget(agreement, escrow)
        if state.owed:
            yield from self._pay(agreement, escrow, state, now_s)
        if not state.is_open:
            return
        for index, is_concluded in enumerate(state.concluded):
            if not is_concluded:
                yield from self._advance_leg(agreement, escrow, index, now_s)

    def _forget(self, agreement: Agreement, escrow: Escrow) -> None:
        """Never asked again, once by a finalized block nobody can open it any more: cancelled, or a deadline passed."""
        block = self._sender.chain.final_block()
        if block is None:
            return
        try:
            final = escrow.state(agreement.id, len(agreement.terms.legs), FINALIZED)
        except ServiceError as exc:
            if exc.code not in ("chain_rpc", "chain_abi"):
                raise
            return  # a node without that state, or a contract that is newer: it is asked again
        is_late = final.name == "none" and block.time_s >= _opens_until_s(agreement)
        if is_late or final.name == CANCELLED:
            self._over.add(agreement.id)

    def _pay(self, agreement: Agreement, escrow: Escrow, state: State, now_s: int) -> Iterator[str]:
        """One payment of an escrow at a time: two on the same limit would both pass now, and one be refused then."""
        step = self._planner.pay(agreement, state)
        if not self._sender.has_unmined("pay", escrow.address):
            yield from self._try(agreement, escrow, step, now_s)
        elif self._sender.newest(f"{step.name} {agreement.id.hex()}") is None:
            yield "another payment of its escrow is on its way"

    def _advance_leg(self, agreement: Agreement, escrow: Escrow, index: int, now_s: int) -> Iterator[str]:
        try:
            plan = self._planner.leg(agreement, escrow, index, now_s)
        except LadingError as exc:
            if stops_all(exc):
                raise
            yield str(exc)
            return
        if plan.step is not None:
            yield from self._try(agreement, escrow, plan.step, now_s)

    def _try(self, agreement: Agreement, escrow: Escrow, step: Step, now_s: int) -> Iterator[str]:
        """Queue a call of the escrow; where it would be refused now, say by which name, and come again."""
        interface = escrow.contract.interface
        data = interface.encode_call(step.function, *step.arguments)
        try:
            self._sender.attempt(f"{step.name} {agreement.id.hex()}", escrow.address, data, step.tries_max)
        except RevertedError as exc:
            named = interface.named(exc)
            self._planner.note_refused(step, named, now_s)
            yield named.text
        except ServiceError as exc:
            if stops_all(exc):
                raise
            yield str(exc)

    def _write(self, ended: Iterable[Agreement]) -> list[Settlement]:
        """Write to the log what the chain has finally settled."""
        settled = [one for agreement in ended for one in self._settled(agreement)]
        self._log.append(topics.SETTLEMENTS, [(one.agreement, one.encode()) for one in settled])
        self.ledger.catch_up()
        return settled

    def _settled(self, agreement: Agreement) -> Iterator[Settlement]:
        """What the node cannot say of one agreement, such as the state of an old block, holds up no other."""
        try:
            yield from self._recorder.settlements(agreement, self._escrow(agreement))
        except LadingError as exc:
            if stops_all(exc) and exc.code != "chain_rpc":
                raise
            self.waits[agreement.id] = f"settled, and not written yet: {exc}"


def _opens_until_s(agreement: Agreement) -> int:
    """When it cannot be opened any more: an escrow wants each deadline ahead."""
    return min(leg.deadline_s for leg in agreement.terms.legs)
