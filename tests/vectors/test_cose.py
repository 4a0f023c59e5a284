"""Envelopes are COSE_Sign1 as others understand it: the `cwt` package takes them, and refuses them when changed."""

from typing import Any

import pytest
from cwt import COSE, COSEKey
from cwt.exceptions import CWTError

from lading.cose import KeySigner, decode_sign1, encode_sign1, sig_structure
from tests.vectors.read import vectors

P256_ORDER = vectors("signature")["order"]


def key(x: bytes, y: bytes) -> Any:
    return COSEKey.new({1: 2, 3: -7, -1: 1, -2: x, -3: y, 4: [2]})


def frame_key() -> Any:
    return key(vectors("frame")["key_x"], vectors("frame")["key_y"])


FRAMES = [case for case in vectors("frame")["frames"] if not case["error"]]
ORDERS = [case for case in vectors("assignment")["cases"] if not case["error"]]


@pytest.mark.parametrize("case", FRAMES, ids=lambda case: case["name"])
def test_frame_envelope(case: dict[str, Any]) -> None:
    assert COSE.new().decode(case["envelope"], frame_key()) == case["header"]


@pytest.mark.parametrize("case", ORDERS, ids=lambda case: case["name"])
def test_assignment_message(case: dict[str, Any]) -> None:
    file = vectors("assignment")
    payload = COSE.new().decode(case["bytes"], key(file["operator_x"], file["operator_y"]))
    assert payload[:3] == bytes([9, 1, case["action"]])
    assert case["leg_id"] in payload


@pytest.mark.parametrize("at", [9, 10, 100, 229, 232, 295])
def test_changed_envelope_is_refused(at: int) -> None:
    envelope = FRAMES[2]["envelope"]
    changed = envelope[:at] + bytes([envelope[at] ^ 1]) + envelope[at + 1 :]
    with pytest.raises((CWTError, ValueError)):
        COSE.new().decode(changed, frame_key())


def test_what_cwt_signs_is_what_we_take() -> None:
    """An envelope that cwt signed, its s made low, opens here byte for byte."""
    signer = KeySigner.from_seed(b"cwt")
    secret = signer._key.private_numbers().private_value.to_bytes(32, "big")
    private = COSEKey.new({1: 2, 3: -7, -1: 1, -2: signer.public.x, -3: signer.public.y, -4: secret, 4: [1]})
    made = COSE.new(alg_auto_inclusion=True).encode_and_sign(b"payload", private, protected={1: -7})
    payload, signature = decode_sign1(made)
    order = int.from_bytes(P256_ORDER, "big")
    s = int.from_bytes(signature[32:], "big")
    low = signature[:32] + min(s, order - s).to_bytes(32, "big")
    signer.public.verify(sig_structure(payload), low)
    assert encode_sign1(b"payload", signature) == made
