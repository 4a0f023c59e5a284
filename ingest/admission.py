"""Whether a frame is taken: pure, from the frame and what is known of its gateway's past.

`Screening` (ingest.screening) checks many frames' bytes and signatures at once; `Ingest` (ingest.stage) looks the
past up, and acts on what `decide` says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from lading.cose import sig_structure
from lading.decoding import decode_frame
from lading.errors import MalformedError, RejectedError
from lading.fast import Head
from lading.frame import (
    CLOSED,
    FRAME_BYTES_MAX,
    HEADER_BYTES,
    IDLE,
    OPEN,
    RECORD_BYTES,
    Frame,
    Header,
    Run,
    RunRecord,
)
from lading.gateways import GatewayEntry
from lading.limits import ChannelLimits, Limits
from lading.totals import EMPTY, Totals, fold
from lading.tree import leaf_hash

HEADER_AT = 10
ENVELOPE_AT, ENVELOPE_BYTES = 1, 7 + 2 + HEADER_BYTES + 2 + 64
_BEGIN = bytes.fromhex("82d28443a10126a058dd")


class Action(Enum):
    """What becomes of a frame."""

    TAKE = "taken"
    WAIT = "waiting"
    DROP = "dropped"
    REFUSE = "refused"


@dataclass(frozen=True, slots=True)
class Decision:
    """With the code that labels log line, metric and dead letter."""

    action: Action
    code: str = ""
    reason: str = ""


class Peeked(NamedTuple):
    """What a frame's head says before anything is checked."""

    gateway: bytes
    frame_seq: int
    hash: bytes
    header: bytes

    @property
    def previous_hash(self) -> bytes:
        """The frame hash it follows."""
        return self.header[107:139]

    @property
    def sent_ms(self) -> int:
        """When it was signed, by the gateway's clock."""
        return int.from_bytes(self.header[139:147])

    @property
    def leg_state(self) -> int:
        """Idle, open or closed."""
        return self.header[34]

    @property
    def leg_id(self) -> bytes:
        """The leg it is of."""
        return self.header[35:67]

    @property
    def limits_hash(self) -> bytes:
        """The limits it was signed under."""
        return self.header[67:99]


class Past(NamedTuple):
    """What is known around a frame. `taken`, `rival` and the rest are frame hashes."""

    taken: bytes | None  # of the frame that the log has under this number
    rival: bytes | None  # of another one that waits under it
    before: bytes | None  # of the frame that the log has before it
    next_names: bytes | None  # previous_hash of the frame that the log has after it
    leg_limits: bytes | None  # hash of the limits that the operator ordered for its leg


def peek(data: bytes) -> Peeked | None:
    """Gateway, number and hash of what may be a frame; None when it does not begin like one."""
    if len(data) <= ENVELOPE_AT + ENVELOPE_BYTES or not data.startswith(_BEGIN):
        return None
    header = data[HEADER_AT : HEADER_AT + HEADER_BYTES]
    return Peeked(
        header[2:34], int.from_bytes(header[99:107], "big"), leaf_hash(sig_structure(header)), header
    )


def open_head(data: bytes) -> Peeked:
    """The frame's head; MalformedError when it is too long, or does not begin like a frame."""
    if len(data) > FRAME_BYTES_MAX:
        raise MalformedError("frame_size", f"{len(data)} bytes, wanted at most {FRAME_BYTES_MAX}")
    frame = peek(data)
    if frame is None:
        decode_frame(data)
        raise AssertionError(f"a frame decodes that does not begin like one: {data.hex()[:1024]}")
    return frame


def envelope(data: bytes) -> bytes:
    """The COSE_Sign1 of a frame's bytes."""
    return data[ENVELOPE_AT : ENVELOPE_AT + ENVELOPE_BYTES]


def decide(frame: Peeked, past: Past, *, is_overdue: bool) -> Decision:
    """What becomes of a frame whose bytes and signature are good; `is_overdue`: it has waited long enough.

    TAKE stands under the condition that its totals follow (`check_follows`). Where two frames of one number wait or
    come, the one that follows from the frame before is taken, and the other is refused.
    """
    if past.taken == frame.hash:
        return Decision(Action.DROP, "duplicate")
    if past.taken is not None:
        return Decision(Action.REFUSE, "equivocation")
    decision = _judge(frame, past, is_overdue)
    if past.rival is not None and (decision.action == Action.WAIT or decision.code == "gap"):
        return Decision(Action.REFUSE, "equivocation")
    return decision


def _judge(frame: Peeked, past: Past, is_overdue: bool) -> Decision:
    if frame.leg_state != IDLE and past.leg_limits != frame.limits_hash:
        return _without_limits(frame, past, is_overdue)
    if past.next_names not in (None, frame.hash):
        return Decision(
            Action.REFUSE, "chain", f"frame {frame.frame_seq + 1} was taken and follows another one"
        )
    if frame.frame_seq == 0:
        return Decision(Action.TAKE)
    if past.before is None:
        if is_overdue:
            return Decision(Action.TAKE, "gap")
        return Decision(Action.WAIT, "gap", f"frame {frame.frame_seq - 1} is missing")
    if past.before != frame.previous_hash:
        return Decision(
            Action.REFUSE,
            "chain",
            f"frame {frame.frame_seq} follows {frame.previous_hash.hex()}, wanted {past.before.hex()}",
        )
    return Decision(Action.TAKE)


