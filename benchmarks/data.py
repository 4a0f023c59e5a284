"""Frames that the benchmarks are run on: one gateway a chain, a channel a run, readings a minute apart."""

import random
from dataclasses import dataclass

from lading.assignment import BEGIN, Assignment
from lading.cose import KeySigner
from lading.frame import NO_ANCHOR, OPEN, Frame, LegRef, Reading, make_run, seal
from lading.limits import ChannelLimits, Limits
from lading.names import tenant_id
from lading.totals import EMPTY, fold
from lading.tree import ZERO_HASH

BEGIN_MS = 1_700_000_000_000
STEP_MS = 60_000
LIMITS = Limits((ChannelLimits(1, 1, lower=2000, upper=8000, hold_ms=600_000, gap_max_ms=3_600_000),))


TENANT = "bench"
OPERATOR = KeySigner.from_seed(b"benchmark operator")
SALT = bytes(16)


@dataclass
class Chain:
    """A gateway, its key, the operator's order, and the frames it signed, oldest first."""

    signer: KeySigner
    order: Assignment
    frames: list[Frame]


def make_chain(gateway: int, frame_count: int, readings: int) -> Chain:
    """`frame_count` frames of `readings` readings of one temperature channel, inside its limits."""
    randomness = random.Random(gateway)
    signer = KeySigner.from_seed(b"benchmark %d" % gateway)
    order = Assignment(
        BEGIN,
        tenant_id(TENANT),
        signer.public.gateway_id,
        1,
        SALT,
        f"leg {gateway}",
        BEGIN_MS,
        BEGIN_MS,
        0,
        LIMITS,
    )
    leg = LegRef(OPEN, order.leg_id, LIMITS.hash)
    frames: list[Frame] = []
    totals, previous, value = EMPTY, ZERO_HASH, 5000
    for number in range(frame_count):
        taken = []
        for i in range(readings):
            value = min(max(value + randomness.randint(-150, 150), 2100), 7900)
            nth = number * readings + i
            taken.append(Reading(nth, BEGIN_MS + nth * STEP_MS + randomness.randrange(1000), value))
        totals = fold(totals, LIMITS.channels[0], taken)
        run = make_run(1, 1, taken[0].seq, randomness.randbytes(16), taken, totals)
        frames.append(seal(signer, leg, number, previous, taken[-1].time_ms, NO_ANCHOR, [run]))
        previous = frames[-1].header.hash
    return Chain(signer, order, frames)


def in_turns(chains: list[Chain]) -> list[Frame]:
    """All chains' frames, gateways taking turns as they arrive at a broker."""
    return [frame for turn in zip(*(chain.frames for chain in chains), strict=True) for frame in turn]


def wires(chains: list[Chain]) -> list[bytes]:
    """The wire bytes of `in_turns`."""
    return [frame.encode() for frame in in_turns(chains)]
