"""A gateway: obeys signed orders, takes readings, cuts signed frames. All it must remember is in its outbox."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from edge.framing import Leg, Salts, framed, idle_runs, leg_runs, open_leg, require_not_before
from edge.orders import require_addressed, require_next
from edge.outbox import ChannelPosition, Outbox, Position
from edge.readings import NewReading, Refused, Tried, check, stamp
from lading.assignment import BEGIN, Assignment, open_assignment
from lading.batch import AnchorRecord
from lading.cose import PublicKey, Signer, decode_sign1
from lading.errors import LadingError, MalformedError, RejectedError, ServiceError
from lading.frame import (
    CLOSED,
    FRAME_READINGS_MAX,
    NO_ANCHOR,
    NO_LEG,
    OPEN,
    SALT_BYTES,
    SPAN_MS_MAX,
    Frame,
    LegRef,
    Run,
    seal,
)
from lading.names import tenant_id
from lading.totals import EMPTY, Reading
from lading.tree import sha256

BYTES_MAX = 256 * 2**20
INTERVAL_MAX = 2**63 - 1  # what SQLite stores

FRAME_HEAD_BYTES, RUN_BYTES, READING_BYTES = 320, 256, 10  # upper bounds of what each adds to a frame


def salt(_channel: int) -> bytes:
    """A run's salt from the system."""
    return secrets.token_bytes(SALT_BYTES)


