"""Where a gateway's readings come from: a simulation, a recording, or sensors that send SenML."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

from edge.gateway import Gateway
from edge.link import Came, Down, Link
from edge.readings import NewReading
from edge.replay import Item, LineRefused, ReplayReading
from edge.senml import PACK_BYTES_MAX, decode, readings
from edge.simulation import ColdRoom, Reefer
from lading.errors import LadingError, MalformedError, RejectedError, ServiceError
from lading.fields import TIME_MS_MAX
from lading.mqtt import Broker
from lading.tree import sha256

BATCH_READINGS_MAX = 4_096
WAITING_MAX = 64
"""Packs that wait for the outbox: more than a broker sends without acknowledgement."""
TAKEN_MAX = 64  # the newest packs that are durable: whose acknowledgement may be lost with a connection
AHEAD_MS_MAX = 600_000  # how far a sensor's clock may be ahead of the gateway's


class Batch(NamedTuple):
    """Readings to take together. `true_ms` is when they were made, `clock_ms` what the gateway's clock showed then."""

    true_ms: int
    clock_ms: int
    readings: list[NewReading]


class Source(Protocol):
    """Batches in order of time."""

    def next_ms(self) -> int | None:
        """True time of the next batch; None when there will be none."""

    def take(self) -> Batch:
        """The next batch; only when `next_ms` gave a time."""

    def taken_ms(self) -> int | None:
        """True time of the newest batch that a run before this one took; None: that of its readings."""

    def is_online(self, true_ms: int) -> bool:
        """Whether the story has a link to the broker then."""


class Listener(Protocol):
    """Third-party sensors that speak when they like. `failure`: why the outbox did not take what waits in a step."""

    failure: ServiceError | None

    def start(self) -> None:
        """Connect in the background."""

    def stop(self) -> None:
        """Disconnect."""

    def step(self, now_ms: int, clock_ms: int) -> int:
        """Take what came; how many readings. `now_ms` runs steadily, `clock_ms` is what the machine's clock shows."""


class SimulatedSource:
    """Samples at begin + k · interval. What was taken before a restart is sampled again and left out.

    So a run that was killed and restarted, with the same seed and begin, takes the same readings as one that was not.
    """

    def __init__(
        self,
        machine: Reefer | ColdRoom,
        begin_ms: int,
        sample_ms: int,
        end_ms: int | None,
        taken_count: int,
        taken_ms: int,
    ) -> None:
        self._machine = machine
        self._sample_ms = sample_ms
        self._end_ms = end_ms
        self._begin_ms = self._time_ms = begin_ms
        while self._was_taken(taken_count, taken_ms):
            machine.sample(self._time_ms)
            self._time_ms += sample_ms
            taken_count -= 1

    def _was_taken(self, taken_count: int, taken_ms: int) -> bool:
        """By number, and by time as well where the clock is right: readings that were refused have no number."""
        is_right = self._machine.stories.clock_ms(self._time_ms) == self._time_ms
        return taken_count > 0 or (is_right and self._time_ms <= taken_ms)

    def taken_ms(self) -> int | None:
        """See Source. Readings of a clock that was never set have placeholders for times, so they do not tell."""
        return self._time_ms - self._sample_ms if self._time_ms > self._begin_ms else None

    def next_ms(self) -> int | None:
        """See Source."""
        return None if self._end_ms is not None and self._time_ms > self._end_ms else self._time_ms

    def take(self) -> Batch:
        """See Source."""
        time_ms = self._time_ms
        clock_ms = self._machine.stories.clock_ms(time_ms)
        found = [
            NewReading(channel, clock_ms, value, flags)
            for channel, value, flags in self._machine.sample(time_ms)
        ]
        self._time_ms += self._sample_ms
        return Batch(time_ms, clock_ms, found)

    def is_online(self, true_ms: int) -> bool:
        """See Source."""
        return self._machine.stories.online(true_ms)


class ReplaySource:
    """One gateway's part of a recording. After a restart it goes on behind what each channel already has."""

    def __init__(
        self,
        items: Iterable[Item],
        gateway: str,
        taken: Mapping[int, int],
        refuse: Callable[[LineRefused], None],
    ) -> None:
        self._items = iter(items)
        self._gateway = gateway
        self._refuse = refuse
        self._left_out = dict(taken)
        self._newest_ms = 0
        self._next: ReplayReading | None = None
        self._advance()

    def _advance(self) -> None:
        for item in self._items:
            if isinstance(item, LineRefused):
                self._refuse(item)
            elif item.gateway == self._gateway and self._left_out.get(item.channel, 0):
                self._left_out[item.channel] -= 1
            elif item.gateway == self._gateway:
                self._next = item
                return
        self._next = None

    def taken_ms(self) -> None:
        """See Source."""

    def next_ms(self) -> int | None:
        """See Source. A time that runs back is due with the newest one before it."""
        return None if self._next is None else max(self._next.time_ms, self._newest_ms)

    def take(self) -> Batch:
        """Readings of one time."""
        assert self._next is not None
        time_ms = self._next.time_ms
        found: list[NewReading] = []
        while self._next is not None and self._next.time_ms == time_ms and len(found) < BATCH_READINGS_MAX:
            found.append(NewReading(self._next.channel, time_ms, self._next.value_milli, self._next.flags))
            self._advance()
        self._newest_ms = max(self._newest_ms, time_ms)
        return Batch(self._newest_ms, time_ms, found)

    def is_online(self, true_ms: int) -> bool:
        """See Source."""
        return True


