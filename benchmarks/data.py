"""Frames that the benchmarks are run on: one gateway a chain, a channel a run, readings a minute apart."""

import random
from dataclasses import dataclass

from lading.cose import KeySigner
from lading.frame import NO_ANCHOR, OPEN, Frame, LegRef, Reading, make_run, seal
from lading.limits import ChannelLimits, Limits
from lading.totals import EMPTY, Totals, fold
from lading.tree import ZERO_HASH

BEGIN_MS = 1_700_000_000_000
STEP_MS = 60_000
LIMITS = Limits((ChannelLimits(1, 1, lower=2000, upper=8000, hold_ms=600_000, gap_max_ms=3_600_000),))


@dataclass
class Chain:
    """A gateway, its key, and the frames it signed, oldest first."""

    signer: KeySigner
    leg: LegRef
    frames: list[Frame]


def make_chain(gateway: int, frame_count: int, readings: int) -> Chain:
    """`frame_count` frames of `readings` readings of one temperature channel, inside its limits."""
    randomness = random.Random(gateway)
    signer = KeySigner.from_seed(b"benchmark %d" % gateway)
    leg = LegRef(OPEN, randomness.randbytes(32), LIMITS.hash)
    frames: list[Frame] = []
    totals, previous, value = EMPTY, ZERO_HASH, 5000
    for number in range(frame_count):
        taken = []
        for i in range(readings):
            value = min(max(value + randomness.randint(-150, 150), 2100), 7900)
            nth = number * readings + i
            taken.append(Reading(nth, BEGIN_MS + nth * STEP_MS + randomness.randrange(1000), value))
        totals = fold(totals, LIMITS.channels[0], taken)
        frames.append(_seal(signer, leg, number, previous, taken, totals, randomness.randbytes(16)))
        previous = frames[-1].header.hash
    return Chain(signer, leg, frames)


def _seal(
    signer: KeySigner,
    leg: LegRef,
    number: int,
    previous: bytes,
    readings: list[Reading],
    totals: Totals,
    salt: bytes,
) -> Frame:
    run = make_run(1, 1, readings[0].seq, salt, readings, totals)
    return seal(signer, leg, number, previous, readings[-1].time_ms, NO_ANCHOR, [run])


def wires(chains: list[Chain]) -> list[bytes]:
    """The wire bytes of all chains' frames, gateways taking turns as they arrive at a broker."""
    turns = zip(*(chain.frames for chain in chains), strict=True)
    return [frame.encode() for turn in turns for frame in turn]
