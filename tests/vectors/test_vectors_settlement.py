"""Python agrees with the frozen vectors of terms and what they make due, of both versions."""

from typing import Any

import pytest

from contracts.typed_data import terms_hash
from lading.due import Seen, due, reached_bits
from lading.errors import MalformedError
from lading.terms import Leg, Terms
from lading.terms_v1 import TermsV1
from lading.tiers import Tier
from lading.totals import Totals
from tests.vectors.read import cases

NESTED = ("legs", "tiers")


def check_terms(kind: type[Terms] | type[TermsV1], case: dict[str, Any]) -> Terms | TermsV1 | None:
    """The terms of a case that is to be accepted; None where it was refused, as it says."""
    if case["error"]:
        with pytest.raises(MalformedError) as caught:
            kind.decode(case["bytes"])
        assert caught.value.code == "terms"
        return None
    found = kind.decode(case["bytes"])
    for name in [name for name in kind.__dataclass_fields__ if name not in NESTED]:
        assert getattr(found, name) == case[name]
    assert found.tiers == tuple(Tier(*tier) for tier in case["tiers"])
    assert found.encode() == case["bytes"]
    return found


def seen_of(case: dict[str, Any], counted: dict[int, int] | None) -> Seen | None:
    """The frame of a case."""
    totals = {one["channel"]: Totals.decode(one["bytes"]) for one in case["totals"]}
    if case["frame"] == "none":
        return None
    return Seen(totals, case["sent_ms"], case["frame"] == "closing", counted)


@cases("settlement2", "terms")
def test_terms(case: dict[str, Any]) -> None:
    found = check_terms(Terms, case)
    if found is not None:
        assert found.legs == tuple(Leg(**one) for one in case["legs"])
        assert terms_hash(found) == case["struct_hash"]


@cases("settlement2", "due")
def test_due(case: dict[str, Any]) -> None:
    terms = Terms.decode(case["terms"])
    spent = 0
    for step in case["legs"]:
        certificates = {one["channel"]: one["uncertainty_milli"] for one in step["certificates"]}
        most = terms.uncertainty_max_milli
        counted = (
            {channel: milli for channel, milli in certificates.items() if milli <= most} if most else None
        )
        leg, seen = terms.leg_terms(step["leg"]), seen_of(step, counted)
        assert reached_bits(leg, seen) == sum(1 << index for index in step["reached"])
        penalty = min(due(leg, seen), terms.bond - spent)
        assert penalty == step["penalty"]
        spent += penalty
    if len(case["legs"]) == len(terms.legs):
        assert terms.bond - spent == case["legs"][-1]["rest"]


@cases("settlement", "terms")
def test_terms_of_version_1(case: dict[str, Any]) -> None:
    check_terms(TermsV1, case)


@cases("settlement", "due")
def test_due_of_version_1(case: dict[str, Any]) -> None:
    terms = TermsV1.decode(case["terms"])
    penalty = due(terms.leg_terms(0), seen_of(case, None))
    found = ("penalty", penalty, terms.bond - penalty) if penalty else ("release", terms.bond, 0)
    assert found == (case["kind"], case["amount"], case["rest"])
