"""A small leg with everything around it: other frames in its batches, another tenant in its intervals, an agreement."""

from dataclasses import dataclass, field, replace

from lading.assignment import BEGIN, END, Assignment, sign_assignment
from lading.batch import AnchorRecord, BatchLeaf, location
from lading.clone import Clone
from lading.cose import KeySigner
from lading.evidence import BatchProof, Evidence, FrameProof
from lading.frame import (
    CLOSED,
    IDLE,
    NO_ANCHOR,
    NO_LEG,
    OPEN,
    AnchorSeen,
    Frame,
    LegRef,
    Reading,
    Run,
    make_run,
    seal,
)
from lading.limits import ChannelLimits, Limits
from lading.names import tenant_id
from lading.rules import judge
from lading.totals import EMPTY, Totals, fold
from lading.tree import ZERO_HASH, proof, root, sha256

START_MS = 1_767_225_600_000
MINUTE_MS = 60_000
TENANT = "demo"
GATEWAY, OTHER_GATEWAY = KeySigner.from_seed(b"gateway"), KeySigner.from_seed(b"other gateway")
OPERATOR, THIEF = KeySigner.from_seed(b"operator"), KeySigner.from_seed(b"thief")
REGISTRY = bytes(range(20))
LIMITS = Limits(
    (
        ChannelLimits(1, 1, lower=2000, upper=8000, above_stretch_max_ms=30 * MINUTE_MS, mkt_max=8000),
        ChannelLimits(3, 3, upper=500, above_stretch_max_ms=30 * MINUTE_MS),
    )
)
STEP_MS = 5 * MINUTE_MS
FRAME_READINGS = 6
LEG_FRAMES = 4


@dataclass
class World:
    """What the gateway signed, in order: frame 0 is idle, frames 1 to 4 are the leg's."""

    begin: Assignment
    frames: list[Frame] = field(default_factory=list)
    clones: list[Clone] = field(default_factory=list)

    @property
    def leg(self) -> list[Frame]:
        """The leg's frames."""
        return self.frames[1:]


def make_world(*, warm: bool = True, clone: bool = False) -> World:
    """`warm`: the leg has an excursion of 50 minutes."""
    begin = Assignment(
        BEGIN, tenant_id(TENANT), GATEWAY.public.gateway_id, 1, bytes(range(16)), "SHIPMENT-1", START_MS, START_MS,
        START_MS + 86_400_000, LIMITS,
    )  # fmt: skip
    world = World(begin)
    world.frames.append(seal(GATEWAY, NO_LEG, 0, ZERO_HASH, START_MS, NO_ANCHOR, []))
    states = {channel.channel: EMPTY for channel in LIMITS.channels}
    for number in range(LEG_FRAMES):
        world.frames.append(_leg_frame(world, states, number, warm))
    if clone:
        real = world.frames[-1]
        header = real.header
        leg, seen = (
            LegRef(header.leg_state, header.leg_id, header.limits_hash),
            AnchorSeen(header.anchor_interval, header.anchor_block_hash),
        )
        false = seal(
            GATEWAY, leg, header.frame_seq, header.previous_hash, header.sent_ms + 1, seen, real.runs
        )
        world.clones.append(Clone.of(real.envelope, false.envelope))
    return world


def _leg_frame(world: World, states: dict[int, Totals], number: int, warm: bool) -> Frame:
    runs = [_run(channel, states, number, warm) for channel in LIMITS.channels]
    state = CLOSED if number == LEG_FRAMES - 1 else OPEN
    sent_ms = START_MS + ((number + 1) * FRAME_READINGS - 1) * STEP_MS + 1000
    seen = AnchorSeen(1, block_hash(1)) if number == LEG_FRAMES - 1 else NO_ANCHOR
    leg = LegRef(state, world.begin.leg_id, LIMITS.hash)
    return seal(GATEWAY, leg, number + 1, world.frames[-1].header.hash, sent_ms, seen, runs)