class SenmlListener:
    """Third-party sensors that publish SenML-JSON to a local broker. A pack is acknowledged once it is durable.

    One that waited when its connection was lost, or whose acknowledgement was, comes again and is taken once.
    """

    def __init__(
        self,
        gateway: Gateway,
        broker: Broker,
        topic: str,
        sensors: Mapping[tuple[str, int], int],
        note: Callable[[str, LadingError], None],
        clock_floor_ms: int,
        woken: threading.Event | None = None,
    ) -> None:
        self.failure: ServiceError | None = None
        self._gateway = gateway
        self._clock_floor_ms = clock_floor_ms
        self._sensors = sensors
        self._note = note
        client_id = f"lading-senml-{gateway.gateway_id.hex()[:16]}"
        self._link = Link(broker, client_id, (topic,), woken=woken)
        self._waiting: list[tuple[Came, list[NewReading]]] = []
        self._taken: deque[tuple[int, int, bytes]] = deque(maxlen=TAKEN_MAX)  # session, number and hash

    def start(self) -> None:
        """Connect in the background."""
        self._link.start()

    def stop(self) -> None:
        """Disconnect; what is not acknowledged comes again."""
        self._link.stop()
        for came, left in self._waiting:
            if not came.qos:
                self._give_up(left)
        self._waiting.clear()

    def step(self, now_ms: int, clock_ms: int) -> int:
        """See Listener."""
        count, self.failure = 0, None
        again, self._waiting = self._waiting, []
        for came, found in again:
            count += self._keep(came, found, is_new=False)
        for event in self._link.events():
            if isinstance(event, Came):
                count += self._take(event, clock_ms)
            elif isinstance(event, Down):
                self._note("senml_link_down", MalformedError("broker", event.reason))
        return count

    def _take(self, came: Came, now_ms: int) -> int:
        if self._is_known(came):
            return 0
        try:
            if came.retained:
                raise MalformedError(
                    "senml_retained", "kept by the broker from before: it says nothing of now"
                )
            if len(came.payload) > PACK_BYTES_MAX:
                raise MalformedError(
                    "senml_size", f"{len(came.payload)} bytes, wanted at most {PACK_BYTES_MAX}"
                )
            latest_ms = now_ms + AHEAD_MS_MAX if now_ms >= self._clock_floor_ms else TIME_MS_MAX
            found, problems = readings(decode(came.payload, now_ms), self._sensors, latest_ms)
        except MalformedError as exc:
            self._note("senml_refused", exc)
            self._link.ack(came)
            return 0
        for problem in by_code(problems):
            self._note("senml_refused", problem)
        return self._keep(came, sorted(found, key=lambda reading: reading.time_ms), is_new=True)

    def _is_known(self, came: Came) -> bool:
        """Whether it has come over an earlier connection, and waits or is durable.

        Never one of another session: a broker that forgot ours sends nothing again, so equal bytes are a new pack.
        """
        for at, (earlier, left) in enumerate(self._waiting):
            is_same = earlier.session == came.session and earlier.payload == came.payload
            if is_same and earlier.connection != came.connection and earlier.qos and came.qos:
                self._waiting[at] = (came, left)  # which can be acknowledged
                return True
        if not came.is_again or _name(came) not in self._taken:
            return False
        self._link.ack(came)
        return True

    def _keep(self, came: Came, found: list[NewReading], *, is_new: bool) -> int:
        """Make a pack's readings durable, after those before it: how many were, or were refused. The rest comes again.

        The broker sends the next packs only as these are acknowledged, and those beyond WAITING_MAX again with the next
        connection. Those of QoS 0 it has forgotten: as many again wait, and what is beyond is refused.
        """
        left = found
        if not self._waiting:
            left, failure, refused = self._gateway.try_all(found)
            for problem in by_code(refused):
                self._note("senml_refused", problem)
            self.failure = failure or self.failure
            if failure is not None and is_new:
                self._note("senml_waits", failure)
        if not left:
            if came.qos:
                self._taken.append(_name(came))
            self._link.ack(came)
        elif sum(bool(one.qos) == bool(came.qos) for one, _ in self._waiting) < WAITING_MAX:
            self._waiting.append((came, left))
        elif not came.qos:
            self._give_up(left)
        return len(found) - len(left)

    def _give_up(self, left: list[NewReading]) -> None:
        self._gateway.refused_count += len(left)
        self._note("senml_refused", RejectedError("senml_waiting", f"{len(left)} for want of an outbox"))


def _name(came: Came) -> tuple[int, int, bytes]:
    return came.session, came.mid, sha256(came.payload)


def by_code(errors: Iterable[LadingError]) -> list[LadingError]:
    """The first error of each code, with how many more there were: one line a batch, not one a reading."""
    first: dict[str, LadingError] = {}
    counts: Counter[str] = Counter()
    for error in errors:
        first.setdefault(error.code, error)
        counts[error.code] += 1
    more = {code: f" (and {count - 1} more)" if count > 1 else "" for code, count in counts.items()}
    return [RejectedError(code, error.text + more[code]) for code, error in first.items()]
