"""Mosquitto, as deploy/mosquitto sets it up, keeps the broker's contract; and what it does not keep is known."""

from pathlib import Path

from tests.services.broker_contract import BrokerContract
from tests.services.mosquitto import Mosquitto
from tests.services.mqtt_client import ALL_FRAMES, FRAMES, Client, numbered
from tests.waiting import until


class TestMosquitto(BrokerContract):
    """Mosquitto keeps what Lading relies on."""


def test_a_clean_stop_keeps_sessions_and_retained_messages(broker: Mosquitto) -> None:
    """SIGTERM saves: orders, what waits for ingest, and to whom it goes are there again."""
    Client(broker.port, "ingest", f"$share/group/{ALL_FRAMES}").close()
    publisher = Client(broker.port, "truck", clean=True)
    publisher.send("lading/v1/demo/00/assignment", b"order", retain=True)
    publisher.send(FRAMES, *numbered(1500))
    publisher.close()
    broker.stop()
    broker.start()
    again = Client(broker.port, "ingest", f"$share/group/{ALL_FRAMES}")
    until(lambda: again.payloads == numbered(1500))
    late = Client(broker.port, "late", "lading/v1/demo/+/assignment")
    until(lambda: late.payloads == [b"order"])


def test_a_killed_mosquitto_forgets_what_it_acknowledged(broker: Mosquitto) -> None:
    """Since the last save, without a word: why gateways keep frames until ingest has them (ADR 0041)."""
    Client(broker.port, "ingest", FRAMES).close()
    publisher = Client(broker.port, "truck", clean=True)
    publisher.send(FRAMES, *numbered(100))
    publisher.client.loop_stop()
    broker.kill()
    broker.start()
    again = Client(broker.port, "ingest", FRAMES)
    Client(broker.port, "truck", clean=True).send(FRAMES, b"later")
    until(lambda: again.got)
    assert again.payloads == [b"later"]


def test_a_full_queue_drops_what_it_acknowledged(tmp_path: Path) -> None:
    """Beyond max_queued_messages Mosquitto says PUBACK and drops, so the bound stands far above a day's frames."""
    broker = Mosquitto(tmp_path, max_inflight_messages=10, max_queued_messages=50).start()
    Client(broker.port, "ingest", FRAMES).close()
    publisher = Client(broker.port, "truck", clean=True)
    publisher.send(FRAMES, *numbered(100))
    again = Client(broker.port, "ingest", FRAMES)
    publisher.send("lading/v1/demo/00/status", b"all acknowledged", retain=True)
    Client(broker.port, "truck", clean=True).send(FRAMES, b"100")
    until(lambda: b"100" in again.payloads)
    assert again.payloads == [*numbered(50), b"100"]
    broker.stop()
