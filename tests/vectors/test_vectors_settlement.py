"""Python agrees with the frozen vectors of terms and what they make due."""

from typing import Any

import pytest

from lading.errors import MalformedError
from lading.terms import Terms, Tier, due_from_closing, due_from_shown
from lading.totals import Totals
from tests.vectors.read import cases


@cases("settlement", "terms")
def test_terms(case: dict[str, Any]) -> None:
    if case["error"]:
        with pytest.raises(MalformedError) as caught:
            Terms.decode(case["bytes"])
        assert caught.value.code == "terms"
        return
    found = Terms.decode(case["bytes"])
    for name in [name for name in Terms.__dataclass_fields__ if name != "tiers"]:
        assert getattr(found, name) == case[name]
    assert found.tiers == tuple(Tier(*tier) for tier in case["tiers"])
    assert found.encode() == case["bytes"]


@cases("settlement", "due")
def test_due(case: dict[str, Any]) -> None:
    terms = Terms.decode(case["terms"])
    totals = {one["channel"]: Totals.decode(one["bytes"]) for one in case["totals"]}
    if case["frame"] == "closing":
        payment = due_from_closing(terms, totals, case["sent_ms"])
    else:
        payment = due_from_shown(terms, totals if case["frame"] == "shown" else None, case["sent_ms"])
    assert payment == (case["kind"], case["amount"], case["rest"])