def _without_limits(frame: Peeked, past: Past, is_overdue: bool) -> Decision:
    leg = frame.leg_id.hex()
    if past.leg_limits is not None:
        return Decision(
            Action.REFUSE,
            "limits",
            f"leg {leg} under limits {frame.limits_hash.hex()}, ordered were {past.leg_limits.hex()}",
        )
    if is_overdue:
        return Decision(Action.REFUSE, "limits", f"leg {leg} was not ordered for this gateway")
    return Decision(Action.WAIT, "limits", f"no order for leg {leg} yet")


def check_gateway(frame: Peeked, entry: GatewayEntry | None, tenant: str | None) -> GatewayEntry:
    """The gateway's entry; RejectedError `gateway_unknown`, also when it publishes for another tenant."""
    if entry is None:
        raise RejectedError("gateway_unknown", f"gateway {frame.gateway.hex()} is not enrolled")
    if tenant is not None and entry.tenant != tenant:
        raise RejectedError(
            "gateway_unknown", f"gateway of tenant {entry.tenant} on a topic of {tenant[:64]}"
        )
    return entry


def check_validity(frame: Peeked, records: bytes, entry: GatewayEntry) -> None:
    """The key must speak for all times in the frame: RejectedError `gateway_unknown` or `gateway_revoked`."""
    first_ms, last_ms = event_times(frame.header, records)
    if first_ms < entry.valid_from_ms:
        raise RejectedError(
            "gateway_unknown", f"readings from {first_ms} ms, the key is valid from {entry.valid_from_ms} ms"
        )
    if entry.valid_until_ms is not None and last_ms >= entry.valid_until_ms:
        raise RejectedError(
            "gateway_revoked",
            f"signed or read at {last_ms} ms, the key was valid until {entry.valid_until_ms} ms",
        )


def event_times(header: bytes, records: bytes) -> tuple[int, int]:
    """The first reading's time (sent_ms without readings), and the later of the last reading's time and sent_ms."""
    sent_ms = int.from_bytes(header[139:147], "big")
    first_ms, last_ms = sent_ms, sent_ms
    for at in range(0, len(records), RECORD_BYTES):
        if records[at + 13 : at + 17] != b"\0\0\0\0":
            first_ms = min(first_ms, int.from_bytes(records[at + 17 : at + 25], "big"))
            last_ms = max(last_ms, int.from_bytes(records[at + 25 : at + 33], "big"))
    return first_ms, last_ms


def check_limits(frame: Frame, limits: Limits | None) -> None:
    """A leg's frame has a run for exactly the channels and quantities of its limits: RejectedError `limits`."""
    if frame.header.leg_state == IDLE:
        return
    assert limits is not None
    found = [(run.record.channel, run.record.quantity) for run in frame.runs]
    wanted = [(channel.channel, int(channel.quantity)) for channel in limits.channels]
    if found != wanted:
        raise RejectedError("limits", f"channels and quantities {found}, the limits have {wanted}")


def check_follows(frame: Frame, before: Head | None, limits: Limits | None) -> None:
    """RejectedError `limits`, `chain` or `totals` unless the frame keeps its limits and follows from the one before.

    `before` is None for frame 0. The hash that chains the two is `decide`'s.
    """
    check_limits(frame, limits)
    records = _leg_records(frame.header, before)
    if frame.header.leg_state == IDLE:
        return
    assert limits is not None
    for run, channel in zip(frame.runs, limits.channels, strict=True):
        past = EMPTY if records is None else _totals_of(records, run.record.channel)
        _check_fold(run, past, channel)


def check_beginnings(frame: Frame, limits: Limits | None) -> None:
    """RejectedError `totals` where totals count this frame's readings alone, and are not their fold from empty ones.

    For a frame without the one before; its limits are checked.
    """
    if frame.header.leg_state == IDLE:
        return
    assert limits is not None
    for run, channel in zip(frame.runs, limits.channels, strict=True):
        if run.record.totals.count == run.record.count:
            _check_fold(run, EMPTY, channel)


def _check_fold(run: Run, past: Totals, limits: ChannelLimits) -> None:
    wanted = fold(past, limits, run.readings)
    if wanted != run.record.totals:
        raise RejectedError(
            "totals",
            f"channel {run.record.channel}: totals {run.record.totals}, the readings fold to {wanted}",
        )


def _leg_records(header: Header, before: Head | None) -> Sequence[RunRecord] | None:
    """The run records of the leg's frame before; None where a leg begins here, or there is none."""
    if before is None:
        return None
    past = Header.decode(before.header)
    same_leg = (past.leg_id, past.limits_hash) == (header.leg_id, header.limits_hash)
    if past.leg_state == OPEN and not same_leg:
        raise RejectedError("chain", f"frame {past.frame_seq} leaves leg {past.leg_id.hex()} open")
    if past.leg_state == CLOSED and past.leg_id == header.leg_id:
        raise RejectedError("chain", f"frame {past.frame_seq} closed leg {past.leg_id.hex()}")
    if past.leg_state != OPEN:
        return None
    return [
        RunRecord.decode(before.records[at : at + RECORD_BYTES])
        for at in range(0, len(before.records), RECORD_BYTES)
    ]


def _totals_of(records: Sequence[RunRecord], channel: int) -> Totals:
    for record in records:
        if record.channel == channel:
            return record.totals
    raise RejectedError("totals", f"channel {channel} has no totals in the frame before")
