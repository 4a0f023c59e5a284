"""An outbox that fails while broker and ingest go on: what came meanwhile is heeded, what can be read is published."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge.clock import EventClock
from edge.link import RECEIVE_MAX
from edge.readings import NewReading
from edge.runner import Runner
from edge.sources import Batch
from edge.stage import Edge
from lading.errors import LadingError, ServiceError
from lading.topics import anchors_topic, gateway_topic
from tests.failing import locked, unreadable
from tests.gateways import KEY, T0_MS, TENANT, end_order, order
from tests.services.mosquitto import Mosquitto
from tests.services.mqtt_client import Client
from tests.services.test_receipts import Site
from tests.unit.edge.test_failing_files import ANCHOR
from tests.waiting import until

FRAMES = 20


@pytest.fixture
def site(tmp_path: Path, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Connected. Its time stands still: no frame is ever sent again for want of a receipt."""
    monkeypatch.setattr("edge.outbox.LOCK_WAIT_MS", 50)
    site = Site(tmp_path, broker, speed=0, in_flight_max=1)
    site.publisher.start()
    site.receiver.start()
    until(lambda: site.receiver.is_up and site.publisher.is_up)
    yield site
    site.close()


def step(site: Site) -> list[str]:
    """Step, and say how the publisher failed."""
    try:
        site.publisher.step(T0_MS)
    except ServiceError as exc:
        return [exc.code]
    finally:
        site.receiver.step(0.005)
    return []


def failing_until(site: Site, condition: Callable[[], object]) -> None:
    """Step until something is so, although the publisher fails."""
    until(lambda: (step(site), condition())[1])


def test_receipts_that_cannot_be_looked_up_are_kept(site: Site, tmp_path: Path) -> None:
    """Nobody says them again: without them the frames would be sent again, after a while."""
    site.cut(5)
    site.is_receiving = False
    site.until(lambda: site.publisher.sent_count == 5 and not site.publisher._in_flight)
    until(lambda: (site.receiver.step(0.005), len(site.logged()) == 5)[1])
    with unreadable(tmp_path / "outbox.sqlite", site.gateway.outbox._db):
        for _ in range(3):
            until(lambda: step(site) == ["outbox"])
    site.until(lambda: site.waiting == 0)
    assert (site.publisher.sent_count, site.logged()) == (5, list(range(5)))


def test_what_can_be_read_is_published(site: Site, tmp_path: Path) -> None:
    """While no receipt can be written down; afterwards nothing is sent twice."""
    site.cut(FRAMES)
    with locked(tmp_path / "outbox.sqlite"):
        failing_until(site, lambda: len(site.logged()) == FRAMES)
        assert site.waiting == FRAMES
    site.until(lambda: site.waiting == 0)
    assert (site.publisher.sent_count, site.logged()) == (FRAMES, list(range(FRAMES)))


def test_orders_and_anchors_wait_for_the_outbox(site: Site, broker: Mosquitto, tmp_path: Path) -> None:
    """Neither is refused for a file that cannot be written, nor has to come again."""
    noted: list[str] = []
    site.publisher._note = lambda what, exc: noted.append(f"{what} {exc.code}")
    other = Client(broker.port, "other")
    with locked(tmp_path / "outbox.sqlite"):
        other.send(anchors_topic(TENANT), ANCHOR.encode())
        other.send(gateway_topic(TENANT, KEY.public.gateway_id, "assignment"), order(1))
        failing_until(site, lambda: site.publisher._anchor and site.publisher._orders)
        assert step(site) == ["outbox"]
    other.close()
    site.until(lambda: site.gateway.leg is not None and site.gateway.anchor_interval == ANCHOR.interval)
    assert noted == []


