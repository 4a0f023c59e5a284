"""What of a gateway's readings goes into its next frame: runs under the leg's limits, or idle ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from edge.outbox import ChannelPosition, Position
from lading.assignment import Assignment, decode_payload
from lading.errors import ServiceError
from lading.frame import Frame, Run, make_run
from lading.limits import Limits
from lading.totals import EMPTY, Reading, fold

Salts = Callable[[int], bytes]  # of a channel
Pending = Mapping[int, Sequence[Reading]]  # by channel


@dataclass(frozen=True)
class Leg:
    """The open leg."""

    order: Assignment
    limits: Limits


def open_leg(payload: bytes | None) -> Leg | None:
    """The leg that an order's payload began."""
    if payload is None:
        return None
    order = decode_payload(payload)
    assert order.limits is not None
    return Leg(order, order.limits)


def leg_runs(
    limits: Limits, channels: Mapping[int, ChannelPosition], pending: Pending, salts: Salts
) -> list[Run]:
    """A run of every channel with limits, of those without readings too, with the leg's totals."""
    runs = []
    for channel_limits in limits.channels:
        channel = channel_limits.channel
        position = channels.get(channel, ChannelPosition())
        readings = pending.get(channel, [])
        totals = fold(position.totals, channel_limits, readings)
        first_seq = position.next_seq - len(readings)
        runs.append(make_run(channel, channel_limits.quantity, first_seq, salts(channel), readings, totals))
    return runs


def idle_runs(quantities: Mapping[int, int], pending: Pending, salts: Salts) -> list[Run]:
    """A run of every channel with readings."""
    return [
        make_run(channel, quantities[channel], readings[0].seq, salts(channel), readings, EMPTY)
        for channel, readings in sorted(pending.items())
    ]


def framed(frame: Frame, channels: Mapping[int, ChannelPosition]) -> dict[int, ChannelPosition]:
    """The channels' positions after a frame."""
    totals = {run.record.channel: run.record.totals for run in frame.runs}
    return {
        channel: replace(position, totals=totals.get(channel, position.totals))
        for channel, position in channels.items()
    }


def require_not_before(found: Position, known: Position) -> None:
    """ServiceError for an older file's position, or another's: its numbers would be signed a second time."""
    here, there = (found.frame_seq, found.order_seq), (known.frame_seq, known.order_seq)
    is_other = here[0] == there[0] and found.previous_hash != known.previous_hash
    if here[0] < there[0] or here[1] < there[1] or is_other:
        wanted = f"the file with frame {there[0]} and order {there[1]}, or later, of the same chain"
        raise ServiceError("outbox", f"found frame {here[0]} and order {here[1]}, wanted {wanted}")
