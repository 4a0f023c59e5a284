"""The lanes call good exactly what `cryptography` calls good, and no sum in them overflows."""

import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from lading import p256
from lading.cose import P256_ORDER, KeySigner, PublicKey
from lading.errors import RejectedError
from lading.p256_lanes import LIFT_CARRIED, WORD_BITS, Element, Field, P, Point, R, Word, words_of
from lading.signatures import USES_BEFORE_TABLE, Signatures
from lading.tree import sha256


class Interval(NamedTuple):
    """All values a word may have."""

    low: int
    high: int


class Intervals:
    """The arithmetic of p256_lanes on intervals; fails where an i64 or a factor of 32 bits may overflow."""

    def _kept(self, low: int, high: int) -> Interval:
        assert -(2**63) <= low <= high < 2**63
        return Interval(low, high)

    def add(self, x: Word, y: Word) -> Word:
        return self._kept(x.low + y.low, x.high + y.high)

    def sub(self, x: Word, y: Word) -> Word:
        return self._kept(x.low - y.high, x.high - y.low)

    def mul(self, x: Word, y: Word) -> Word:
        assert x.low >= 0
        assert y.low >= 0
        assert max(x.high, y.high) < 2**32
        return self._kept(x.low * y.low, x.high * y.high)

    def shl(self, x: Word, bits: int) -> Word:
        return self._kept(x.low << bits, x.high << bits)

    def shr(self, x: Word, bits: int) -> Word:
        return Interval(x.low >> bits, x.high >> bits)

    def low(self, x: Word, bits: int) -> Word:
        return x if 0 <= x.low <= x.high < 2**bits else Interval(0, 2**bits - 1)

    def constant(self, value: int) -> Word:
        return Interval(value, value)


class IntervalField(Field):
    """A product is not negative, and its lower words are not: so neither is its highest, whatever the intervals say."""

    def _reduce(self, columns: list[Word]) -> Element:
        *lower, top = super()._reduce(columns)
        assert all(0 <= word.low <= word.high < 2**WORD_BITS for word in lower)
        return [*lower, Interval(max(top.low, 0), top.high)]


def words_below(word: int, top: int) -> Element:
    return [Interval(0, word)] * 9 + [Interval(0, top)]


def test_no_word_overflows_however_long_the_sum() -> None:
    """Doubling and addition take points inside some bounds to points inside the same bounds, without overflow."""
    field = IntervalField(Intervals())
    carried, product = words_below(2**27 + 16, 2**20 - 1), words_below(2**27 - 1, 2**16)
    start = Point(carried, carried, product)
    x2 = words_below(2**27 - 1, 2**13)
    y2 = [Interval(0, lift) for lift in LIFT_CARRIED]
    for found in (field.double(start), field.join(start, x2, y2)):
        for element, bounds in zip(found, start, strict=True):
            assert all(
                0 <= word.low <= word.high <= bound.high for word, bound in zip(element, bounds, strict=True)
            )
    # The last step: r, below 2^256, into Montgomery form; x − r·z² and z out of it.
    into = [Interval(word, word) for word in words_of(R * R % P)]
    one = [Interval(word, word) for word in words_of(1)]
    wanted = field.mul(field.mul(x2, into), field.square(start.z))
    field.mul(field.sub(start.x, wanted, LIFT_CARRIED), one)
    field.mul(start.z, one)


class Whole:
    """The same arithmetic on Python's integers."""

    def add(self, x: Word, y: Word) -> Word:
        return x + y

    def sub(self, x: Word, y: Word) -> Word:
        return x - y

    def mul(self, x: Word, y: Word) -> Word:
        return x * y

    def shl(self, x: Word, bits: int) -> Word:
        return x << bits

    def shr(self, x: Word, bits: int) -> Word:
        return x >> bits

    def low(self, x: Word, bits: int) -> Word:
        return x & (1 << bits) - 1

    def constant(self, value: int) -> Word:
        return value


def value_of(words: Sequence[int]) -> int:
    return sum(word << WORD_BITS * i for i, word in enumerate(words))


def test_products_are_montgomery_products() -> None:
    """mul and square are a·b/R modulo p, at the edges and at random, and below 4p."""
    field, randomness = Field(Whole()), random.Random(1)
    edges = [0, 1, 2, P - 1, P - 2, 2**96, 2**192, 2**224, 2**255, 2**256 - 1, 2**27 - 1]
    for a in edges + [randomness.randrange(P) for _ in range(50)]:
        b = randomness.choice([*edges, randomness.randrange(P)])
        for found, wanted in (
            (field.mul(words_of(a), words_of(b)), a * b * pow(R, -1, P) % P),
            (field.square(words_of(a)), a * a * pow(R, -1, P) % P),
        ):
            assert value_of(found) % P == wanted
            assert 0 <= value_of(found) < 4 * P


def multiple(scalar: int) -> tuple[int, int]:
    """scalar·G, by `cryptography`."""
    numbers = ec.derive_private_key(scalar % P256_ORDER, ec.SECP256R1()).public_key().public_numbers()
    return numbers.x, numbers.y


def point_of(row: np.ndarray) -> tuple[int, int]:
    inverse = pow(R, -1, P)
    x, y = value_of([int(w) for w in row[:10]]), value_of([int(w) for w in row[10:]])
    return x * inverse % P, y * inverse % P


