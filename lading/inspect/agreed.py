"""What parties sign: terms of both versions and policies by their ABI words, and whether the documents hold."""

from dataclasses import fields
from typing import Any

from lading import fields as fields_of
from lading.abi_words import WORD
from lading.cbor import open_document
from lading.errors import MalformedError
from lading.inspect.node import Node, time_note
from lading.limits import LIMITS_BYTES_MAX, Limits
from lading.names import LEG_SALT_BYTES, REFERENCE_BYTES_MAX, leg_id
from lading.policy import POLICY_HEAD_KINDS, Policy
from lading.settlement import TERMS_BYTES_MAX
from lading.terms import HEAD_KINDS, LEG_KINDS, LEGS_MAX, Leg, Terms
from lading.terms_v1 import HEAD_KINDS as HEAD_KINDS_V1
from lading.terms_v1 import TermsV1
from lading.tiers import TIER_KINDS, Metric, Tier

SIGNED_BYTES_MAX = 524_288  # of an agreement, the longest of them
_LEG_BYTES, _TIER_BYTES = len(LEG_KINDS) * WORD, len(TIER_KINDS) * WORD


def read_terms(data: bytes, at: int) -> tuple[Node, ...]:
    """Head, legs, tiers."""
    terms = Terms.decode(data[at:])
    head = at + WORD
    legs_at = head + (len(HEAD_KINDS) + 3) * WORD  # after the two places and the number of legs
    tiers_at = legs_at + len(terms.legs) * _LEG_BYTES + WORD
    legs = (
        Node(f"leg {i}", legs_at + i * _LEG_BYTES, _LEG_BYTES, "", "", _leg(leg, legs_at + i * _LEG_BYTES))
        for i, leg in enumerate(terms.legs)
    )
    return (*_head(terms, head, len(HEAD_KINDS)), *legs, *_tiers(terms.tiers, tiers_at))


def read_terms_v1(data: bytes, at: int) -> tuple[Node, ...]:
    """Head, tiers."""
    terms = TermsV1.decode(data[at:])
    tiers_at = at + WORD + (len(HEAD_KINDS_V1) + 2) * WORD
    return (*_head(terms, at + WORD, len(HEAD_KINDS_V1)), *_tiers(terms.tiers, tiers_at))


def read_policy(data: bytes, at: int) -> tuple[Node, ...]:
    """Head, leg, tiers."""
    policy = Policy.decode(data[at:])
    leg_at = at + WORD + len(POLICY_HEAD_KINDS) * WORD
    leg = Node("leg", leg_at, _LEG_BYTES, "", "", _leg(policy.leg, leg_at))
    tiers_at = leg_at + _LEG_BYTES + 2 * WORD  # after their place and their number
    return (*_head(policy, at + WORD, len(POLICY_HEAD_KINDS)), leg, *_tiers(policy.tiers, tiers_at))


def check_agreement(data: bytes) -> None:
    """MalformedError unless terms and disclosures of `lading/agreement/2` decode; signatures are not checked."""
    _, _, signed, shown, *_ = open_document(data, "lading/agreement/2", 7, SIGNED_BYTES_MAX)
    terms = Terms.decode(fields_of.blob(signed, "terms", TERMS_BYTES_MAX))
    disclosures = fields_of.items(shown, "disclosures", LEGS_MAX, count=len(terms.legs))
    for leg, disclosure in zip(terms.legs, disclosures, strict=True):
        _check_disclosure(leg, disclosure)


def check_agreement_v1(data: bytes) -> None:
    """MalformedError unless the terms of `lading/agreement/1` decode."""
    signed, *_ = open_document(data, "lading/agreement/1", 4, SIGNED_BYTES_MAX)
    TermsV1.decode(fields_of.blob(signed, "terms", TERMS_BYTES_MAX))


def check_cover(data: bytes) -> None:
    """MalformedError unless policy and disclosure of `lading/cover/1` decode; the signature is not checked."""
    _, _, signed, shown, _ = open_document(data, "lading/cover/1", 6, SIGNED_BYTES_MAX)
    _check_disclosure(Policy.decode(fields_of.blob(signed, "policy", TERMS_BYTES_MAX)).leg, shown)


def _check_disclosure(leg: Leg, disclosure: Any) -> None:
    if disclosure is None:
        return
    reference, salt, limits = fields_of.items(disclosure, "disclosure", 3, count=3)
    text = fields_of.text(reference, "reference", REFERENCE_BYTES_MAX)
    found = leg_id(fields_of.fixed(salt, "salt", LEG_SALT_BYTES), text)
    limits_hash = Limits.decode(fields_of.blob(limits, "limits", LIMITS_BYTES_MAX)).hash
    if (found, limits_hash) != (leg.leg_id, leg.limits_hash):
        raise MalformedError("disclosure", f"{text!r} and its limits are not those of leg {leg.leg_id.hex()}")


def _head(terms: Terms | TermsV1 | Policy, at: int, count: int) -> list[Node]:
    return _words(terms, [field.name for field in fields(terms)][:count], at)


def _leg(leg: Leg, at: int) -> tuple[Node, ...]:
    return tuple(_words(leg, [field.name for field in fields(leg)], at))


def _words(record: Any, names: list[str], at: int) -> list[Node]:
    return [_word(name, getattr(record, name), at + i * WORD) for i, name in enumerate(names)]


def _word(name: str, value: int | bytes, at: int) -> Node:
    if isinstance(value, bytes):
        return Node(name, at, WORD, value.hex())
    note = time_note(value) if name.endswith("_ms") else ""
    if name in ("deadline_s", "start_s", "quote_until_s"):
        note = time_note(value * 1000)
    return Node(name, at, WORD, str(value), note)


def _tiers(tiers: tuple[Tier, ...], at: int) -> list[Node]:
    return [
        Node(
            f"tier {i}",
            at + i * _TIER_BYTES,
            _TIER_BYTES,
            f"{Metric(one.metric).name.lower()} > {one.threshold} on channel {one.channel}: {one.amount}",
        )
        for i, one in enumerate(tiers)
    ]
