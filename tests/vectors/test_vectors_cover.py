"""Python agrees with the frozen vectors of policies, what is due of them, and the records of payouts."""

from typing import Any

import pytest

from contracts.policies import policy_hash
from lading.due import due, reached_bits
from lading.errors import MalformedError
from lading.payout import decode_settled
from lading.policy import Policy
from lading.terms import Leg
from lading.tiers import Tier
from tests.vectors.read import cases
from tests.vectors.test_vectors_settlement import seen_of


@cases("cover", "policies")
def test_policies(case: dict[str, Any]) -> None:
    if case["error"]:
        with pytest.raises(MalformedError) as caught:
            Policy.decode(case["bytes"])
        assert caught.value.code == "policy"
        return
    found = Policy.decode(case["bytes"])
    for name in Policy.__slots__[:-2]:
        assert getattr(found, name) == case[name]
    assert (found.leg, found.tiers) == (Leg(**case["leg"]), tuple(Tier(*tier) for tier in case["tiers"]))
    assert found.encode() == case["bytes"]
    assert policy_hash(found) == case["struct_hash"]


@cases("cover", "payouts")
def test_payouts(case: dict[str, Any]) -> None:
    policy = Policy.decode(case["policy"])
    most = policy.uncertainty_max_milli
    certificates = {one["channel"]: one["uncertainty_milli"] for one in case["certificates"]}
    counted = {channel: milli for channel, milli in certificates.items() if milli <= most} if most else None
    seen = seen_of(case, counted)
    assert reached_bits(policy.leg_terms, seen) == sum(1 << index for index in case["reached"])
    assert policy.payout(due(policy.leg_terms, seen)) == case["payout"]


@cases("cover", "records")
def test_records(case: dict[str, Any]) -> None:
    if case["error"]:
        with pytest.raises(MalformedError):
            decode_settled(case["bytes"])
        return
    assert decode_settled(case["bytes"]).encode() == case["bytes"]