def test_a_leg_that_waits_for_room_is_begun_before_it_is_ended(site: Site, broker: Mosquitto) -> None:
    """Its end, which needs no room, would be refused before, and the leg be open for good."""
    noted: list[str] = []
    site.publisher._note = lambda what, exc: noted.append(f"{what} {exc.code}")
    room, site.gateway._bytes_max = site.gateway._bytes_max, 0
    other = Client(broker.port, "other")
    other.send(gateway_topic(TENANT, KEY.public.gateway_id, "assignment"), order(1), end_order(2))
    until(lambda: (step(site), len(site.publisher._orders) == 2 or noted)[1])
    assert step(site) == []  # a want of room is no failure of the file
    site.gateway._bytes_max = room
    site.until(lambda: site.gateway.order_seq == 2)
    assert (site.gateway.leg, noted) == (None, [])
    other.close()


def test_what_waits_for_the_outbox_keeps_nothing_from_coming(site: Site, broker: Mosquitto) -> None:
    """More anchors and repeated orders than a broker sends without acknowledgement: the last one comes all the same."""
    other, noted = Client(broker.port, "other"), []
    site.publisher._note = lambda what, exc: noted.append(f"{what} {exc.code}")
    with locked(site.gateway.outbox._path):
        for n in range(RECEIVE_MAX + 1):
            record = replace(ANCHOR, interval=ANCHOR.interval + n)
            other.send(anchors_topic(TENANT), record.encode())
            other.send(gateway_topic(TENANT, KEY.public.gateway_id, "assignment"), order(1))
        other.send(anchors_topic(TENANT), b"no anchor")  # takes no true one's place
        other.send(gateway_topic(TENANT, KEY.public.gateway_id, "assignment"), end_order(2))
        failing_until(site, lambda: len(site.publisher._orders) == 2)
    site.until(lambda: site.gateway.order_seq == 2 and site.gateway.anchor_interval == record.interval)
    assert (site.gateway.leg, noted) == (None, ["anchor_refused cbor"])
    other.close()


def test_a_stop_whose_outbox_fails_stops_the_link(site: Site) -> None:
    """The error is raised behind the goodbye; started again, it goes on where it stood."""
    site.cut(2)
    with locked(site.gateway.outbox._path):
        failing_until(site, lambda: site.publisher._acked)
        with pytest.raises(ServiceError, match="outbox"):
            site.publisher.stop(T0_MS)
        assert not site.publisher.is_up
        assert not site.publisher._in_flight
    site.publisher.start()
    site.until(lambda: site.waiting == 0)


class Readings:
    """A source that always has one more."""

    def __init__(self) -> None:
        self.time_ms = T0_MS

    def next_ms(self) -> int:
        return self.time_ms

    def taken_ms(self) -> None:
        pass

    def is_online(self, true_ms: int) -> bool:
        return True

    def take(self) -> Batch:
        self.time_ms += 1_000
        return Batch(self.time_ms - 1_000, self.time_ms - 1_000, [NewReading(1, self.time_ms - 1_000, 4_000)])


def test_a_cut_that_fails_stops_no_frame(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage says so and publishes what was cut before; then it goes on where it stood."""
    monkeypatch.setattr("edge.stage.BACKOFF_S", 0.0)
    site.cut(FRAMES)
    taken = site.gateway.taken[1]
    source = Readings()
    source.time_ms += 1_000 * taken
    runner = Runner("truck", site.gateway, site.publisher, source, None, 1_000, False, is_linked=True)
    runner.due_ms = source.time_ms  # a cut is due
    noted: list[LadingError] = []
    edge = Edge([runner], EventClock(T0_MS, 0.0), lambda what, name, exc: noted.append(exc))

    with locked(tmp_path / "outbox.sqlite"):
        until(lambda: (edge.step(), site.receiver.step(0.005), len(site.logged()) == FRAMES)[2])
        assert {exc.code for exc in noted} == {"outbox"}
        assert site.gateway.taken[1] == taken
    until(lambda: (edge.step(), site.gateway.taken[1] > taken)[1])
    assert runner.failing == ""
