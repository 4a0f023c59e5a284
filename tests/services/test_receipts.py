"""A gateway keeps its frames until ingest has them: on the real Mosquitto, killed under load, misled, or far away."""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from edge.publisher import Publisher
from ingest.receiver import SHARE, Receiver
from ingest.stage import Ingest
from lading import topics
from lading.acl import access_list
from lading.certs import Authority, utc_now
from lading.decoding import decode_frame
from lading.gateways import GatewayEntry
from lading.log import SqliteLog
from lading.mqtt import Broker
from lading.receipt import Receipt
from lading.topics import gateway_topic
from lading.tree import sha256
from tests.gateways import KEY, T0_MS, TENANT, open_gateway
from tests.services.mosquitto import Mosquitto
from tests.services.mqtt_client import Client
from tests.waiting import until

ID = KEY.public.gateway_id
FRAMES, RECEIPT = (gateway_topic(TENANT, ID, kind) for kind in ("frames", "receipt"))
KILLS = int(os.environ.get("LADING_TEST_KILLS", "5"))
SEED = int(os.environ.get("LADING_TEST_SEED", "1"))


class Known:
    """The one gateway, enrolled."""

    def find(self, gateway_id: bytes) -> GatewayEntry | None:
        return GatewayEntry(KEY.public, TENANT, name="truck") if gateway_id == ID else None


class Site:
    """A gateway and an ingest over one broker, stepped together in this thread."""

    def __init__(
        self,
        folder: Path,
        broker: Mosquitto,
        speed: float = 10.0,
        protocol: Literal["5", "3.1.1"] = "5",
        **more: object,
    ) -> None:
        self.gateway = open_gateway(folder)
        self.publisher = Publisher(
            self.gateway,
            TENANT,
            Broker("127.0.0.1", broker.port),
            monotonic_s=lambda: speed * time.monotonic(),
            **more,  # type: ignore[arg-type]
        )
        self.log = SqliteLog(folder / "log.sqlite")
        self.ingest = Ingest(self.log, folder / "ingest.sqlite", Known(), {})
        self.receiver = Receiver(self.ingest, Broker("127.0.0.1", broker.port, protocol))
        self.is_receiving = True

    def cut(self, count: int = 1) -> None:
        """Sign frames."""
        for _ in range(count):
            now_ms = T0_MS + 1_000 * self.gateway.frame_seq
            self.gateway.take(1, now_ms, 4_000)
            self.gateway.cut(now_ms)

    def step(self) -> None:
        """Each side once."""
        self.publisher.step(T0_MS)
        if self.is_receiving:
            self.receiver.step(0.005)

    def until(self, condition: Callable[[], object], limit_s: float = 60.0) -> None:
        """Step until something is so."""

        def stepped() -> object:
            self.step()
            return condition()

        until(stepped, limit_s)

    @property
    def waiting(self) -> int:
        return self.gateway.outbox.waiting.count

    def logged(self) -> list[int]:
        """Numbers of the frames in the log."""
        found = self.log.read(topics.FRAMES, {}, 1_000_000)
        return [decode_frame(record.value).header.frame_seq for record in found]

    def close(self) -> None:
        self.publisher.stop()
        self.receiver.stop()
        self.ingest.close()


@pytest.fixture
def site(tmp_path: Path, broker: Mosquitto) -> Iterator[Site]:
    site = Site(tmp_path, broker)
    site.publisher.start()
    site.receiver.start()
    until(lambda: site.receiver.is_up and site.publisher.is_up)
    yield site
    site.close()


def test_frames_leave_when_ingest_has_them(site: Site) -> None:
    """The broker's PUBACK alone frees nothing; the receipt does."""
    site.is_receiving = False
    site.cut(20)
    site.until(lambda: site.publisher.sent_count >= 20)
    until(lambda: not site.publisher._in_flight or site.publisher.step(T0_MS))
    assert site.waiting == 20
    site.is_receiving = True
    site.until(lambda: site.waiting == 0)
    assert site.logged() == list(range(20))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_mosquitto_killed_under_load_loses_no_frame(
    site: Site, broker: Mosquitto, record_property: Callable[[str, int], None]
) -> None:
    """Again and again with SIGKILL, all that it had acknowledged gone each time: every frame is once in the log."""
    rng = random.Random(SEED)
    for _ in range(KILLS):
        end_s = time.monotonic() + rng.uniform(0.3, 1.5)
        site.is_receiving = False
        site.until(lambda: bool(site.publisher.is_up))
        while time.monotonic() < end_s:
            site.cut(rng.randint(0, 15))
            site.is_receiving = rng.random() < 0.3  # so that much waits at the broker
            site.step()
        broker.kill()
        site.cut(3)
        site.step()
        broker.start()
    site.is_receiving = True
    site.until(lambda: site.waiting == 0, 180)
    record_property("frames", site.gateway.frame_seq)
    record_property("sendings", site.publisher.sent_count)
    assert sorted(site.logged()) == list(range(site.gateway.frame_seq))


