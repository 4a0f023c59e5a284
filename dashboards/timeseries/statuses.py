"""What gateways say of themselves on MQTT, as an ordinary subscriber: losing one costs nothing."""

import json
from collections.abc import Iterator
from typing import Any

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion

from dashboards.timeseries import schema
from dashboards.timeseries.lines import NS_A_MS, Value, line
from dashboards.timeseries.names import Names
from dashboards.timeseries.pulse import Moments
from lading.errors import LadingError
from lading.fields import TIME_MS_MAX, U64_MAX
from lading.log import wall_ms
from lading.mqtt import Broker, secure
from lading.topics import ROOT

KEEPALIVE_S = 30
STATUS_BYTES_MAX = 4_096
STATUS_TOPICS = f"{ROOT}/+/+/status"

_COUNTS = {
    "outbox_frames": "frames_waiting",
    "outbox_bytes": "frames_waiting_bytes",
    "readings_pending": "readings_pending",
    "readings_refused": "readings_refused",
    "frame_seq_next": "frame_seq_next",
}
"""Field to key of the status document."""


class StatusListener:
    """A client that connects by itself."""

    def __init__(self, names: Names, moments: Moments, broker: Broker, client_id: str) -> None:
        self._names = names
        self._moments = moments
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id)
        self._client.on_connect = lambda client, *_: client.subscribe(STATUS_TOPICS, qos=0)
        self._client.on_message = self._on_message
        secure(self._client, broker)
        self._client.connect_async(broker.host, broker.port, KEEPALIVE_S)

    def start(self) -> None:
        """Connect in the background."""
        self._client.loop_start()

    def stop(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        try:
            found = status_lines(self._names, message.topic, message.payload, wall_ms(), message.retain)
            self._moments.add(iter(list(found)))
        except (ValueError, RecursionError, LadingError) as exc:
            structlog.get_logger().warning(
                "status_unreadable", topic=message.topic[:200], reason=str(exc)[:200]
            )


def status_lines(names: Names, topic: str, payload: bytes, now_ms: int, is_retained: bool) -> Iterator[bytes]:
    """A status message's point; ValueError when it is none. Who spoke is told by the topic, which the broker guards."""
    if len(payload) > STATUS_BYTES_MAX:
        raise ValueError(f"{len(payload)} bytes, wanted at most {STATUS_BYTES_MAX}")
    gateway_id = bytes.fromhex(topic.split("/")[3])
    document = json.loads(payload)
    if not isinstance(document, dict) or document.get("state") not in ("online", "offline"):
        raise ValueError("no object with state online or offline")
    values: dict[str, Value] = {"online": document["state"] == "online"}
    for field, key in _COUNTS.items():
        values[field] = _number(document.get(key), U64_MAX)
    full = document.get("outbox_full")
    values["outbox_full"] = full if isinstance(full, bool) else None
    sent_ms = _number(document.get("time_ms"), TIME_MS_MAX)
    values["clock_behind_s"] = None if sent_ms is None or is_retained else (now_ms - sent_ms) / 1000
    of = names.gateway(gateway_id)
    yield line(schema.STATUS, {"tenant": of.tenant, "gateway": of.gateway}, values, now_ms * NS_A_MS)


def _number(value: Any, value_max: int) -> int | None:
    """A whole number from 0 on, or nothing."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 <= value <= value_max else None
