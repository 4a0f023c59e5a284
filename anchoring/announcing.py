"""The newest finalized anchor, retained on MQTT, so that gateways can name it in their frames."""

import threading
from collections.abc import Sequence

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from lading.batch import AnchorRecord
from lading.mqtt import Broker, secure
from lading.topics import anchors_topic

KEEPALIVE_S = 30


class Announcer:
    """A client that connects by itself and publishes again whenever it is back: losing it costs freshness alone."""

    def __init__(self, broker: Broker, client_id: str) -> None:
        self._newest: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=client_id)
        self._client.on_connect = lambda *_: self._publish_all()
        secure(self._client, broker)
        self._client.connect_async(broker.host, broker.port, KEEPALIVE_S)
        self._client.loop_start()

    def __call__(self, anchor: AnchorRecord, tenants: Sequence[str]) -> None:
        """Announce an anchor to the tenants' gateways."""
        with self._lock:
            self._newest = {anchors_topic(tenant): anchor.encode() for tenant in tenants}
        if self._client.is_connected():
            self._publish_all()

    def close(self) -> None:
        """Disconnect; what was announced stays with the broker."""
        self._client.disconnect()
        self._client.loop_stop()

    def _publish_all(self) -> None:
        with self._lock:
            newest = dict(self._newest)
        for topic, payload in newest.items():
            self._client.publish(topic, payload, qos=1, retain=True)