def test_frames_that_a_full_queue_drops_come_again(tmp_path: Path) -> None:
    """Acknowledged and dropped without a word: the receipts' gap is seen, and filled."""
    broker = Mosquitto(tmp_path, max_queued_messages=10).start()
    site = Site(tmp_path, broker)
    site.receiver.start()
    until(lambda: site.receiver.is_up)
    site.receiver.stop()
    site.publisher.start()
    site.is_receiving = False
    site.cut(50)
    site.until(lambda: site.publisher.sent_count == 50 and not site.publisher._in_flight)
    site.receiver.start()
    site.is_receiving = True
    site.until(lambda: site.waiting == 0)
    assert site.logged() == list(range(50))
    site.close()
    broker.stop()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_falls_to_a_dead_member_of_the_share_comes_again(
    tmp_path: Path, broker: Mosquitto, protocol: Literal["5", "3.1.1"]
) -> None:
    """Half of the messages go to a process that has died and whose session the broker keeps; every frame arrives."""
    dead = Client(broker.port, "lading-ingest-2", f"$share/{SHARE}/lading/v1/+/+/frames", ack=False)
    site = Site(tmp_path, broker, protocol=protocol)
    site.receiver.start()
    site.publisher.start()
    until(lambda: site.receiver.is_up and site.publisher.is_up)
    site.cut(20)
    site.until(lambda: len(dead.got) >= 5)
    dead.vanish()
    site.cut(20)
    site.until(lambda: site.waiting == 0)
    assert site.logged() == list(range(40))
    site.close()


def test_an_ingest_that_is_gone_is_forgotten(tmp_path: Path, broker: Mosquitto) -> None:
    """With MQTT 5 its session ends, and the others get everything at once."""
    gone = Site(tmp_path / "gone", broker)
    gone.receiver = Receiver(
        gone.ingest, Broker("127.0.0.1", broker.port, "5"), client_id="gone", session_s=1
    )
    gone.receiver.start()
    until(lambda: gone.receiver.is_up)
    gone.receiver.stop()
    watcher = Client(broker.port, "rest", f"$share/{SHARE}/lading/v1/+/+/frames", clean=True)
    publisher = Client(broker.port, "truck", clean=True)

    def all_came() -> bool:
        count = len(watcher.got)
        publisher.send(FRAMES, *(b"%d" % n for n in range(20)))
        until(lambda: len(watcher.got) >= count + 10)
        time.sleep(0.1)
        return len(watcher.got) == count + 20

    until(all_came)
    for client in (watcher, publisher):
        client.close()
    gone.ingest.close()


def test_an_ingest_that_is_away_gets_few_duplicates(site: Site) -> None:
    """The pauses between tries double, and each try is one frame."""
    site.is_receiving = False
    site.cut(100)
    site.until(lambda: site.publisher.sent_count >= 100)
    end_s = time.monotonic() + 5  # fifty seconds of the publisher's
    while time.monotonic() < end_s:
        site.publisher.step(T0_MS)
        site.publisher.wait(0.02)
    assert site.publisher.sent_count <= 104
    site.is_receiving = True
    site.until(lambda: site.waiting == 0)
    assert site.logged() == list(range(100))


def test_a_receipt_for_other_bytes_is_none(site: Site, broker: Mosquitto) -> None:
    """Whatever stands in a receipt, a frame whose very bytes it does not name stays; garbage is noted."""
    notes: list[str] = []
    site.publisher._note = lambda what, exc: notes.append(what)
    site.is_receiving = False
    site.cut(3)
    site.until(lambda: site.publisher.sent_count >= 3)
    liar = Client(broker.port, "liar", clean=True)
    frame = site.gateway.outbox.frame(1)
    assert frame is not None
    lies = [
        (0, bytes(32)),
        (1, sha256(frame[:-1])),
        (2, sha256(frame)),
        (7, sha256(frame)),
        (2**64 - 1, bytes(32)),
    ]
    liar.send(RECEIPT, Receipt(tuple(lies)).encode(), b"", b"\xff" * 100, b"\0" * 20_000)
    site.until(lambda: len(notes) == 3)
    assert notes == ["receipt_refused"] * 3
    assert site.waiting == 3
    liar.send(RECEIPT, Receipt(((1, sha256(frame)),)).encode())
    site.until(lambda: site.waiting == 2)
    liar.close()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_wrong_access_list_loses_no_frame(tmp_path: Path, protocol: str) -> None:
    """MQTT 3.1.1 says PUBACK to what the list denies. The frames stay, and go out once the list is right."""
    authority = Authority.create(tmp_path / "certs", utc_now())
    authority.issue_server("server", ("127.0.0.1",), utc_now())
    authority.issue_client("truck", ID.hex(), utc_now())
    authority.issue_client("ingest", "ingest", utc_now())
    broker = Mosquitto(tmp_path, "tls")
    for name in ("ca.crt", "ca.crl", "server.crt", "server.key"):
        shutil.copy(tmp_path / "certs" / name, broker.certs / name)
    right = access_list([GatewayEntry(KEY.public, TENANT)], 0)
    broker.acl.write_text(right.replace(f"write {FRAMES}", f"write {FRAMES}s"))
    broker.start()
    notes: list[str] = []
    site = Site(tmp_path, broker, note=lambda what, exc: notes.append(what))
    for one, name in ((site.publisher._link, "truck"), (site.receiver, "ingest")):
        crt, key = (tmp_path / "certs" / f"{name}.{suffix}" for suffix in ("crt", "key"))
        address = Broker("127.0.0.1", broker.port, protocol, tmp_path / "certs" / "ca.crt", crt, key)  # type: ignore[arg-type]
        one._broker = address
    site.publisher._link._version = 4 if protocol == "3.1.1" else 5
    site.receiver._client = site.receiver._make("lading-ingest")
    site.receiver.start()
    site.publisher.start()
    site.cut(5)
    site.until(lambda: site.publisher.sent_count >= 6)
    assert (site.waiting, site.logged()) == (5, [])
    assert ("frame_not_taken" in notes) == (protocol == "5")
    broker.acl.write_text(right)
    broker.send_signal(signal.SIGHUP)
    site.until(lambda: site.waiting == 0)
    assert site.logged() == list(range(5))
    site.close()
    broker.stop()
