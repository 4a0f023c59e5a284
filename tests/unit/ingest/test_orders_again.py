"""Which orders are published again, from what the log has and what the broker was seen to have."""

from pathlib import Path

import pytest

from ingest.lost_orders import SETTLE_S, LostOrders
from lading.errors import ServiceError
from lading.gateways import GatewayEntry
from lading.log import SqliteLog
from lading.topics import ASSIGNMENTS
from tests.unit.ingest.truck import Fleet, Truck


class FailingFleet(Fleet):
    """A registry's view whose file can be away."""

    is_away = False

    def find(self, gateway_id: bytes) -> GatewayEntry | None:
        if self.is_away:
            raise ServiceError("gateways_file", "it is away, by the test")
        return super().find(gateway_id)


class Site:
    """A log, a clock, and the retained order of one gateway as a broker would keep it."""

    def __init__(self, folder: Path, truck: Truck) -> None:
        self.now_s = 0.0
        self.truck = truck
        self.log = SqliteLog(folder / "log.sqlite")
        self.fleet = FailingFleet(truck)
        self.orders = LostOrders(self.log, self.fleet, lambda: self.now_s)

    def keep(self, order: bytes) -> None:
        self.log.append(ASSIGNMENTS, [(self.truck.id, order)])

    def settle(self) -> list[bytes]:
        """What is published once the time is over. The step before reads the log to its end."""
        self.now_s += SETTLE_S
        found = [*self.orders.step(), *self.orders.step()]
        assert {topic for topic, _ in found} <= {self.truck.order_topic}
        return [message for _, message in found]


def test_nothing_is_published_twice(tmp_path: Path) -> None:
    """The order that was published comes back by the subscription, and that is the end of it."""
    truck = Truck()
    site = Site(tmp_path, truck)
    first, second = truck.order(), truck.order()
    site.keep(first)
    site.keep(second)
    site.orders.connected()
    assert site.settle() == [second]
    site.orders.saw(second)
    assert site.settle() == []


def test_an_older_order_does_not_stay_in_a_newer_one_s_place(tmp_path: Path) -> None:
    """The newer one was on its way into the log when the older was published over it: it is published after that."""
    truck = Truck()
    site = Site(tmp_path, truck)
    older, newer = truck.order(), truck.order()
    site.keep(older)
    site.orders.connected()
    assert site.settle() == [older], "the newer one waited in the receiver, the log being away"
    site.keep(newer)
    site.orders.saw(newer)
    site.orders.saw(older)
    assert site.settle() == [newer]
    site.orders.saw(newer)
    assert site.settle() == []


def test_a_broker_that_keeps_no_order_is_not_asked_for_ever(tmp_path: Path) -> None:
    """What was published and never seen, as where the access list denies it, waits for the next connection."""
    truck = Truck()
    site = Site(tmp_path, truck)
    order = truck.order()
    site.keep(order)
    site.orders.connected()
    assert site.settle() == [order]
    assert site.settle() == []
    site.orders.connected()
    assert site.settle() == [order]


def test_a_registry_that_fails_once_keeps_no_order_back(tmp_path: Path) -> None:
    """The step says so, and the next one publishes."""
    truck = Truck()
    site = Site(tmp_path, truck)
    order = truck.order()
    site.keep(order)
    site.orders.connected()
    site.fleet.is_away = True
    with pytest.raises(ServiceError, match="gateways_file"):
        site.settle()
    site.fleet.is_away = False
    assert [message for _, message in site.orders.step()] == [order]
