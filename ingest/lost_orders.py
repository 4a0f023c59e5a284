"""Orders that a broker has lost are published anew, retained, from the log (docs/adr/0041-broker-durability.md).

A gateway that was away when an order came gets it from the broker's retained messages; a broker that was killed may
have none. Orders are signed and numbered, so one that comes twice changes nothing. But an older one that is published
again takes the place of a newer one that the log has not yet: so every order that comes is a reason to compare anew.
"""

from collections.abc import Callable, Iterator

from lading.assignment import read_assignment
from lading.errors import LadingError
from lading.gateways import Gateways
from lading.log import Log
from lading.topics import ASSIGNMENTS, gateway_topic

SETTLE_S = 5.0  # after a connection or an order: time for what the broker has, and for the log
RECORDS_A_STEP = 1_000
GATEWAYS_MAX = 100_000


class LostOrders:
    """Compares the newest orders in the log with what the broker has retained. One thread."""

    def __init__(self, log: Log, gateways: Gateways, monotonic_s: Callable[[], float]) -> None:
        self._log = log
        self._gateways = gateways
        self._monotonic_s = monotonic_s
        self._due_s: float | None = None
        self._retained: dict[bytes, int] = {}  # gateway: number of the order that the broker has
        self._newest: dict[bytes, tuple[int, bytes]] = {}  # gateway: number and message in the log
        self._positions: dict[int, int] = {}

    def connected(self) -> None:
        """There is a new connection: the broker sends what it has retained."""
        self._due_s = self._monotonic_s() + SETTLE_S
        self._retained = {}

    def saw(self, data: bytes) -> None:
        """An order came by the connection of now: a gateway's last one is what the broker has retained."""
        try:
            order = read_assignment(data)
        except LadingError:
            return
        if order.gateway in self._retained or len(self._retained) < GATEWAYS_MAX:
            self._retained[order.gateway] = order.order_seq
        if self._due_s is None:
            self._due_s = self._monotonic_s() + SETTLE_S

    def step(self) -> list[tuple[str, bytes]]:
        """Topic and message of orders to publish, retained. ServiceError when the log cannot be read."""
        if self._due_s is None or self._monotonic_s() < self._due_s:
            return []
        if self._follow():
            return []
        missing = list(self._missing())  # may fail, and is due again then
        self._due_s = None
        return missing

    def _follow(self) -> int:
        """Read on in the log's orders; how many there were."""
        records = self._log.read(ASSIGNMENTS, self._positions, RECORDS_A_STEP)
        for record in records:
            self._positions[record.partition] = record.offset + 1
            order = read_assignment(record.value)
            known = self._newest.get(order.gateway)
            if (known or len(self._newest) < GATEWAYS_MAX) and (not known or order.order_seq > known[0]):
                self._newest[order.gateway] = (order.order_seq, record.value)
        return len(records)

    def _missing(self) -> Iterator[tuple[str, bytes]]:
        for gateway, (order_seq, message) in self._newest.items():
            if self._retained.get(gateway, 0) >= order_seq:
                continue
            entry = self._gateways.find(gateway)
            if entry is not None:
                yield gateway_topic(entry.tenant, gateway, "assignment"), message
