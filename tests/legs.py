"""Legs made for tests: readings by channel, cut into signed frames wherever a test likes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lading.assignment import BEGIN, Assignment, sign_assignment
from lading.clone import Clone
from lading.cose import KeySigner
from lading.frame import CLOSED, NO_ANCHOR, OPEN, Frame, LegRef, make_run, seal
from lading.limits import Limits
from lading.names import tenant_id
from lading.totals import EMPTY, Reading, fold
from lading.tree import ZERO_HASH

TENANT = "demo"
OPERATOR = KeySigner.from_seed(b"operator")
GATEWAY = KeySigner.from_seed(b"gateway")
SALT = bytes(16)

Readings = Mapping[int, Sequence[Reading]]


@dataclass(frozen=True)
class Leg:
    """A begin order and the frames of the leg, in frame_seq order."""

    begin: Assignment
    frames: tuple[Frame, ...]

    @property
    def order(self) -> bytes:
        """The order as the operator sends it."""
        return sign_assignment(self.begin, OPERATOR)


def make_order(
    limits: Limits, *, reference: str = "leg-1", due_ms: int = 0, gateway: KeySigner = GATEWAY
) -> Assignment:
    """The operator's order to begin a leg."""
    return Assignment(
        BEGIN, tenant_id(TENANT), gateway.public.gateway_id, 1, SALT, reference, 1, 1, due_ms, limits
    )


def make_leg(
    begin: Assignment,
    readings: Readings,
    cuts_ms: Sequence[int],
    end_ms: int,
    *,
    closed: bool = True,
    first_frame_seq: int = 0,
    gateway: KeySigner = GATEWAY,
) -> Leg:
    """A frame with what came up to each time in `cuts_ms`, and one at `end_ms` with the rest, perhaps closing."""
    assert begin.limits is not None
    totals = dict.fromkeys(begin.limits.by_channel, EMPTY)
    previous = ZERO_HASH if first_frame_seq == 0 else bytes([1]) * 32
    frames: list[Frame] = []
    times = [*sorted(cuts_ms), end_ms]
    for number, until_ms in enumerate(times):
        last = number == len(times) - 1
        runs = []
        for limits in begin.limits.channels:
            channel = limits.channel
            own = readings[channel]
            done = totals[channel].count
            now = [r for r in own[done:] if last or r.time_ms <= until_ms]
            totals[channel] = fold(totals[channel], limits, now)
            next_seq = (own[0].seq if own else 0) + done
            runs.append(make_run(channel, limits.quantity, next_seq, SALT, now, totals[channel]))
        state = CLOSED if last and closed else OPEN
        leg = LegRef(state, begin.leg_id, begin.limits.hash)
        frames.append(seal(gateway, leg, first_frame_seq + number, previous, until_ms, NO_ANCHOR, runs))
        previous = frames[-1].header.hash
    return Leg(begin, tuple(frames))


def fork_of(frame: Frame, *, gateway: KeySigner = GATEWAY) -> Clone:
    """The proof that the key signed another frame in this one's place, a millisecond later."""
    header = frame.header
    leg = LegRef(header.leg_state, header.leg_id, header.limits_hash)
    place = (header.frame_seq, header.previous_hash, header.sent_ms + 1)
    other = seal(gateway, leg, *place, NO_ANCHOR, frame.runs)
    return Clone.of(frame.envelope, other.envelope)