class Gateway:
    """One gateway over its outbox.

    `channels` are its sensors. `clock_floor_ms`: a clock that shows less was never set. `bytes_max` bounds the
    frames that wait (docs/adr/0010-outbox-full.md).
    """

    def __init__(
        self,
        outbox: Outbox,
        signer: Signer,
        operator: PublicKey,
        tenant: str,
        channels: Mapping[int, int],
        *,
        salts: Salts = salt,
        clock_floor_ms: int = 0,
        bytes_max: int = BYTES_MAX,
    ) -> None:
        self.outbox = outbox
        self.gateway_id = signer.public.gateway_id
        self.refused_count = 0
        self._signer = signer
        self._operator = operator
        self._tenant = tenant_id(tenant)
        self._quantities = dict(channels)
        self._salts = salts
        self._clock_floor_ms = clock_floor_ms
        self._bytes_max = bytes_max
        self._position = Position()
        self._channels: dict[int, ChannelPosition] = {}
        self._pending: dict[int, list[Reading]] = {}
        self._pending_count = 0
        self._leg: Leg | None = None
        self._must_load = True
        self._load()

    @property
    def leg(self) -> Leg | None:
        """The leg that is open now."""
        return self._leg

    @property
    def frame_seq(self) -> int:
        """The number of the next frame."""
        return self._position.frame_seq

    @property
    def order_seq(self) -> int:
        """The newest order obeyed; 0 before the first."""
        return self._position.order_seq

    @property
    def anchor_interval(self) -> int:
        """The newest anchor seen; 0 for none."""
        return self._position.anchor.interval

    @property
    def taken(self) -> dict[int, int]:
        """Readings taken over the gateway's life, by channel."""
        return {channel: position.next_seq for channel, position in self._channels.items()}

    @property
    def newest_ms(self) -> int:
        """Time of the newest reading of any channel; -1 before the first."""
        return max((position.last_ms for position in self._channels.values()), default=-1)

    def last_ms(self, channel: int) -> int:
        """Time of the channel's newest reading; -1 before the first."""
        position = self._channels.get(channel)
        return -1 if position is None else position.last_ms

    @property
    def pending_count(self) -> int:
        """Readings that no frame has yet."""
        return self._pending_count

    def is_full(self) -> bool:
        """True when not one more reading fits."""
        return self._spare() < 1

    # Readings

    def take(self, channel: int, time_ms: int, value_milli: int, flags: int = 0) -> None:
        """Keep one reading, durable on return. RejectedError says why it was not taken."""
        for refused in self.take_all([NewReading(channel, time_ms, value_milli, flags)]):
            raise refused.error

    def take_all(self, readings: Sequence[NewReading], cut_ms: int | None = None) -> list[Refused]:
        """Keep readings in one transaction; what is not in the answer is durable. With `cut_ms`, cut in it as well.

        A store that fails refuses all from there on with its ServiceError: tried again, they are in order.
        A clock behind the channel's past, or below the floor, gives the reading the flag CLOCK and a time of
        its own right after the past. When a frame has no more room, one is cut.
        """
        refused: dict[int, LadingError] = {}
        taken: list[tuple[int, Reading]] = []
        kept = 0  # readings up to here are durable or refused
        try:
            self._be_loaded()
            spare = self._spare()
            for index, new in enumerate(readings):
                try:
                    reading = self._stamp(new)
                    if not self._frame_holds(new.channel, reading):
                        self._keep(taken)
                        kept = index
                        self._cut(OPEN, new.time_ms)
                        reading, spare = self._stamp(new), self._spare()
                    if spare <= 0:
                        raise self._full()
                except RejectedError as exc:
                    refused[index] = exc
                    continue
                self._append(new.channel, reading)
                taken.append((new.channel, reading))
                spare -= 1
            self._keep(taken, cut_ms)
        except ServiceError as exc:
            self._go_back()
            refused = dict.fromkeys(range(kept, len(readings)), exc) | refused
        self.refused_count += len(refused)
        return [Refused(index, refused[index]) for index in sorted(refused)]

    def try_all(self, readings: Sequence[NewReading]) -> Tried:
        """As `take_all`, for who tries again what the store did not take."""
        refused = self.take_all(readings)
        failed = [(one, one.error) for one in refused if isinstance(one.error, ServiceError)]
        self.refused_count -= len(failed)
        return Tried(
            [readings[one.index] for one, _ in failed],
            failed[0][1] if failed else None,
            [one.error for one in refused if not isinstance(one.error, ServiceError)],
        )

    def _stamp(self, new: NewReading) -> Reading:
        """The reading as it will be framed, or RejectedError."""
        channel = new.channel
        if channel not in self._quantities:
            raise RejectedError(
                "channel_unknown", f"channel {channel}, wanted one of {sorted(self._quantities)}"
            )
        if self._leg is not None and channel not in self._leg.limits.by_channel:
            raise RejectedError("channel_leg", f"channel {channel} is not in the leg's limits")
        check(new)
        position = self._channels[channel]
        issued_ms = self._leg.order.issued_ms if self._leg else 0
        time_ms, flags = stamp(new, position.last_ms, self._clock_floor_ms, issued_ms)
        return Reading(position.next_seq, time_ms, new.value_milli, flags)

    def _frame_holds(self, channel: int, reading: Reading) -> bool:
        """Whether the readings that wait and this one go into one frame."""
        first = self._pending.get(channel)
        return self._pending_count < FRAME_READINGS_MAX and (
            not first or reading.time_ms - first[0].time_ms <= SPAN_MS_MAX
        )

    def _append(self, channel: int, reading: Reading) -> None:
        position = self._channels[channel]
        position.next_seq, position.last_ms = reading.seq + 1, reading.time_ms
        self._pending.setdefault(channel, []).append(reading)
        self._pending_count += 1

    def _keep(self, taken: list[tuple[int, Reading]], cut_ms: int | None = None) -> None:
        """Make what was taken durable, as it is or in a frame."""
        if cut_ms is not None:
            self.cut(cut_ms)
        elif taken:
            self.outbox.add(taken)
        taken.clear()

    # Frames

    def cut(self, now_ms: int) -> Frame | None:
        """A frame of what waits, in the outbox on return. None when idle with nothing to say, or without room."""
        self._be_loaded()
        if not self._pending_count and (self._leg is None or not self._fits_frames(2)):
            return None
        return self._cut(OPEN, now_ms)

    def _cut(self, state_in_leg: int, now_ms: int) -> Frame:
        frame = self._frame(state_in_leg, now_ms)
        channels = framed(frame, self._channels)
        position = self._after(frame)
        self._commit(position, channels, [frame], may_use_reserve=False)
        return frame

    def _frame(self, state_in_leg: int, now_ms: int) -> Frame:
        leg = NO_LEG
        if self._leg:
            leg = LegRef(state_in_leg, self._leg.order.leg_id, self._leg.limits.hash)
        position = self._position
        anchor = position.anchor if position.anchor_ms <= now_ms else NO_ANCHOR
        runs = self._runs()
        return seal(self._signer, leg, position.frame_seq, position.previous_hash, now_ms, anchor, runs)

    def _runs(self) -> list[Run]:
        if self._leg is None:
            return idle_runs(self._quantities, self._pending, self._salts)
        return leg_runs(self._leg.limits, self._channels, self._pending, self._salts)

    def _after(self, frame: Frame) -> Position:
        return replace(self._position, frame_seq=frame.header.frame_seq + 1, previous_hash=frame.header.hash)

    def _commit(
        self,
        position: Position,
        channels: dict[int, ChannelPosition],
        frames: Iterable[Frame],
        *,
        may_use_reserve: bool,
        closed: bytes | None = None,
    ) -> None:
        rows = [(frame.header.frame_seq, frame.encode()) for frame in frames]
        try:
            self.outbox.commit(position, channels, rows, may_use_reserve=may_use_reserve, closed=closed)
        except ServiceError:
            self._go_back()
            raise
        self._position, self._channels = position, channels
        self._pending, self._pending_count = {}, 0

    # Orders

    def obey(self, message: bytes, now_ms: int) -> bool:
        """Begin or end a leg. False for the newest order again; RejectedError when it is not to be obeyed.

        A closing frame comes first where a leg is open, and an idle frame where readings wait outside a leg.
        ServiceError: later, when there is room, or the outbox can be read and written.
        """
        self._be_loaded()
        order = open_assignment(message, self._operator)
        payload, _ = decode_sign1(message)
        if order.order_seq == self._position.order_seq and sha256(payload) == self._position.order_hash:
            return False
        self._check(order)
        frames = []
        if self._leg or self._pending_count:
            frames = [self._frame(CLOSED, now_ms)]
        leg = payload if order.action == BEGIN else None
        position = self._after(frames[0]) if frames else self._position
        position = replace(position, order_seq=order.order_seq, order_hash=sha256(payload), leg=leg)
        channels = {n: replace(channel, totals=EMPTY) for n, channel in self._channels.items()}
        closed = None if self._leg is None else self._leg.order.leg_id
        self._commit(position, channels, frames, may_use_reserve=True, closed=closed)
        self._leg = open_leg(position.leg)
        return True

    def _check(self, order: Assignment) -> None:
        require_addressed(order, self.gateway_id, self._tenant)
        require_next(order, self._position.order_seq, self._leg, self._quantities)
        if order.limits is None:
            return
        if self.outbox.has_closed(order.leg_id):
            # A second closing frame of one leg would be a second answer to what it makes due.
            raise RejectedError("order_leg", f"begins leg {order.leg_id.hex()}, which was closed before")
        if not self._fits_frames(2, readings=self._pending_count, runs=len(order.limits.channels)):
            raise ServiceError("outbox_full", "no room for the new leg's closing frame yet")

    def see_anchor(self, record: bytes) -> bool:
        """Name the newest anchor in coming frames, as a lower bound of their time. False if it is not newer."""
        anchor = AnchorRecord.decode(record)
        if anchor.state == "pending":
            return False
        if anchor.block_hash == NO_ANCHOR.block_hash:
            raise RejectedError("anchor_block", f"interval {anchor.interval} in a block without a hash")
        self._be_loaded()  # behind what is wrong with any anchor, so that no such one waits for the outbox
        if not self._position.anchor.interval <= anchor.interval <= INTERVAL_MAX:
            return False
        seen = type(NO_ANCHOR)(anchor.interval, anchor.block_hash)
        if seen == self._position.anchor:
            return False
        position = replace(self._position, anchor=seen, anchor_ms=anchor.block_time_ms)
        self.outbox.move(position)
        self._position = position
        return True

    # Room

    def _full(self) -> RejectedError:
        waiting = self.outbox.waiting
        return RejectedError(
            "outbox_full",
            f"{waiting.count} frames of {waiting.bytes} bytes wait, wanted at most {self._bytes_max} with the readings "
            "and the closing frame",
        )

    def _spare(self) -> int:
        """How many more readings fit, with the frame of what waits and an empty closing frame after it."""
        left = self._bytes_max - self.outbox.waiting.bytes - 2 * self._frame_bytes(0)
        return left // READING_BYTES - self._pending_count

    def _fits_frames(self, count: int, *, readings: int = 0, runs: int = 0) -> bool:
        wanted = count * self._frame_bytes(runs) + READING_BYTES * readings
        return self.outbox.waiting.bytes + wanted <= self._bytes_max

    def _frame_bytes(self, runs: int) -> int:
        """Upper bound of a frame without readings, with at least so many runs."""
        in_leg = len(self._leg.limits.channels) if self._leg else 0
        return FRAME_HEAD_BYTES + RUN_BYTES * max(runs, in_leg, len(self._quantities))

    # What is in memory

    def reopen(self) -> None:
        """Open the outbox's file anew and go on from what it has. ServiceError: nothing is done until that succeeds."""
        self._must_load = True
        self.outbox.reopen()
        self._load()

    def _go_back(self) -> None:
        """To what the store has, after a write that failed; as soon as it can be read."""
        self._must_load = True
        with suppress(ServiceError):
            self._load()

    def _be_loaded(self) -> None:
        """Readings in memory that the store has not would be framed, and again when they are tried again."""
        if self._must_load:
            self._load()

    def _load(self) -> None:
        snapshot = self.outbox.load()
        require_not_before(snapshot.position, self._position)
        try:
            leg = open_leg(snapshot.position.leg)
        except (MalformedError, RejectedError) as exc:
            raise ServiceError("outbox", f"the open leg's order: {exc}") from exc
        self._position, self._pending = snapshot.position, snapshot.pending
        self._channels = {channel: ChannelPosition() for channel in self._quantities} | snapshot.channels
        self._pending_count = sum(len(readings) for readings in self._pending.values())
        self._leg = leg
        self._must_load = False
