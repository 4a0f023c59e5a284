"""The shipper's side of the demo: signs leg orders and publishes them, retained, as an operator would."""

import random
from dataclasses import dataclass, field

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from lading.assignment import BEGIN, END, Assignment, sign_assignment
from lading.cose import Signer
from lading.errors import ServiceError
from lading.limits import Limits
from lading.names import LEG_SALT_BYTES, tenant_id
from lading.topics import gateway_topic

PUBLISH_LIMIT_S = 20.0


@dataclass
class Operator:
    """Issues orders, numbered by gateway. `salts` makes leg ids unguessable, and repeatable from a seed."""

    host: str
    port: int
    tenant: str
    signer: Signer
    salts: random.Random
    order_seqs: dict[bytes, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="lading-demo-operator")
        self._client.connect(self.host, self.port)
        self._client.loop_start()

    def begin(
        self, gateway: bytes, reference: str, limits: Limits, begin_ms: int, due_ms: int, now_ms: int
    ) -> Assignment:
        """Order a gateway to begin a leg."""
        salt = self.salts.randbytes(LEG_SALT_BYTES)
        return self._issue(
            Assignment(
                BEGIN,
                tenant_id(self.tenant),
                gateway,
                self._next_seq(gateway),
                salt,
                reference,
                now_ms,
                begin_ms,
                due_ms,
                limits,
            )
        )

    def end(self, leg: Assignment, now_ms: int) -> Assignment:
        """Order a gateway to end a leg."""
        return self._issue(
            Assignment(
                END,
                leg.tenant,
                leg.gateway,
                self._next_seq(leg.gateway),
                leg.salt,
                leg.reference,
                now_ms,
                leg.begin_ms,
                leg.due_ms,
                None,
            )
        )

    def close(self) -> None:
        """Leave the broker."""
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish retained, and wait for the broker's PUBACK. ServiceError `broker` without one."""
        sent = self._client.publish(topic, payload, qos=1, retain=True)
        sent.wait_for_publish(PUBLISH_LIMIT_S)
        if not sent.is_published():
            raise ServiceError("broker", f"no PUBACK for {topic} within {PUBLISH_LIMIT_S:.0f} s")

    def _issue(self, order: Assignment) -> Assignment:
        self.publish(
            gateway_topic(self.tenant, order.gateway, "assignment"), sign_assignment(order, self.signer)
        )
        return order

    def _next_seq(self, gateway: bytes) -> int:
        self.order_seqs[gateway] = self.order_seqs.get(gateway, 0) + 1
        return self.order_seqs[gateway]
