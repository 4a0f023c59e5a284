"""What the operator types becomes the order it means."""

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from lading.assignment import BEGIN, END, Assignment
from lading.errors import ServiceError
from lading.leg_cli import open_legs, to_end, utc_ms
from lading.orders import read_issued

TRUCK, OTHER_TRUCK = b"\x01" * 32, b"\x02" * 32


def order(action: int, gateway: bytes, order_seq: int, leg: int, reference: str = "PO 77") -> Assignment:
    return Assignment(
        action, bytes(32), gateway, order_seq, bytes([leg]) * 16, reference, 1_000 * order_seq, 0, 0, None
    )


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock shows Tokyo's time."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("far_east")
def test_due_is_utc_wherever_the_operator_sits() -> None:
    """`--due` says UTC: 2026-01-01T00:00:00 is the spec's 1767225600000, not nine hours earlier."""
    assert utc_ms(datetime.fromisoformat("2026-01-01")) == 1_767_225_600_000


def test_a_gateway_has_one_open_leg_at_most() -> None:
    """Each gateway's newest begin is open until its end is ordered, in whatever order the log has them."""
    first, second = order(BEGIN, TRUCK, 1, 1), order(BEGIN, TRUCK, 2, 2, "PO 78")
    elsewhere = order(BEGIN, OTHER_TRUCK, 1, 3)
    assert open_legs([second, elsewhere, first]) == [elsewhere, second]
    assert open_legs([second, elsewhere, first, order(END, TRUCK, 3, 2, "PO 78")]) == [elsewhere]


def test_one_shipment_on_two_trucks_is_ended_leg_by_leg() -> None:
    """A reference that two open legs have ends neither; an id, or the beginning of one, ends the one it means."""
    first, second = order(BEGIN, TRUCK, 1, 1), order(BEGIN, OTHER_TRUCK, 5, 2)
    with pytest.raises(ServiceError, match=f"{first.leg_id.hex()[:16]}, {second.leg_id.hex()[:16]}"):
        to_end([first, second], "PO 77")
    assert to_end([first, second], first.leg_id.hex()) == first
    assert to_end([first, second], second.leg_id.hex()[:8]) == second
    assert to_end([first, second, order(END, TRUCK, 2, 1)], "PO 77") == second
    with pytest.raises(ServiceError, match="no begin order of 'PO 7'"):
        to_end([first, second], "PO 7")


def test_an_end_that_was_lost_is_ordered_again() -> None:
    """A leg whose end was ordered is ended once more on demand: a broker may have lost the order."""
    begun = order(BEGIN, TRUCK, 1, 1)
    assert to_end([begun, order(END, TRUCK, 2, 1)], "PO 77") == begun


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[1]", b'{"00": "7"}', b'{"00": true}'])
def test_a_damaged_list_of_numbers_is_said(tmp_path: Path, content: bytes) -> None:
    """Order numbers are never guessed: a list that is no list is named, with what to do."""
    (tmp_path / "orders.json").write_bytes(content)
    with pytest.raises(
        ServiceError, match=r"orders_file: .*orders.json: .*move it away where the log has every order"
    ):
        read_issued(tmp_path / "orders.json")
