"""Covers as the settlement stage serves them: ended from final evidence or after their window, paid, and written down.

The same planner as for agreements: which frame counts, and when, is decided in one place. All that is known of a cover
is asked of chain and log at each step, so it does not matter where the last process died.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from contracts.covers import Cover
from contracts.insurance import CoverState, Insurance
from contracts.ledger import Ledger
from contracts.proofs import Evidence
from contracts.records import Recorder
from contracts.steps import LegPlan, Planner, Step, stops_all
from lading import topics
from lading.batchlog import TenantOf
from lading.chain import RevertedError
from lading.deployment import Deployment
from lading.errors import LadingError
from lading.log import Log
from lading.payout import Payout
from lading.sending import Sender

BLOCK_MAX = 2**64
Covers = Callable[[], Mapping[bytes, Cover]]


class CoverPlanner(Planner):
    """Steps of covers: calls that name a policy and no leg."""

    def _step(self, claim: Any, index: int, name: str) -> Step:
        return Step(name, name.split()[0], (claim.terms.argument(),))

    def next_step(self, cover: Cover, insurance: Insurance, state: CoverState, now_s: int) -> LegPlan:
        """What a cover waits for, or may be called for now."""
        if state.owed:
            return LegPlan(Step(f"pay {state.owed}", "pay", (cover.terms.argument(),)))
        if state.name != "open":
            return LegPlan(None, state.name)
        return self.leg(cover, insurance, 0, now_s)


class Covering:
    """Attempts the steps of covers by the stage's sender, which Settling drives."""

    def __init__(
        self,
        log: Log,
        deployment: Deployment,
        sender: Sender,
        ledger: Ledger,
        tenant_of: TenantOf,
        covers: Covers,
    ) -> None:
        self.waits: dict[bytes, str] = {}  # cover → why the chain does not take its next step yet
        evidence = Evidence(log, ledger, tenant_of)
        self._log = log
        self._ledger = ledger
        self._recorder = Recorder(sender, deployment, ledger, evidence)
        self._insurance = Insurance(sender.chain, deployment)
        self._planner = CoverPlanner(sender.chain, deployment.anchors, ledger, evidence, sender.has)
        self._sender = sender
        self._covers = covers
        self._over: set[bytes] = set()

    def step(self, now_ms: int) -> list[Payout]:
        """Queue what is due; the ends of covers that were written to the log."""
        self._ledger.catch_up()
        live = [one for key, one in self._covers().items() if key not in self._over]
        live.sort(key=self._ended_in)
        written = [found for one in live for found in self._advance(one, now_ms // 1000)]
        self._log.append(topics.SETTLEMENTS, [(one.cover, one.encode()) for one in written])
        return written

    def _ended_in(self, cover: Cover) -> int:
        """Block of its end, or none yet: what has been owed for longest is paid first."""
        ended = self._ledger.payout(cover.id)
        return BLOCK_MAX if ended is None else ended.block_number

    def _advance(self, cover: Cover, now_s: int) -> Iterator[Payout]:
        """Take the cover's next step, if there is one; its end, once that is final and not written yet."""
        state = self._insurance.state(cover.id)
        is_written = state.name != "settled" or self._ledger.payout(cover.id) is not None
        if is_written and self._is_over(cover, state, now_s):
            self._over.add(cover.id)
        self._take_step(cover, state, now_s)
        if not is_written:
            yield from self._ended(cover)

    def _ended(self, cover: Cover) -> Iterator[Payout]:
        """What the node cannot say of one cover, such as the state of an old block, holds up no other."""
        try:
            found = self._recorder.payout(cover, self._insurance)
        except LadingError as exc:
            if stops_all(exc) and exc.code != "chain_rpc":
                raise
            self.waits[cover.id] = f"ended, and not written yet: {exc}"
        else:
            yield from () if found is None else (found,)

    def _take_step(self, cover: Cover, state: CoverState, now_s: int) -> None:
        try:
            plan = self._planner.next_step(cover, self._insurance, state, now_s)
            self.waits.pop(cover.id, None)
            if plan.step is not None:
                self._try(cover, plan.step, now_s)
        except LadingError as exc:
            if stops_all(exc):
                raise
            self.waits[cover.id] = exc.text if isinstance(exc, RevertedError) else str(exc)
        if state.name == "none" and now_s > cover.terms.quote_until_s:
            self.waits.pop(cover.id, None)  # never bought

    def _is_over(self, cover: Cover, state: CoverState, now_s: int) -> bool:
        """Whether it asks for nothing any more, ever: ended and paid, taken back, or not bought in time, finally."""
        if not _is_done(cover, state, now_s):
            return False
        block, final = self._insurance.chain.final_block(), self._insurance.final_state(cover.id)
        return block is not None and final is not None and _is_done(cover, final, block.time_s)

    def _try(self, cover: Cover, step: Step, now_s: int) -> None:
        interface, target = self._insurance.contract.interface, self._insurance.address
        if step.function == "pay" and self._sender.has_unmined("pay", target):
            return  # one at a time: two on the same limit would both pass now, and one be refused then
        data = interface.encode_call(step.function, *step.arguments)
        try:
            self._sender.attempt(f"{step.name} {cover.id.hex()}", target, data, step.tries_max)
        except RevertedError as exc:
            named = interface.named(exc)
            self._planner.note_refused(step, named, now_s)
            raise named from exc


def _is_done(cover: Cover, state: CoverState, now_s: int) -> bool:
    if state.name == "none":
        return now_s > cover.terms.quote_until_s
    return state.name != "open" and not state.owed
