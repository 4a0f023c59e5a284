"""Promises: a frame has exactly one encoding, any change is refused or breaks the signature, other tools read it."""

import random

import cbor2
import pytest
from cwt import COSE, COSEKey

from lading.cose import P256_ORDER, KeySigner, PublicKey
from lading.decoding import decode_envelope, decode_frame
from lading.errors import LadingError, MalformedError, RejectedError
from lading.frame import CLOSED, NO_ANCHOR, NO_LEG, OPEN, Frame, LegRef, Reading, make_run, seal
from lading.limits import ChannelLimits
from lading.quantities import FAULT
from lading.totals import EMPTY, fold

SIGNER = KeySigner.from_seed(b"frame tests")
LEG = LegRef(OPEN, b"\x11" * 32, b"\x22" * 32)


def a_frame(seed: int, leg: LegRef = LEG) -> Frame:
    """A frame of up to three runs, one perhaps empty, one perhaps with a fault."""
    randomness = random.Random(seed)
    runs = []
    for channel in sorted(randomness.sample(range(1, 9), randomness.randint(1, 3))):
        count = randomness.choice([0, 1, 2, 7])
        times = sorted(randomness.sample(range(1_700_000_000_000, 1_700_000_900_000), count))
        readings = [
            Reading(5 + i, time, randomness.randint(-40_000, 40_000), randomness.choice([0, 0, 0, FAULT]))
            for i, time in enumerate(times)
        ]
        totals = EMPTY if leg.state == 0 else fold(EMPTY, ChannelLimits(channel, 1), readings)
        runs.append(make_run(channel, 1, 5, randomness.randbytes(16), readings, totals))
    return seal(SIGNER, leg, 3, b"\x33" * 32, 1_700_000_950_000, NO_ANCHOR, runs)


@pytest.mark.parametrize("seed", range(30))
def test_a_frame_comes_back_and_is_deterministic_cbor(seed: int) -> None:
    """Decode undoes encode, and the bytes are what another library writes canonically for the same items."""
    frame = a_frame(seed, LEG if seed % 3 else LegRef(CLOSED, *LEG[1:]) if seed % 2 else NO_LEG)
    data = frame.encode()
    assert decode_frame(data) == frame
    assert cbor2.dumps(cbor2.loads(data), canonical=True) == data


@pytest.mark.parametrize("seed", [1, 4])
def test_any_changed_byte_is_refused(seed: int) -> None:
    """Each byte in turn, changed in three ways: refused by the decoder, or not signed."""
    data = a_frame(seed).encode()
    for at in range(len(data)):
        for change in (0x01, 0x80, 0xFF):
            changed = data[:at] + bytes([data[at] ^ change]) + data[at + 1 :]
            with pytest.raises(LadingError):
                accept(changed)


def accept(data: bytes) -> None:
    frame = decode_frame(data)
    SIGNER.public.verify(frame.header.signed, frame.signature)


def test_any_cut_or_lengthened_frame_is_refused() -> None:
    """Every prefix, and a byte more, is malformed."""
    data = a_frame(4).encode()
    for end in range(len(data)):
        with pytest.raises(MalformedError):
            decode_frame(data[:end])
    with pytest.raises(MalformedError):
        decode_frame(data + b"\x00")


def test_the_envelope_verifies_with_another_cose_library() -> None:
    """The `cwt` package accepts the COSE_Sign1 and returns the header as its payload."""
    frame = a_frame(1)
    jwk = {"kty": "EC", "crv": "P-256", "x": b64(SIGNER.public.x), "y": b64(SIGNER.public.y), "alg": "ES256"}
    payload = COSE.new().decode(frame.envelope, COSEKey.from_jwk({**jwk, "kid": "1"}))
    assert payload == frame.header.encoded


def b64(data: bytes) -> str:
    import base64

    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_a_high_s_is_refused_although_the_curve_accepts_it() -> None:
    """One signature has one form: n − s is refused."""
    header, signature = decode_envelope(a_frame(1).envelope)
    high = signature[:32] + (P256_ORDER - int.from_bytes(signature[32:], "big")).to_bytes(32, "big")
    SIGNER.public.verify(header.signed, signature)
    with pytest.raises(RejectedError, match="high"):
        SIGNER.public.verify(header.signed, high)


@pytest.mark.parametrize(
    "signature",
    [
        bytes(64),
        bytes(32) + b"\x01" * 32,
        b"\x01" * 32 + bytes(32),
        P256_ORDER.to_bytes(32, "big") * 2,
        b"\x01" * 63,
        b"",
    ],
)
def test_out_of_range_signatures_are_refused(signature: bytes) -> None:
    """r or s of 0, at the order, or of another length never reach the curve."""
    with pytest.raises(RejectedError):
        SIGNER.public.verify(b"message", signature)


def test_a_point_off_the_curve_is_no_key() -> None:
    """Coordinates are checked when a key is made."""
    with pytest.raises(RejectedError, match="no point"):
        PublicKey(SIGNER.public.x, SIGNER.public.x)


def test_a_key_file_is_its_owners_alone(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Written 0600, never over an old one, refused when others may read it."""
    path = tmp_path / "gateway.pem"
    SIGNER.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert KeySigner.load(path).public == SIGNER.public
    with pytest.raises(LadingError, match="exists"):
        KeySigner.generate().save(path)
    path.chmod(0o640)
    with pytest.raises(LadingError, match="0600"):
        KeySigner.load(path)
