"""What a cover paid is a point and an annotation, as a penalty is."""

from dataclasses import replace

from dashboards import marks
from dashboards.timeseries.names import Names
from dashboards.timeseries.records import settlement_line
from lading.gateways import GatewayEntry
from lading.log import Record
from lading.payout import Payout
from tests.legs import GATEWAY, TENANT
from tests.vectors.read import vectors

TIME_MS = 1_760_000_000_000


class Fleet:
    """Every gateway is truck 1."""

    def find(self, gateway_id: bytes) -> GatewayEntry:
        _ = gateway_id
        return GatewayEntry(GATEWAY.public, TENANT, name="truck 1")


def payout() -> Payout:
    (found,) = [one for one in vectors("cover")["records"] if one["name"] == "a payout, part of it owed"]
    return Payout.decode(found["bytes"])


def test_a_payout_is_a_point_of_its_leg() -> None:
    """Measurement settlement: its kind, amount and cover; the tenant is that of the gateway in the policy."""
    one = payout()
    record = Record(0, 5, one.cover, one.encode(), TIME_MS)
    text = settlement_line(record, one, Names(Fleet(), {}, lambda _: "PO 77")).decode()
    assert text.startswith(f"settlement,tenant={TENANT},leg=PO\\ 77,kind=payout ")
    assert "amount=250" in text
    assert f'agreement="{one.cover.hex()}"' in text


def test_a_payout_is_an_annotation() -> None:
    """What was paid, or that nothing was due; found again by the cover, so that nothing is written twice."""
    one = payout()
    mark = marks.of_settlement(one, "PO 77", TIME_MS)
    assert mark.text == f"PO 77: payout of 250 paid, transaction 0x{one.tx_hash.hex()}"
    assert mark.tags == ("settlement", "leg:PO 77", "kind:payout")
    assert marks.of_settlement(one, "PO 77", TIME_MS + 1).id == mark.id
    lapse = marks.of_settlement(replace(one, amount=0, owed=0), "PO 77", TIME_MS)
    assert lapse.text.startswith("PO 77: cover lapsed, nothing due, transaction 0x")
