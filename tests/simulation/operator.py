"""The people of the drill: an operator who orders legs by MQTT, carrier and shipper who agree on money over them."""

import time
from dataclasses import dataclass, field

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from contracts.agreements import Agreement, save
from contracts.legs import leg_terms
from contracts.parties import deposit, mint
from contracts.typed_data import Domain
from edge.simulation import CHANNELS, Channel
from lading import topics
from lading.assignment import BEGIN, END, Assignment, sign_assignment
from lading.chain import LATEST
from lading.deployment import Deployment
from lading.limits import ChannelLimits, Limits
from lading.names import LEG_SALT_BYTES, tenant_id
from lading.terms import Terms
from lading.tiers import Metric, Tier
from lading.topics import gateway_topic
from lading.tree import sha256
from tests.simulation.installation import (
    HOUR_MS,
    LEG_MS,
    TENANT,
    WINDOW_S,
    Installation,
    Member,
    leg_begin_ms,
)

MINUTE_MS = 60_000
REMIND_S = 3.0
READ_RECORDS = 1_000
BOND = 2_000_000_000
CHAIN_LIMIT_S = 120.0
DEADLINE_S = 4_102_444_800  # 2100: the chain has the wall clock, the legs are of 2025
TIERS = (
    Tier(0, Metric.LATE_MS, 0, 100_000_000),
    Tier(Channel.AIR, Metric.ABOVE_MS, 45 * MINUTE_MS, 250_000_000),
    Tier(Channel.AIR, Metric.ABOVE_LONGEST_MS, 30 * MINUTE_MS, 300_000_000),
    Tier(Channel.AIR, Metric.LONGEST_GAP_MS, HOUR_MS, 300_000_000),
)


def limits_of(member: Member) -> Limits:
    """At most 8 °C in the air but for half an hour at a time; of the other channels nothing is asked."""
    return Limits(
        tuple(
            ChannelLimits(channel, CHANNELS[Channel(channel)], 0, 8_000, above_stretch_max_ms=30 * MINUTE_MS)
            if channel == Channel.AIR
            else ChannelLimits(channel, CHANNELS[Channel(channel)])
            for channel in member.channels
        )
    )


@dataclass
class Operator:
    """Orders legs, number by number; `begun` and `terms` by the leg's reference."""

    site: Installation
    begun: dict[str, Assignment] = field(default_factory=dict)
    terms: dict[str, Terms] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="drill-operator")
        self._log = self.site.open_log()
        self._positions: dict[int, int] = {}
        self._unheard: dict[str, bytes] = {}
        self._remind_s = 0.0
        self._client.reconnect_delay_set(1, 2)
        self._client.connect("127.0.0.1", self.site.services.mqtt_port)
        self._client.loop_start()
        self._chain = self.site.chain()
        self._deployment = Deployment.load(self.site.data / "deployment.json")

    def begin(self, member: Member, leg: int) -> None:
        """Order a leg, agree on it and put up the bond."""
        begin_ms = leg_begin_ms(leg)
        reference = f"{member.name}-{leg}"
        order = Assignment(
            BEGIN,
            tenant_id(TENANT),
            self.site.gateway_id(member.name),
            2 * leg + 1,
            sha256(reference.encode())[:LEG_SALT_BYTES],
            reference,
            begin_ms,
            begin_ms,
            begin_ms + LEG_MS + HOUR_MS,
            limits_of(member),
        )
        self.begun[reference] = order
        self._order(order)
        self._agree(order)

    def end(self, member: Member, leg: int) -> None:
        """Order the leg's end."""
        begun = self.begun[f"{member.name}-{leg}"]
        self._order(
            Assignment(
                END,
                begun.tenant,
                begun.gateway,
                2 * leg + 2,
                begun.salt,
                begun.reference,
                leg_begin_ms(leg + 1),
                begun.begin_ms,
                begun.due_ms,
                None,
            )
        )

    def is_heard(self) -> bool:
        """Whether the log has the newest orders; what it lacks is published again, now and then.

        A broker that is killed forgets what it has acknowledged, and a retained message only the newest order.
        """
        while found := self._log.read(topics.ASSIGNMENTS, self._positions, READ_RECORDS):
            self._positions |= {one.partition: one.offset + 1 for one in found}
            logged = {one.value for one in found}
            self._unheard = {to: order for to, order in self._unheard.items() if order not in logged}
        if time.monotonic() >= self._remind_s:
            self._remind_s = time.monotonic() + REMIND_S
            for topic, message in self._unheard.items():
                self._client.publish(topic, message, qos=1, retain=True)
        return not self._unheard

    def close(self) -> None:
        """Leave broker and log."""
        self._log.close()
        self._client.disconnect()
        self._client.loop_stop()

    def _order(self, order: Assignment) -> None:
        topic = gateway_topic(TENANT, order.gateway, "assignment")
        message = self._unheard[topic] = sign_assignment(order, self.site.operator)
        self._remind_s = time.monotonic() + REMIND_S
        self._client.publish(
            topic, message, qos=1, retain=True
        )  # a broker that is away gets it with a reminder

    def _agree(self, order: Assignment) -> None:
        carrier, shipper = self.site.account("carrier"), self.site.account("shipper")
        self.site.until("the chain answers", lambda: self._chain.height(LATEST) >= 0, CHAIN_LIMIT_S)
        mint(self._chain, self._deployment, carrier, BOND)
        deposit(self._chain, self._deployment, carrier, BOND)
        terms = Terms(
            carrier.address,
            shipper.address,
            self._deployment.token,
            order.tenant,
            2 * WINDOW_S,
            0,
            BOND,
            BOND,
            len(self.terms),
            (leg_terms(order, DEADLINE_S),),
            TIERS,
        )
        self.terms[order.reference] = terms
        domain = Domain(self._chain.chain_id, self._deployment.escrow)
        save(self.site.data / "agreements", Agreement.sign(terms, domain, carrier, shipper))
