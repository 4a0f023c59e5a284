"""Carries an outbox to the broker and orders back: in order, few in flight, removed on ingest's receipt."""

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

import structlog

from edge.gateway import Gateway
from edge.link import Acked, Anew, Came, Down, Event, Link, Up
from edge.resending import Resending
from lading.assignment import ASSIGNMENT_BYTES_MAX
from lading.batch import ANCHOR_RECORD_BYTES_MAX
from lading.errors import LadingError, MalformedError, RejectedError, ServiceError
from lading.mqtt import Broker
from lading.receipt import RECEIPT_BYTES_MAX, Receipt
from lading.topics import anchors_topic, gateway_topic
from lading.tree import sha256

IN_FLIGHT_MAX = 8
ACKED_MAX = 64
RETRY_S = 5.0
STATUS_EVERY_S = 60.0
POLL_S = 0.05
ORDERS_MAX = 64  # that wait: more than a broker sends without acknowledgement

KeepUntil = Literal["receipt", "puback"]

_log = structlog.get_logger()


class Publisher:
    """One gateway's link. `step` does all the work in the caller's thread; `start` and `stop` stand for the link.

    `keep_until`: a frame stays until ingest's receipt for it, or until the broker's PUBACK, for a broker that keeps
    what it acknowledged over its own death. A frame is never sent again while a sending is under way; after a crash,
    or when its receipt does not come, it is, and whoever reads drops what it has (by gateway and frame_seq).
    """

    def __init__(
        self,
        gateway: Gateway,
        tenant: str,
        broker: Broker,
        *,
        in_flight_max: int = IN_FLIGHT_MAX,
        keep_until: KeepUntil = "receipt",
        note: Callable[[str, LadingError], None] = lambda what, exc: None,
        monotonic_s: Callable[[], float] = time.monotonic,
        woken: threading.Event | None = None,
    ) -> None:
        hexadecimal = gateway.gateway_id.hex()
        self.sent_count = self.acked_count = 0
        self._gateway = gateway
        self._topic = gateway_topic(tenant, gateway.gateway_id, "frames")
        self._status_topic = gateway_topic(tenant, gateway.gateway_id, "status")
        self._orders_topic = gateway_topic(tenant, gateway.gateway_id, "assignment")
        self._anchors_topic = anchors_topic(tenant)
        will = (self._status_topic, json.dumps({"state": "offline", "gateway": hexadecimal}).encode())
        self._receipts_topic = gateway_topic(tenant, gateway.gateway_id, "receipt")
        topics = (self._orders_topic, self._anchors_topic, self._receipts_topic)
        self._link = Link(broker, f"lading-edge-{hexadecimal[:16]}", topics, will, in_flight_max + 2, woken)
        self._in_flight_max = in_flight_max
        self._in_flight: dict[int, int] = {}  # message number: frame_seq
        self._acked: set[int] = set()  # frames to remove in one transaction
        self._sent_seq = -1
        self._rewind_s: float | None = None
        self._rewind_seq = 0
        self._resending = Resending(gateway.outbox, monotonic_s) if keep_until == "receipt" else None
        self._events: deque[Event] = deque()  # taken from the link and not heeded yet
        self._orders: deque[Came] = deque()  # not obeyed yet: the first, and those behind it
        self._anchor: Came | None = None  # one that the outbox did not take yet
        self._note = note
        self._monotonic_s = monotonic_s
        self._status_due_s = 0.0
        self._status_mid: int | None = None

    def start(self) -> None:
        """Connect in the background and go on where the outbox stands."""
        self._forget()
        self._link.start()

    def stop(self, now_ms: int = 0) -> None:
        """Disconnect; frames without PUBACK stay in the outbox. With a time, say so in the retained status."""
        try:
            if now_ms and self._link.is_up:
                self._say_status("offline", now_ms)
                self._wait_status()
        finally:  # whatever the outbox does
            self._link.stop()
            self._forget()
        self._remove_acked()

    @property
    def is_up(self) -> bool:
        """True while the broker is reachable."""
        return self._link.is_up

    def wait(self, limit_s: float) -> None:
        """Until the link has something for `step`, but no longer than the limit."""
        self._link.wait(limit_s)

    def step(self, now_ms: int) -> int:
        """Take what came, publish what waits; how many acknowledged frames have left the outbox.

        ServiceError when the outbox fails at any of it. The rest is done all the same: frames that can be read need not
        wait for what cannot be written.
        """
        acked_count = self.acked_count
        failures: list[ServiceError] = []
        works: tuple[Callable[[], None], ...] = (
            lambda: self._take_events(now_ms),
            self._remove_received,
            self.publish_pending,
            lambda: self._keep_status(now_ms),
            self._remove_many,
        )
        for work in works:
            try:
                work()
            except ServiceError as exc:
                failures.append(exc)
        if failures:
            raise failures[0]
        return self.acked_count - acked_count

    def _take_events(self, now_ms: int) -> None:
        """Heed what came, in order. What the outbox fails at is first again in the next step."""
        if not self._events:
            self._events.extend(self._link.events())
        while self._events:
            self._handle(self._events[0], now_ms)
            self._events.popleft()
        failures = [self._obey(now_ms), self._see_anchor(self._anchor) if self._anchor else None]
        for failure in failures:
            if failure is not None:
                raise failure

    def publish_pending(self) -> None:
        """Send the oldest frames not yet under way, as many as may be."""
        if self._rewind_s is not None:
            if self._in_flight or self._monotonic_s() < self._rewind_s:
                return
            self._rewind_s, self._sent_seq = None, self._rewind_seq - 1
        if not self._link.is_up:
            return
        if self._resending is not None:
            self._send_again(self._resending)
        room = self._in_flight_max - len(self._in_flight)
        if room <= 0 or self._gateway.frame_seq - 1 <= self._sent_seq:
            return
        for frame_seq, frame in self._gateway.outbox.frames_after(self._sent_seq, room):
            if frame_seq not in self._acked and not self._send(frame_seq, frame):
                return
            self._sent_seq = frame_seq

    def _send_again(self, resending: Resending) -> None:
        resending.look(self._sent_seq)
        room = self._in_flight_max - len(self._in_flight)
        for frame_seq, frame in resending.frames(room) if room > 0 else ():
            is_known = frame_seq in self._acked or frame_seq in self._in_flight.values()
            if not is_known and not self._send(frame_seq, frame):
                return
            resending.sent(frame_seq)

    def _send(self, frame_seq: int, frame: bytes) -> bool:
        mid = self._link.publish(self._topic, frame)
        if mid is None:
            return False
        self._in_flight[mid] = frame_seq
        self.sent_count += 1
        return True

    def wait_acked(self, limit_s: float, now_ms: int) -> bool:
        """Step until the outbox is empty; False if it is not within the limit."""
        end_s = self._monotonic_s() + limit_s
        while self._gateway.outbox.waiting.count:
            self.step(now_ms)
            if self._monotonic_s() >= end_s:
                return not self._gateway.outbox.waiting.count
            if self._gateway.outbox.waiting.count:
                self._link.wait(POLL_S)
        return True

    def _handle(self, event: Event, now_ms: int) -> None:
        match event:
            case Acked(mid=mid) if mid == self._status_mid:
                self._status_mid = None
            case Acked(mid=mid, taken=taken, reason=reason) if mid in self._in_flight:
                frame_seq = self._in_flight.pop(mid)
                if not taken:
                    self._rewind_seq = (
                        frame_seq if self._rewind_s is None else min(self._rewind_seq, frame_seq)
                    )
                    self._rewind_s = self._monotonic_s() + RETRY_S
                    self._note("frame_not_taken", ServiceError("puback", f"frame {frame_seq}: {reason}"))
                elif self._resending is None:
                    self._acked.add(frame_seq)
            case Came(topic=topic) if topic == self._orders_topic:
                self._take_order(event)
            case Came(topic=topic) if topic == self._receipts_topic:
                self._take_receipt(event)
            case Came():
                self._see_anchor(event)
            case Anew():
                self._rewind()
            case Up():
                self._status_due_s = 0.0
                if self._resending is not None:
                    self._resending.begin()
            case Down(reason=reason):
                self._note("link_down", ServiceError("broker", reason))

    def _take_order(self, came: Came) -> None:
        """Behind those that wait. One of them that comes again stays where it is, with the newer acknowledgement.

        One for which there is no room comes again with the next connection.
        """
        try:
            self._require_size(came, ASSIGNMENT_BYTES_MAX)
        except MalformedError as exc:
            self._note("order_refused", exc)
            self._link.ack(came)
            return
        for at, waiting in enumerate(self._orders):
            if waiting.payload == came.payload:
                self._orders[at] = came
                self._link.ack(waiting)
                return
        if len(self._orders) < ORDERS_MAX:
            self._orders.append(came)

    def _obey(self, now_ms: int) -> ServiceError | None:
        """Obey orders as they came. One that has to wait holds up those behind it; why, if the outbox failed.

        The end of a leg would be refused before its begin, and the leg be open for good.
        """
        while self._orders:
            came = self._orders[0]
            try:
                if self._gateway.obey(came.payload, now_ms):
                    self._tell_obeyed()
            except ServiceError as exc:
                return None if exc.code == "outbox_full" else exc
            except LadingError as exc:
                self._note("order_refused", exc)
            self._link.ack(came)
            self._orders.popleft()
        return None

    def _tell_obeyed(self) -> None:
        leg = self._gateway.leg
        _log.info(
            "order_obeyed",
            gateway=self._gateway.gateway_id.hex(),
            order_seq=self._gateway.order_seq,
            leg=leg.order.leg_id.hex() if leg else None,  # that is open from now on
        )

    def _see_anchor(self, came: Came) -> ServiceError | None:
        """Name an anchor from now on. The newest that the outbox did not take waits for the next step; why."""
        try:
            self._require_size(came, ANCHOR_RECORD_BYTES_MAX)
            self._gateway.see_anchor(came.payload)
        except ServiceError as exc:
            if self._anchor is not None and self._anchor is not came:
                self._link.ack(self._anchor)
            self._anchor = came
            return exc
        except LadingError as exc:
            self._note("anchor_refused", exc)
        if self._anchor is came:
            self._anchor = None
        self._link.ack(came)
        return None

    def _take_receipt(self, came: Came) -> None:
        if self._resending is not None:
            try:
                self._require_size(came, RECEIPT_BYTES_MAX)
                self._heed_receipt(Receipt.decode(came.payload), self._resending)
            except (MalformedError, RejectedError) as exc:
                self._note("receipt_refused", exc)
        self._link.ack(came)

    def _heed_receipt(self, receipt: Receipt, resending: Resending) -> None:
        """Forget the frames whose very bytes ingest has; a receipt for others says nothing."""
        for frame_seq, digest in receipt.items:
            frame = self._gateway.outbox.frame(frame_seq)
            if frame is not None and sha256(frame) == digest:
                self._acked.add(frame_seq)
                resending.hear(frame_seq)

    @staticmethod
    def _require_size(came: Came, bytes_max: int) -> None:
        if len(came.payload) > bytes_max:
            raise MalformedError(
                "message_size", f"{len(came.payload)} bytes on {came.topic}, wanted at most {bytes_max}"
            )

    def _keep_status(self, now_ms: int) -> None:
        if self._link.is_up and self._status_mid is None and self._monotonic_s() >= self._status_due_s:
            self._say_status("online", now_ms)
            self._status_due_s = self._monotonic_s() + STATUS_EVERY_S

    def _say_status(self, state: str, now_ms: int) -> None:
        gateway = self._gateway
        status = {
            "state": state,
            "gateway": gateway.gateway_id.hex(),
            "time_ms": now_ms,
            "frame_seq_next": gateway.frame_seq,
            "leg": gateway.leg.order.leg_id.hex() if gateway.leg else None,
            "order_seq": gateway.order_seq,
            "anchor_interval": gateway.anchor_interval,
            "frames_waiting": gateway.outbox.waiting.count,
            "frames_waiting_bytes": gateway.outbox.waiting.bytes,
            "readings_pending": gateway.pending_count,
            "readings_refused": gateway.refused_count,
            "outbox_full": gateway.is_full(),
        }
        self._status_mid = self._link.publish(self._status_topic, json.dumps(status).encode(), retain=True)

    def _wait_status(self, limit_s: float = 2.0) -> None:
        end_s = self._monotonic_s() + limit_s
        while self._status_mid is not None and self._monotonic_s() < end_s:
            for event in self._link.events():
                if isinstance(event, Acked):
                    self._handle(event, 0)
            self._link.wait(POLL_S)
        self._remove_acked()

    def _remove_received(self) -> None:
        """What has a receipt goes before anything is sent again."""
        if self._resending is not None:
            self._remove_acked()

    def _remove_many(self) -> None:
        """What has a PUBACK alone goes many at once, or when nothing is under way."""
        if self._resending is None and (len(self._acked) >= ACKED_MAX or not self._in_flight):
            self._remove_acked()

    def _remove_acked(self) -> None:
        if self._acked:
            self._gateway.outbox.remove(sorted(self._acked))
            self.acked_count += len(self._acked)
            self._acked = set()

    def _forget(self) -> None:
        self._rewind()
        self._events.clear()
        self._orders.clear()
        self._anchor = None

    def _rewind(self) -> None:
        """The link has forgotten what is under way: that is sent again, and so is what was not taken."""
        refused = () if self._rewind_s is None else (self._rewind_seq,)
        self._sent_seq = min([self._sent_seq + 1, *self._in_flight.values(), *refused]) - 1
        self._in_flight.clear()
        self._rewind_s = None
        self._status_mid, self._status_due_s = None, 0.0
