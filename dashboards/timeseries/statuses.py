"""What gateways say of themselves on MQTT, as an ordinary subscriber: losing one costs nothing."""

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
from lading.heard import STATUS_TOPICS, read_status
from lading.log import wall_ms
from lading.mqtt import Broker, secure

KEEPALIVE_S = 30

_FIELDS = {
    "online": "online",
    "outbox_frames": "frames_waiting",
    "outbox_bytes": "frames_waiting_bytes",
    "readings_pending": "readings_pending",
    "readings_refused": "readings_refused",
    "frame_seq_next": "frame_seq_next",
    "outbox_full": "outbox_full",
}
"""Field to what a status says."""


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
    """A status message's point; ValueError when it is none."""
    gateway_id, said = read_status(topic, payload)
    values: dict[str, Value] = {field: said[key] for field, key in _FIELDS.items()}
    sent_ms = said["time_ms"]
    values["clock_behind_s"] = None if sent_ms is None or is_retained else (now_ms - sent_ms) / 1000
    of = names.gateway(gateway_id)
    yield line(schema.STATUS, {"tenant": of.tenant, "gateway": of.gateway}, values, now_ms * NS_A_MS)
