"""What an agreement's escrow may be called for next, by the chain's own state and evidence from final anchors alone.

Which frame counts is the verdict's: the last one of its horizon, and before that is final, the newest that is.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import structlog

from contracts.agreements import Agreement
from contracts.escrows import Shown, State
from contracts.ledger import Ledger
from contracts.proofs import Evidence, JudgedBy, anchor_argument
from contracts.typed_data import terms_argument, version_of
from lading import abi
from lading.batch import AnchorRecord, BatchRecord
from lading.chain import FINALIZED, LATEST, Chain, RevertedError
from lading.errors import LadingError, ServiceError
from lading.frame import CLOSED
from lading.rules.words import duration
from lading.sending import TRIES_MAX
from lading.terms import Leg
from lading.verdict import Verdict

# Failures that stop one leg, not the others.
OF_ONE_LEG = {"send_refused", "batch_log", "log_hole", "gateway_unknown", "calibration"}
PAY_TRIES_MAX = 1_000  # what is owed stays owed: others may use up the vault's limit in the same block
LAST_CALL_PART = 8  # of the window: its last eighth, in which no better evidence is waited for any more
# The chain's refusals of one frame, whatever else is shown of its leg.
OF_ONE_FRAME = {
    "FrameAhead",
    "FrameLimits",
    "FrameSignature",
    "FrameTenant",
    "GatewayNotValid",
    "GatewayUnknown",
    "RunMissing",
}
FRAME_AGAIN_S = 3_600  # a frame that was refused is tried again: its gateway may have been registered since
_log = structlog.get_logger()


class LegsTerms(JudgedBy, Protocol):
    """Terms, as far as they decide when and how a leg is judged."""

    @property
    def uncertainty_max_milli(self) -> int:
        """The greatest uncertainty that a certificate may state; 0: none are asked for."""

    @property
    def window_s(self) -> int:
        """Seconds after the deadline in which evidence may be shown."""

    @property
    def legs(self) -> tuple[Leg, ...]:
        """The legs, by index."""


class Claim(Protocol):
    """An agreement, or a cover: terms under an id."""

    @property
    def id(self) -> bytes:
        """As the chain knows it."""

    @property
    def terms(self) -> LegsTerms:
        """What is judged, and when."""


class Judge(Protocol):
    """The contract that concludes claims."""

    def shown(self, claim_id: bytes, index: int, /) -> Shown | None:
        """The newest frame shown of a leg."""

    def is_shown_since(self, claim_id: bytes, leg_id: bytes, first: int, /) -> bool:
        """Whether a frame of a leg was shown in block `first` or after it."""


@dataclass(frozen=True, slots=True)
class Step:
    """A call of the escrow. `name` tells it from every other of the same agreement; `frame_hash`: what it shows."""

    name: str
    function: str
    arguments: tuple[Any, ...]
    frame_hash: bytes | None = None

    @property
    def tries_max(self) -> int:
        """How often it may be mined and refused."""
        return PAY_TRIES_MAX if self.function == "pay" else TRIES_MAX


class LegPlan(NamedTuple):
    """A leg's next step, or why there is none yet."""

    step: Step | None
    why: str = ""


class _Refused(NamedTuple):
    """A frame that the chain does not take: not tried again before."""

    until_s: int
    why: str


class _LastCall(NamedTuple):
    """A frame that was shown in the window's last part, and the seconds that were left then."""

    seq: int
    left_s: int


class _Found(NamedTuple):
    """A frame in a final interval."""

    frame_hash: bytes
    seq: int
    batch: BatchRecord
    anchor: AnchorRecord


def stops_all(exc: LadingError) -> bool:
    """Whether it is the log, the store or the chain that failed, not one leg's evidence."""
    return isinstance(exc, ServiceError) and exc.code not in OF_ONE_LEG


