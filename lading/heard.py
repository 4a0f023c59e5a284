"""What gateways say of themselves on MQTT: unsigned, so for looking at alone. Who spoke is told by the topic, which the
broker guards."""

import json
import time
from collections.abc import Iterable, Mapping
from threading import Condition
from types import MappingProxyType
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from lading.errors import ServiceError
from lading.fields import TIME_MS_MAX, U64_MAX
from lading.mqtt import Broker, secure
from lading.topics import ROOT, gateway_topic

STATUS_TOPICS = f"{ROOT}/+/+/status"
STATUS_BYTES_MAX = 4_096
QUIET_S = 0.5  # retained messages come one after the other

BOUNDS: Mapping[str, int] = MappingProxyType(
    {
        "time_ms": TIME_MS_MAX,
        "frame_seq_next": U64_MAX,
        "frames_waiting": U64_MAX,
        "frames_waiting_bytes": U64_MAX,
        "readings_pending": U64_MAX,
        "readings_refused": U64_MAX,
    }
)
"""The counts of a status, and the greatest that each may be."""

Status = dict[str, Any]


def read_status(topic: str, payload: bytes) -> tuple[bytes, Status]:
    """Gateway id and what it says: `online`, the counts of `BOUNDS` and `outbox_full`, each None where it is not as it
    should be. ValueError when the message is no status."""
    if len(payload) > STATUS_BYTES_MAX:
        raise ValueError(f"{len(payload)} bytes, wanted at most {STATUS_BYTES_MAX}")
    gateway_id = bytes.fromhex(topic.split("/")[3])
    document = json.loads(payload)
    if not isinstance(document, dict) or document.get("state") not in ("online", "offline"):
        raise ValueError("no object with state online or offline")
    found: Status = {"online": document["state"] == "online"}
    for key, value_max in BOUNDS.items():
        found[key] = _number(document.get(key), value_max)
    full = document.get("outbox_full")
    return gateway_id, found | {"outbox_full": full if isinstance(full, bool) else None}


def hear_statuses(
    broker: Broker, gateways: Iterable[tuple[str, bytes]], within_s: float
) -> dict[bytes, Status]:
    """The retained statuses of (tenant, gateway id), by gateway id: those that the broker has and shows.

    Waits until all are there or nothing more comes. ServiceError `broker` when it cannot be asked.
    """
    topics = {gateway_topic(tenant, gateway_id, "status") for tenant, gateway_id in gateways}
    hearing = _Hearing(topics)
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_connect = lambda client, *_: client.subscribe(STATUS_TOPICS, qos=1)
    client.on_message = lambda _client, _data, message: hearing.take(message.topic, bytes(message.payload))
    secure(client, broker)
    try:
        client.connect(broker.host, broker.port)
    except OSError as exc:
        raise ServiceError("broker", f"{broker.host}:{broker.port}: {exc}") from exc
    client.loop_start()
    try:
        return hearing.result(within_s)
    finally:
        client.disconnect()
        client.loop_stop()


class _Hearing:
    """Collects on the client's thread, waits on the caller's."""

    def __init__(self, topics: set[str]) -> None:
        self._topics = topics
        self._found: dict[bytes, Status] = {}
        self._changed = Condition()

    def take(self, topic: str, payload: bytes) -> None:
        if topic not in self._topics:
            return
        try:
            gateway_id, status = read_status(topic, payload)
        except (ValueError, RecursionError):
            return
        with self._changed:
            self._found[gateway_id] = status
            self._changed.notify()

    def result(self, within_s: float) -> dict[bytes, Status]:
        end_s = time.monotonic() + within_s
        with self._changed:
            while len(self._found) < len(self._topics) and time.monotonic() < end_s:
                if not self._changed.wait(min(QUIET_S, within_s)) and self._found:
                    break
            return dict(self._found)


def _number(value: Any, value_max: int) -> int | None:
    """A whole number from 0 on, or nothing."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 <= value <= value_max else None
