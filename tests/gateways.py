"""A gateway with two channels for tests: keys, orders, limits, and the checks every chain of frames must pass."""

from collections import defaultdict
from pathlib import Path

from edge.gateway import Gateway
from edge.outbox import Outbox
from lading.assignment import BEGIN, END, Assignment, sign_assignment
from lading.cose import KeySigner
from lading.decoding import decode_frame
from lading.frame import IDLE, Frame
from lading.limits import ChannelLimits, Limits
from lading.names import tenant_id
from lading.quantities import Quantity
from lading.totals import EMPTY, Reading, fold
from lading.tree import ZERO_HASH

OPERATOR = KeySigner.from_seed(b"operator")
KEY = KeySigner.from_seed(b"gateway")
TENANT = "demo"
CHANNELS = {1: Quantity.TEMPERATURE, 2: Quantity.DOOR}
LIMITS = Limits(
    (
        ChannelLimits(1, Quantity.TEMPERATURE, lower=2_000, upper=8_000, hold_ms=120_000),
        ChannelLimits(2, Quantity.DOOR, upper=500, hold_ms=120_000),
    )
)
T0_MS = 1_750_032_000_000


def order(
    seq: int = 1,
    action: int = BEGIN,
    *,
    reference: str = "leg-1",
    limits: Limits = LIMITS,
    signer: KeySigner = OPERATOR,
    tenant: str = TENANT,
    gateway: bytes = KEY.public.gateway_id,
    issued_ms: int = T0_MS,
) -> bytes:
    """A signed order."""
    assignment = Assignment(
        action,
        tenant_id(tenant),
        gateway,
        seq,
        bytes(16),
        reference,
        issued_ms,
        T0_MS,
        0,
        limits if action == BEGIN else None,
    )
    return sign_assignment(assignment, signer)


def end_order(seq: int, reference: str = "leg-1") -> bytes:
    """The order that ends a leg."""
    return order(seq, END, reference=reference)


def open_gateway(folder: Path, *, clock_floor_ms: int = 0, bytes_max: int = 2**28) -> Gateway:
    """The gateway over the outbox in `folder`, as a new process would open it."""
    salts = iter(range(10**9))
    return Gateway(
        Outbox(folder / "outbox.sqlite", KEY.public.gateway_id),
        KEY,
        OPERATOR.public,
        TENANT,
        CHANNELS,
        salts=lambda _: next(salts).to_bytes(16, "big"),
        clock_floor_ms=clock_floor_ms,
        bytes_max=bytes_max,
    )


def waiting_frames(gateway: Gateway) -> list[Frame]:
    """All frames in the outbox, decoded strictly."""
    return [decode_frame(data) for _, data in gateway.outbox.frames_after(-1, 10**6)]


def check_chain(frames: list[Frame], limits: Limits = LIMITS) -> dict[int, list[Reading]]:
    """Signed, chained from frame 0, totals refolded, no reading missing or twice; the readings by channel."""
    previous = ZERO_HASH
    readings: dict[int, list[Reading]] = defaultdict(list)
    totals = dict.fromkeys(limits.by_channel, EMPTY)
    leg = b""
    for seq, frame in enumerate(frames):
        assert (frame.header.frame_seq, frame.header.previous_hash) == (seq, previous)
        KEY.public.verify(frame.header.signed, frame.signature)
        previous = frame.header.hash
        if frame.header.leg_id != leg:
            leg, totals = frame.header.leg_id, dict.fromkeys(limits.by_channel, EMPTY)
        for run in frame.runs:
            channel = run.record.channel
            assert run.record.first_seq == len(readings[channel])
            readings[channel] += run.readings
            if frame.header.leg_state != IDLE:
                totals[channel] = fold(totals[channel], limits.channel(channel), run.readings)
                assert run.record.totals == totals[channel]
    for run_readings in readings.values():
        assert [reading.seq for reading in run_readings] == list(range(len(run_readings)))
        times = [reading.time_ms for reading in run_readings]
        assert times == sorted(set(times))
    return readings
