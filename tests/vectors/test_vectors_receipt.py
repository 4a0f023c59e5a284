"""receipt.json: Python accepts and refuses what the vectors say."""

from typing import Any

import pytest

from lading.errors import MalformedError
from lading.receipt import RECEIPT_BYTES_MAX, Receipt
from tests.vectors.read import cases


@cases("receipt", "receipts")
def test_receipt(case: dict[str, Any]) -> None:
    """Every accepted document comes out as it was; nothing else decodes."""
    if case["error"]:
        with pytest.raises(MalformedError):
            Receipt.decode(case["bytes"])
    else:
        assert Receipt.decode(case["bytes"]).encode() == case["bytes"]


def test_the_longest_receipt_fits() -> None:
    """The bound in bytes is no tighter than the bound in items."""
    longest = Receipt(tuple((2**64 - 1, bytes(32)) for _ in range(256))).encode()
    assert len(longest) <= RECEIPT_BYTES_MAX
