"""Orders that Mosquitto forgets when it is killed are there again for a gateway that comes later."""

import time
from pathlib import Path

from ingest.lost_orders import LostOrders
from ingest.receiver import Receiver
from ingest.stage import Ingest
from lading.log import SqliteLog
from lading.mqtt import Broker
from lading.topics import ASSIGNMENTS
from tests.services.mosquitto import Mosquitto
from tests.services.mqtt_client import Client
from tests.unit.ingest.truck import OPERATORS, Fleet, Truck
from tests.waiting import until


def test_orders_outlive_a_killed_broker(tmp_path: Path) -> None:
    """The newest order of each gateway, retained again; one that the broker still has is left alone."""
    broker = Mosquitto(tmp_path).start()
    first, second = Truck("truck-1"), Truck("truck-2")
    gateways = Fleet(first, second)
    log = SqliteLog(tmp_path / "log.sqlite")
    ingest = Ingest(log, tmp_path / "ingest.sqlite", gateways, OPERATORS)
    orders = LostOrders(log, gateways, lambda: 5 * time.monotonic())
    receiver = Receiver(ingest, Broker("127.0.0.1", broker.port), lost_orders=orders)
    receiver.start()
    until(lambda: receiver.is_up)
    operator = Client(broker.port, "operator", clean=True)
    old, newest, other = first.order(), first.order(), second.order()
    for truck, order in ((first, old), (first, newest), (second, other)):
        operator.send(truck.order_topic, order, retain=True)
    operator.close()
    until(lambda: receiver.step(0.05) >= 0 and sum(log.end(ASSIGNMENTS).values()) == 3)
    broker.kill()
    broker.start()
    operator = Client(broker.port, "operator", clean=True)
    operator.send(second.order_topic, other, retain=True)
    operator.close()
    gateway = Client(broker.port, "truck", first.order_topic, second.order_topic, clean=True)
    until(lambda: receiver.step(0.05) >= 0 and len(gateway.got) >= 2)
    assert sorted(gateway.payloads) == sorted([newest, other])
    late = Client(broker.port, "late", first.order_topic, clean=True)
    until(lambda: late.payloads == [newest])
    for client in (gateway, late):
        client.close()
    receiver.stop()
    ingest.close()
    broker.stop()


def test_an_order_that_came_before_the_broker_died_is_not_what_it_has(tmp_path: Path) -> None:
    """It waits in the receiver while the broker is killed and comes back with nothing: it is retained again."""
    broker = Mosquitto(tmp_path).start()
    truck = Truck("truck-1")
    log = SqliteLog(tmp_path / "log.sqlite")
    ingest = Ingest(log, tmp_path / "ingest.sqlite", Fleet(truck), OPERATORS)
    orders = LostOrders(log, Fleet(truck), lambda: 5 * time.monotonic())
    receiver = Receiver(ingest, Broker("127.0.0.1", broker.port), lost_orders=orders)
    receiver.start()
    until(lambda: receiver.is_up)
    operator, order = Client(broker.port, "operator", clean=True), truck.order()
    operator.send(truck.order_topic, order, retain=True)
    operator.close()
    until(lambda: receiver.queued == 1)
    broker.kill()
    until(lambda: not receiver.is_up)
    broker.start()
    until(lambda: receiver.is_up)
    late = Client(broker.port, "late", truck.order_topic, clean=True)
    until(lambda: receiver.step(0.05) >= 0 and late.payloads == [order])
    late.close()
    receiver.stop()
    ingest.close()
    broker.stop()
