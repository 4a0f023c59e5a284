"""The operator's orders: numbered, published, and given once the log has them."""

import json
import os
import time
from contextlib import closing
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from lading.assignment import Assignment, open_assignment, sign_assignment
from lading.errors import LadingError, ServiceError
from lading.export import records
from lading.locks import held
from lading.mqtt import broker_of, secure
from lading.opening import open_log, open_operator, open_operator_public
from lading.settings import Shared
from lading.topics import ASSIGNMENTS, gateway_topic

PUBLISH_LIMIT_S = 20.0
LOCK_LIMIT_S = 30.0
WAIT_S = 60.0  # a first start of ingest compiles its kernels before it takes anything
REMIND_S = 3.0
LOOK_S = 0.1
_READ_RECORDS = 1_000
ORDERS_LOST = "move it away where the log has every order that was given (docs/operations.md)"


def logged_orders(shared: Shared) -> list[Assignment]:
    """The operator's orders in the log; those of other operators are not its own."""
    operator = open_operator_public(shared)
    found = []
    with closing(open_log(shared)) as log:
        for record in records(log, ASSIGNMENTS):
            try:
                found.append(open_assignment(record.value, operator))
            except LadingError:
                continue
    return found


def take_number(shared: Shared, gateway: bytes) -> int:
    """One more than the newest order's, whether the log has it yet or not; remembered before it is used.

    A number may stay unused, but never names two orders: one process at a time, durable on return.
    """
    logged = max((order.order_seq for order in logged_orders(shared) if order.gateway == gateway), default=0)
    path = shared.lading.beside_operator(Path("orders.json"))
    lock = path.with_name(path.name + ".lock")
    with held(lock, LOCK_LIMIT_S) as is_mine:
        if not is_mine:
            raise ServiceError("orders_locked", f"{lock}: held for {LOCK_LIMIT_S:.0f} s")
        issued = read_issued(path)
        number = max(logged, issued.get(gateway.hex(), 0)) + 1
        draft = path.with_name(path.name + ".new")
        with draft.open("w") as file:
            file.write(json.dumps(issued | {gateway.hex(): number}))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    return number


def read_issued(path: Path) -> dict[str, int]:
    """The newest number by gateway id, as the file has it; none where there is no file. ServiceError `orders_file`."""
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as exc:
        raise ServiceError("orders_file", f"{path}: {exc}; {ORDERS_LOST}") from exc
    if not isinstance(found, dict) or not all(type(number) is int for number in found.values()):
        raise ServiceError("orders_file", f"{path}: no object of numbers; {ORDERS_LOST}")
    return found


def issue(shared: Shared, order: Assignment, wait_s: float) -> None:
    """Sign and publish an order, again now and then until the log has it: a broker that is killed forgets what it has
    acknowledged, and keeps only the newest order of a gateway. ServiceError `order_waiting` after `wait_s`; with 0
    nothing but the broker's word is waited for."""
    message = sign_assignment(order, open_operator(shared))
    topic = gateway_topic(shared.lading.tenant, order.gateway, "assignment")
    with closing(open_log(shared)) as log:
        at = log.end(ASSIGNMENTS)
        end_s = time.monotonic() + wait_s
        while True:
            _publish(shared, topic, message)
            remind_s = min(time.monotonic() + REMIND_S, end_s)
            while time.monotonic() < remind_s:
                found = log.read(ASSIGNMENTS, at, _READ_RECORDS)
                if any(record.value == message for record in found):
                    return
                at |= {record.partition: record.offset + 1 for record in found}
                time.sleep(LOOK_S)
            if time.monotonic() >= end_s:
                break
    if wait_s:
        raise ServiceError(
            "order_waiting",
            f"order {order.order_seq} is with the broker and not in the log after {wait_s:g} s: is ingest running? "
            "`lading leg list` shows when it is there; give no other order of this gateway before",
        )


def _publish(shared: Shared, topic: str, message: bytes) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2)
    broker = broker_of(shared, "operator")
    secure(client, broker)
    try:
        client.connect(broker.host, broker.port)
    except OSError as exc:
        raise ServiceError("broker", f"{shared.mqtt.host}:{shared.mqtt.port}: {exc}") from exc
    client.loop_start()
    sent = client.publish(topic, message, qos=1, retain=True)
    sent.wait_for_publish(PUBLISH_LIMIT_S)
    client.disconnect()
    client.loop_stop()
    if not sent.is_published():
        raise ServiceError("broker", f"no PUBACK for {topic} within {PUBLISH_LIMIT_S:.0f} s")