class Planner:
    """Derives steps; it sends nothing and keeps but the registry's window, refusals, and what was shown late."""

    def __init__(
        self,
        chain: Chain,
        anchors: bytes,
        ledger: Ledger,
        evidence: Evidence,
        has: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """`has`: whether a step, by its purpose, was sent already: its proof is not built again."""
        self._has = has
        self._chain = chain
        self._anchors = abi.at(chain, "AnchorRegistry", anchors)
        self._ledger = ledger
        self._evidence = evidence
        self._window_s: int | None = None
        self._refused: dict[bytes, _Refused] = {}
        self._last_calls: dict[tuple[bytes, int], _LastCall] = {}

    def open(self, agreement: Agreement) -> Step:
        """The step that begins the agreement."""
        signatures = (agreement.carrier_signature, agreement.shipper_signature)
        return Step("open", "open", (terms_argument(agreement.terms), *signatures))

    def pay(self, agreement: Agreement, state: State) -> Step:
        """The step that pays what waits for the vault's outflow limit to recover.

        What is owed may come to the same amount again, but only by a further leg's penalty.
        """
        name = "pay" if version_of(agreement.terms) == 1 else f"pay {state.penalty} {state.owed}"
        return Step(name, "pay", (terms_argument(agreement.terms),))

    def note_refused(self, step: Step, exc: RevertedError, now_s: int) -> bool:
        """Pass a frame over for a while if the chain's refusal, by its name, is of the frame itself: whether it is."""
        if step.frame_hash is None or exc.code not in OF_ONE_FRAME:
            return False
        _log.warning("frame_refused", frame=step.frame_hash.hex(), reason=exc.text)
        self._refused = {key: one for key, one in self._refused.items() if one.until_s > now_s}
        self._refused[step.frame_hash] = _Refused(now_s + FRAME_AGAIN_S, exc.text)
        return True

    def leg(self, agreement: Claim, escrow: Judge, index: int, now_s: int) -> LegPlan:
        """Settle from the closing frame; after the deadline show the newest; after the window finish."""
        leg = agreement.terms.legs[index]
        end_s = leg.deadline_s + agreement.terms.window_s
        if now_s >= end_s:
            return self._finish(agreement, escrow, index)
        verdict = self._ledger.verdict(leg.leg_id, leg.gateway_id, leg.limits_hash)
        if verdict is None:
            return LegPlan(None, "no frame of it is judged yet")
        if not verdict.final and now_s < leg.deadline_s:
            return LegPlan(None, f"its verdict is not final: {verdict.state}")
        closing = self._closing(agreement, verdict, now_s)
        if closing is not None:
            return self._shown(agreement, index, "settle", closing)
        if now_s < leg.deadline_s:
            why = "its closing frame is not final yet" if verdict.state == "closed" else "not closed yet"
            return LegPlan(None, self._refusal(verdict.horizon.last_frame_hash, now_s) or why)
        return self._show(agreement, escrow, index, verdict, now_s)

    def _finish(self, agreement: Claim, escrow: Judge, index: int) -> LegPlan:
        """It pays by what was shown: not before that is final, for on another branch it would pay without it."""
        self._last_calls.pop((agreement.id, index), None)
        first = self._chain.height(FINALIZED) + 1
        if escrow.is_shown_since(agreement.id, agreement.terms.legs[index].leg_id, first):
            return LegPlan(None, "the frame that was shown is not final yet")
        return LegPlan(self._step(agreement, index, "finish"))

    def _closing(self, agreement: Claim, verdict: Verdict, now_s: int) -> _Found | None:
        """The closing frame, where the verdict ends with it and its interval is final."""
        horizon = verdict.horizon
        frame = self._ledger.frame(horizon.last_frame_hash)
        if frame is None or frame.leg_state != CLOSED or self._refusal(horizon.last_frame_hash, now_s):
            return None
        found = self._anchored(agreement, horizon.last_frame_hash, horizon.last_frame_seq)
        return found if found is not None and self._is_final(found.anchor, now_s) else None

    def _show(self, agreement: Claim, escrow: Judge, index: int, verdict: Verdict, now_s: int) -> LegPlan:
        """The newest open frame that is final, if it is newer than what was shown.

        Once something was shown, another is only when no newer frame can become final before the window ends.
        """
        shown = escrow.shown(agreement.id, index)
        shown_seq = -1 if shown is None else shown.frame_seq
        leg, window_s = agreement.terms.legs[index], agreement.terms.window_s
        end_s = leg.deadline_s + window_s
        found, may_come = self._newest_open(agreement, verdict, shown_seq, now_s, end_s)
        is_waited_for = found is not None and shown is not None and may_come
        if is_waited_for and found is not None:
            is_waited_for = not self._is_last_call((agreement.id, index), found, end_s - now_s, window_s)
        if found is None or is_waited_for:
            left = duration(max(end_s - now_s, 0) * 1000)
            what = "nothing" if shown is None else f"frame {shown.frame_seq}"
            return LegPlan(None, f"{what} was shown; better evidence may come for {left}")
        return self._shown(agreement, index, f"show {found.seq}", found)

    def _is_last_call(self, leg: tuple[bytes, int], found: _Found, left_s: int, window_s: int) -> bool:
        """In the window's last part a newer frame is shown at once, and then each time that half of the rest is over.

        So a gateway that goes on sending costs a handful of transactions, not one a frame.
        """
        if left_s > window_s // LAST_CALL_PART:
            return False
        last = self._last_calls.get(leg)
        if last is not None and last.seq != found.seq and 2 * left_s > last.left_s:
            return False
        if last is None or last.seq != found.seq:
            self._last_calls[leg] = _LastCall(found.seq, left_s)
        return True

    def _newest_open(
        self, agreement: Claim, verdict: Verdict, shown_seq: int, now_s: int, end_s: int
    ) -> tuple[_Found | None, bool]:
        """The newest open frame in a final interval; whether a newer one can still be final in time."""
        may_come, finals = False, dict[int, bool]()
        for seq, frame_hash in self._ledger.leg_frames(verdict):
            if seq <= shown_seq:
                break
            frame = self._ledger.frame(frame_hash)
            if frame is None or frame.leg_state == CLOSED or self._refusal(frame_hash, now_s):
                continue
            found = self._anchored(agreement, frame_hash, seq)
            if found is None:
                may_come = may_come or now_s + self._window() < end_s
                continue
            interval = found.anchor.interval
            if interval not in finals:
                finals[interval] = self._is_final(found.anchor, now_s)
            if finals[interval]:
                return found, may_come
            may_come = may_come or found.anchor.block_time_ms // 1000 + self._window() < end_s
        return None, may_come

    def _refusal(self, frame_hash: bytes, now_s: int) -> str:
        """Why the chain refused a frame a while ago; empty where it did not."""
        refused = self._refused.get(frame_hash)
        return "" if refused is None or refused.until_s <= now_s else refused.why

    def _anchored(self, agreement: Claim, frame_hash: bytes, seq: int) -> _Found | None:
        found = self._evidence.anchored(agreement.terms, frame_hash)
        return None if found is None else _Found(frame_hash, seq, *found)

    def _shown(self, agreement: Claim, index: int, name: str, found: _Found) -> LegPlan:
        step = self._step(agreement, index, name)
        if self._has(f"{step.name} {agreement.id.hex()}"):
            return LegPlan(None, f"`{step.function}` is on its way")
        proof = self._evidence.frame_proof(agreement.terms, found.frame_hash, found.batch, found.anchor)
        arguments = (*step.arguments, proof)
        return LegPlan(replace(step, arguments=arguments, frame_hash=found.frame_hash))

    def _is_final(self, anchor: AnchorRecord, now_s: int) -> bool:
        """What the registry says at the finalized block: not what a reorganisation could still take back.

        False while the window runs, and while the interval is contested or of another fork.
        """
        argument = anchor_argument(anchor)
        final = self._chain.final_block()
        end_s = argument[2] + self._window()
        if final is None or now_s < end_s or anchor.block_number > final.number:
            return False
        try:
            return self._says_final(anchor, FINALIZED)
        except ServiceError as exc:
            if exc.code != "chain_rpc":
                raise
        # A full node has no state so old. By the finalized block's time nobody can contest the interval any more, so
        # the newest state says the same, but for the guardian's own word on a contest.
        return final.time_s >= end_s and self._says_final(anchor, LATEST)

    def _says_final(self, anchor: AnchorRecord, tag: str) -> bool:
        try:
            said: bool = self._anchors.call("isFinal", anchor.interval, anchor_argument(anchor), tag=tag)
        except RevertedError:
            return False
        return said

    def _window(self) -> int:
        if self._window_s is None:
            self._window_s = int(self._anchors.call("windowS"))
        return self._window_s

    def _step(self, claim: Any, index: int, name: str) -> Step:
        """A call about one leg: the first escrow knows no other and is given no index."""
        function, *rest = name.split()
        terms = terms_argument(claim.terms)
        if version_of(claim.terms) == 1:
            return Step(name, function, (terms,))
        return Step(" ".join([function, str(index), *rest]), function, (terms, index))