def _run(channel: ChannelLimits, states: dict[int, Totals], number: int, warm: bool) -> Run:
    first = number * FRAME_READINGS
    readings = [
        Reading(100 + i, START_MS + i * STEP_MS, _value(channel.channel, i, warm), 1 if i == 8 else 0)
        for i in range(first, first + FRAME_READINGS)
    ]
    states[channel.channel] = fold(states[channel.channel], channel, readings)
    salt = sha256(b"salt %d %d" % (channel.channel, number))[:16]
    return make_run(
        channel.channel, channel.quantity, readings[0].seq, salt, readings, states[channel.channel]
    )


def _value(channel: int, i: int, warm: bool) -> int:
    if channel == 3:
        return 0
    return 9000 + 10 * i if warm and 6 <= i < 16 else 5000 + 100 * (i % 7)


def block_hash(interval: int) -> bytes:
    """A made-up block hash."""
    return sha256(b"block %d" % interval)


@dataclass(frozen=True)
class Interval:
    """An anchored interval: its batch of TENANT, the frames in it, and the anchor."""

    leaf: BatchLeaf
    frames: list[Frame]
    index: int
    count: int
    siblings: tuple[bytes, ...]
    anchor: AnchorRecord


def anchored(world: World) -> list[Interval]:
    """Three intervals: frames 0-1, 2-3 and 4, other gateways' frames around them, another tenant beside."""
    intervals: list[Interval] = []
    previous = ZERO_HASH
    for number, (first, last) in enumerate([(0, 2), (2, 4), (4, 5)], 1):
        noise = [
            seal(OTHER_GATEWAY, NO_LEG, 0, ZERO_HASH, START_MS + i, NO_ANCHOR, []) for i in range(number)
        ]
        frames = [*noise, *world.frames[first:last]]
        intervals.append(_interval(number, frames, previous))
        previous = intervals[-1].leaf.hash
    return intervals


def _interval(number: int, frames: list[Frame], previous: bytes) -> Interval:
    top = root([frame.header.hash for frame in frames])
    sent = [frame.header.sent_ms for frame in frames]
    place = sha256(location(TENANT, number).encode())
    leaf = BatchLeaf(tenant_id(TENANT), number, top, len(frames), min(sent), max(sent), previous, place)
    beside = replace(
        leaf, tenant=tenant_id("north"), location_hash=sha256(location("north", number).encode())
    )
    leaves = sorted((leaf, beside), key=lambda one: one.tenant)
    hashes = [one.hash for one in leaves]
    index = leaves.index(leaf)
    anchor = AnchorRecord(
        number, root(hashes), 2, 31337, REGISTRY, sha256(b"tx %d" % number), 100 + number, block_hash(number),
        (max(sent) // 1000 + 600) * 1000, 52_000, "finalized",
    )  # fmt: skip
    return Interval(leaf, frames, index, 2, tuple(proof(hashes, index)), anchor)


def evidence_of(world: World, **changes: object) -> Evidence:
    """The honest file; `changes` replace its fields."""
    intervals = anchored(world)
    proofs = []
    for batch, interval in enumerate(intervals):
        hashes = [frame.header.hash for frame in interval.frames]
        proofs += [
            FrameProof(frame, batch, at, tuple(proof(hashes, at)))
            for at, frame in enumerate(interval.frames)
            if frame.header.leg_state != IDLE
        ]
    end = replace(world.begin, action=END, order_seq=2, limits=None)
    honest = Evidence(
        TENANT,
        GATEWAY.public,
        OPERATOR.public,
        sign_assignment(world.begin, OPERATOR),
        sign_assignment(end, OPERATOR),
        START_MS + 86_400_000,
        tuple(proofs),
        tuple(BatchProof(one.leaf, i, one.index, one.count, one.siblings) for i, one in enumerate(intervals)),
        tuple(one.anchor for one in intervals),
        judge(world.begin, world.leg, world.clones, final=True),
        tuple(world.clones),
        (),
    )
    return replace(honest, **changes)  # type: ignore[arg-type]