def test_tables_hold_the_multiples_they_should() -> None:
    """G's table against `cryptography`, a key's against its own secret; the end point takes the start away."""
    table = p256.shared_table()
    for row, k in ((0, 1), (0, 2), (0, 128), (1, 1), (7, 77), (31, 128), (32, 1)):
        assert point_of(table[2 + row * 128 + k - 1]) == multiple(k << 8 * row)
    secret = 0x1234567890ABCDEF << 100
    own = p256.key_table(PublicKey(*(c.to_bytes(32, "big") for c in multiple(secret))))
    for row, k in ((0, 1), (0, 16), (1, 1), (2, 9), (3, 16)):
        assert point_of(own[row * 16 + k - 1]) == multiple(secret * (k << 65 * row))
    end = (*point_of(table[0]), 1)
    for _ in range(60):
        end = p256._double(end)
    (x, y), *_ = p256._affine([end])
    assert point_of(table[1]) == (x, P - y)


def signed_as(secret: int, u1: int, u2: int) -> tuple[bytes, bytes]:
    """Digest and signature whose check sums u1·G + u2·Q (or both negative), for Q = secret·G."""
    r = multiple(u1 + u2 * secret)[0] % P256_ORDER
    s = r * pow(u2, -1, P256_ORDER) % P256_ORDER
    digest = u1 * s % P256_ORDER
    return digest.to_bytes(32, "big"), r.to_bytes(32, "big") + min(s, P256_ORDER - s).to_bytes(32, "big")


EDGES_1 = [0, 1, 2, 127, 128, 129, 255, 256, 257, 128 << 240, 2**255, P256_ORDER - 1, P256_ORDER - 128]
EDGES_2 = [1, 2, 15, 16, 17, 31, 32, 33, 2**65 - 1, 2**65, 2**130, 2**195 + 16, 2**255, P256_ORDER - 1]


def test_scalars_at_the_edges_of_the_digits_are_called_good() -> None:
    """Signatures made so that the two scalars are what the digits are hardest on."""
    secret = 987654321 << 128
    key = PublicKey(*(c.to_bytes(32, "big") for c in multiple(secret)))
    made = [signed_as(secret, u1, u2) for u1 in EDGES_1 for u2 in EDGES_2]
    for digest, signature in made:
        key.verify_digest(digest, signature)
    tables = p256.key_table(key)[None]
    good = p256.verify_many(tables, [0] * len(made), [d for d, _ in made], [s for _, s in made])
    assert good.all()


def claims_of(count: int, seed: int) -> tuple[list[PublicKey], list[bytes], list[bytes]]:
    """Good signatures of three keys, and every kind of bad one among them."""
    randomness = random.Random(seed)
    signers = [KeySigner.from_seed(b"p256 %d" % i) for i in range(3)]
    keys, digests, signatures = [], [], []
    for i in range(count):
        signer = randomness.choice(signers)
        message = randomness.randbytes(20)
        signature, digest = bytearray(signer.sign(message)), sha256(message)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        match i % 12:
            case 3:
                signature[randomness.randrange(64)] ^= 1 << randomness.randrange(8)
            case 4:
                digest = sha256(digest)
            case 5:
                signer = signers[(signers.index(signer) + 1) % 3]
            case 6:
                signature[32:] = (P256_ORDER - s).to_bytes(32, "big")
            case 7:
                signature[:32] = randomness.choice([0, P256_ORDER, P, 2**256 - 1]).to_bytes(32, "big")
            case 8:
                signature[32:] = randomness.choice([0, P256_ORDER, 2**256 - 1]).to_bytes(32, "big")
            case 9:
                signature[:32] = (r + randomness.choice([-1, 1])).to_bytes(32, "big")
            case 10:
                signature = bytearray(randomness.randbytes(64))
        keys.append(signer.public)
        digests.append(digest)
        signatures.append(bytes(signature))
    return keys, digests, signatures


def is_good(key: PublicKey, digest: bytes, signature: bytes) -> bool:
    try:
        key.verify_digest(digest, signature)
    except RejectedError:
        return False
    return True


@pytest.mark.parametrize("count", [1, 7, 8, 9, 240])
def test_good_is_what_cryptography_calls_good(count: int) -> None:
    """Good, changed, swapped, out of range and high signatures, in whole and part lane batches."""
    keys, digests, signatures = claims_of(count, seed=count)
    distinct = list(dict.fromkeys(keys))
    tables = np.stack([p256.key_table(key) for key in distinct])
    good = p256.verify_many(tables, [distinct.index(key) for key in keys], digests, signatures)
    assert good.tolist() == [is_good(*claim) for claim in zip(keys, digests, signatures, strict=True)]
    assert good.any()


def test_a_nonsense_start_is_no_signature() -> None:
    """No claims give no answer; all-zero digests, keys' own points as r: nothing of it is good."""
    key = KeySigner.from_seed(b"p256").public
    table = p256.key_table(key)[None]
    assert p256.verify_many(table, [], [], []).tolist() == []
    half = (P256_ORDER // 2).to_bytes(32, "big")
    claims = [(bytes(32), key.x + half), (b"\xff" * 32, key.y + half), (bytes(32), half + half)]
    claims = [(digest, s) for digest, s in claims if not is_good(key, digest, s)]
    assert not p256.verify_many(table, [0] * len(claims), *map(list, zip(*claims, strict=True))).any()


def test_signatures_give_the_same_answers_before_and_after_the_tables() -> None:
    """`Signatures` answers as `cryptography` does while keys are new, once they have tables, and without room."""
    for tables_max in (1, 10):
        signatures = Signatures(tables_max=tables_max, claims_before_tables=100)
        for turn in range(4):
            claims = list(zip(*claims_of(USES_BEFORE_TABLE * 2, seed=turn), strict=True))
            found = signatures.check(claims)
            assert [error is None for error in found] == [is_good(*claim) for claim in claims]
            assert {error.code for error in found if error} == {"signature"}
        assert len(signatures._places) == min(tables_max, 3)
