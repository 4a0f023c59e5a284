"""Many ECDSA P-256 signatures at once, by keys that sign often: a yes is proof, a no means ask `cryptography`.

Source: FIPS 186-5 section 6.4.2. u1·G + u2·Q is summed from tables: of G, 33 signed digits of 8 bits; of each key,
52 signed digits of 5 bits in four rows 65 bits apart, so that 60 doublings serve them all. A sum that meets an
exceptional case of the addition, and an r that is not below p − n, come out as no.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit

from lading.cose import P256_ORDER, PublicKey
from lading.p256_lanes import (
    AFFINE_WORDS,
    LANES,
    LIFT_CARRIED,
    POINT_WORDS,
    WORD_BITS,
    WORDS,
    P,
    R,
    compare_x,
    double_points,
    join_points,
    words_of,
)
from lading.tree import sha256

Tables = npt.NDArray[np.int32]
Digits = npt.NDArray[np.int64]

_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
_G_BITS, _G_DIGITS, _G_POINTS = 8, 33, 128
_KEY_BITS, _KEY_DIGITS, _KEY_POINTS, _KEY_ROWS = 5, 52, 16, 4
_ROW_DIGITS = _KEY_DIGITS // _KEY_ROWS
KEY_TABLE_POINTS = _KEY_ROWS * _KEY_POINTS
_START_AT = 0  # the point a sum starts from, then what takes it away again, then G's table
_END_AT = 1
_G_AT = 2
SHARED_POINTS = _G_AT + _G_DIGITS * _G_POINTS

Affine = tuple[int, int]
Jacobian = tuple[int, int, int]


def _double(point: Jacobian) -> Jacobian:
    """2·point, Jacobian: the table builder's arithmetic is Python's integers."""
    x, y, z = point
    delta, gamma = z * z % P, y * y % P
    beta = x * gamma % P
    alpha = 3 * (x - delta) * (x + delta) % P
    x3 = (alpha * alpha - 8 * beta) % P
    return x3, (alpha * (4 * beta - x3) - 8 * gamma * gamma) % P, 2 * y * z % P


def _join(point: Jacobian, other: Affine) -> Jacobian:
    """point + other; never equal or opposite in a table."""
    x, y, z = point
    zz = z * z % P
    h, r = (other[0] * zz - x) % P, (other[1] * zz * z - y) % P
    assert h, "an exceptional addition while building a table"
    hh = h * h % P
    hhh, v = h * hh % P, x * hh % P
    x3 = (r * r - hhh - 2 * v) % P
    return x3, (r * (v - x3) - y * hhh) % P, z * h % P


def _affine(points: Sequence[Jacobian]) -> list[Affine]:
    """One inversion for all (Montgomery's trick)."""
    products = [1]
    for _, _, z in points:
        products.append(products[-1] * z % P)
    inverse = pow(products[-1], -1, P)
    found: list[Affine] = []
    for (x, y, z), before in zip(reversed(points), reversed(products[:-1]), strict=True):
        own = inverse * before % P
        inverse = inverse * z % P
        found.append((x * own * own % P, y * own * own * own % P))
    return found[::-1]


def _rows(base: Affine, row_count: int, row_bits: int, points: int) -> list[Affine]:
    """k·2^(row_bits·i)·base for k = 1..points, i = 0..row_count − 1, row after row."""
    first: Jacobian = (*base, 1)
    heads = [first]
    for _ in range(row_count - 1):
        head = heads[-1]
        for _ in range(row_bits):
            head = _double(head)
        heads.append(head)
    found: list[Jacobian] = []
    for x, y in _affine(heads):
        multiples: list[Jacobian] = [(x, y, 1), _double((x, y, 1))]
        while len(multiples) < points:
            multiples.append(_join(multiples[-1], (x, y)))
        found += multiples
    return _affine(found)


def _table(points: Sequence[Affine]) -> Tables:
    """Points as words in Montgomery form: (points, 20) i32."""
    words = [words_of(x * R % P) + words_of(y * R % P) for x, y in points]
    return np.array(words, np.int32)


def key_table(key: PublicKey) -> Tables:
    """A key's table, 5 kB; takes about as long as thirty verifications."""
    base = int.from_bytes(key.x, "big"), int.from_bytes(key.y, "big")
    return _table(_rows(base, _KEY_ROWS, _ROW_DIGITS * _KEY_BITS, _KEY_POINTS))


@cache
def shared_table() -> Tables:
    """Where every sum starts and what takes that away again, then G's table."""
    start = _some_point()
    end = (*start, 1)
    for _ in range(_KEY_BITS * (_ROW_DIGITS - 1)):
        end = _double(end)
    (x, y), *_ = _affine([end])
    return _table([start, (x, P - y), *_rows(_G, _G_DIGITS, _G_BITS, _G_POINTS)])


def _some_point() -> Affine:
    """A point that nobody chose: the first x of a hash chain that is on the curve."""
    seed = b"lading p256 start"
    while True:
        seed = sha256(seed)
        x = int.from_bytes(seed, "big") % P
        square = (x * x * x - 3 * x + _B) % P
        y = pow(square, (P + 1) // 4, P)
        if y * y % P == square:
            return x, y


def verify_many(
    tables: Tables, keys: Sequence[int], digests: Sequence[bytes], signatures: Sequence[bytes]
) -> npt.NDArray[np.bool_]:
    """Which signatures are surely good: low s, right for the key whose table is tables[keys[i]], (k, 64, 20) i32."""
    count = len(keys)
    numbers = [_numbers(signature) for signature in signatures]
    inverses = _inverses([s for _, s in numbers])
    rooms = -(-count // LANES) * LANES
    of_g, of_key = bytearray(), bytearray()
    for (r, _), w, digest in zip(numbers, inverses, digests, strict=True):
        of_g += (int.from_bytes(digest, "big") * w % P256_ORDER).to_bytes(32, "little")
        of_key += (r * w % P256_ORDER).to_bytes(32, "little")
    rs = bytearray().join(signature[:32][::-1] for signature in signatures)
    spare = bytes(32 * (rooms - count))
    places = np.zeros(rooms, np.int64)
    places[:count] = keys
    out = np.zeros((rooms, AFFINE_WORDS), np.int64)
    joined = np.ascontiguousarray(tables, np.int32).reshape(-1)
    _sum_points(
        shared_table().reshape(-1),
        joined,
        places,
        _scalars(of_g + spare),
        _scalars(of_key + spare),
        _scalars(rs + spare),
        out,
    )
    is_zero = [_is_zero(out[:count, at : at + WORDS]) for at in (0, WORDS)]
    sane = np.array([s != 0 for _, s in numbers], np.bool_)
    good: npt.NDArray[np.bool_] = sane & is_zero[0] & ~is_zero[1]
    return good


def _scalars(data: bytearray) -> npt.NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8).reshape(-1, 32)


def _numbers(signature: bytes) -> tuple[int, int]:
    """(r, s), or (0, 0) where one is out of range or s is high."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    fits = len(signature) == 64 and 0 < r < P256_ORDER and 0 < s <= P256_ORDER // 2
    return (r, s) if fits else (0, 0)


def _inverses(numbers: Sequence[int]) -> list[int]:
    """1/s modulo the order for each, with one inversion; 0 stays 0."""
    products = [1]
    for s in numbers:
        products.append(products[-1] * (s or 1) % P256_ORDER)
    inverse = pow(products[-1], -1, P256_ORDER)
    found = []
    for s, before in zip(reversed(numbers), reversed(products[:-1]), strict=True):
        found.append(inverse * before % P256_ORDER if s else 0)
        inverse = inverse * (s or 1) % P256_ORDER
    return found[::-1]


def _is_zero(words: Digits) -> npt.NDArray[np.bool_]:
    """Which values 0..p are 0 modulo p."""
    zero: npt.NDArray[np.bool_] = (words == 0).all(axis=1) | (words == np.array(words_of(P))).all(axis=1)
    return zero


@njit(cache=True)
def _bits(number: npt.NDArray[np.uint8], at: int, width: int) -> int:
    """`width` bits, at most 27, of 32 bytes little-endian, from bit `at`."""
    found = 0
    for i in range(5):
        byte = (at >> 3) + i
        if byte < 32:
            found |= int(number[byte]) << (8 * i)
    return found >> (at & 7) & ((1 << width) - 1)


@njit(cache=True)
def _recode(number: npt.NDArray[np.uint8], width: int, digits: Digits) -> None:
    """Signed digits −2^(width−1)+1 .. 2^(width−1), lowest first."""
    carried = 0
    for i in range(len(digits)):
        digit = _bits(number, i * width, width) + carried
        carried = 1 if digit > 1 << (width - 1) else 0
        digits[i] = digit - (carried << width)


_LIFT = np.array(LIFT_CARRIED, np.int64)
_ONE = np.repeat(np.array(words_of(R % P), np.int64), LANES)


@njit(cache=True)
def _fetch(table: Tables, point: int, negative: bool, lane: int, other: Digits) -> None:
    """A table's point, or its opposite, into a lane."""
    for word in range(WORDS):
        x = np.int64(table[point * AFFINE_WORDS + word])
        y = np.int64(table[point * AFFINE_WORDS + WORDS + word])
        other[word * LANES + lane] = x
        other[(WORDS + word) * LANES + lane] = _LIFT[word] - y if negative else y


@njit(cache=True, nogil=True)
def _sum_points(
    shared: Tables,
    tables: Tables,
    keys: Digits,
    of_g: npt.NDArray[np.uint8],
    of_key: npt.NDArray[np.uint8],
    rs: npt.NDArray[np.uint8],
    out: Digits,
) -> None:
    """out (n, 20): x − r·z² and z of u1·G + u2·Q. n is a multiple of 8; scalars (n, 32) u8 little-endian."""
    digits_g = np.empty((LANES, _G_DIGITS), np.int64)
    digits_key = np.empty((LANES, _KEY_DIGITS), np.int64)
    point = np.empty(POINT_WORDS * LANES, np.int64)
    other = np.empty(AFFINE_WORDS * LANES, np.int64)
    found = np.empty(AFFINE_WORDS * LANES, np.int64)
    r = np.empty(WORDS * LANES, np.int64)
    digits = np.empty(LANES, np.int64)
    for first in range(0, len(keys), LANES):
        for lane in range(LANES):
            _recode(of_g[first + lane], _G_BITS, digits_g[lane])
            _recode(of_key[first + lane], _KEY_BITS, digits_key[lane])
            _fetch(shared, _START_AT, False, lane, other)
            for word in range(WORDS):
                r[word * LANES + lane] = _bits(rs[first + lane], word * WORD_BITS, WORD_BITS)
        point[: AFFINE_WORDS * LANES] = other
        point[AFFINE_WORDS * LANES :] = _ONE
        for step in range(_KEY_DIGITS + _G_DIGITS + 1):
            if step < _KEY_DIGITS and step % _KEY_ROWS == 0 and step:
                for _ in range(_KEY_BITS):
                    double_points(point)
            for lane in range(LANES):
                if step < _KEY_DIGITS:
                    row = step % _KEY_ROWS
                    digit = digits_key[lane, row * _ROW_DIGITS + _ROW_DIGITS - 1 - step // _KEY_ROWS]
                    at = (keys[first + lane] * _KEY_ROWS + row) * _KEY_POINTS + max(abs(digit), 1) - 1
                    _fetch(tables, at, digit < 0, lane, other)
                elif step < _KEY_DIGITS + _G_DIGITS:
                    digit = digits_g[lane, step - _KEY_DIGITS]
                    at = _G_AT + (step - _KEY_DIGITS) * _G_POINTS + max(abs(digit), 1) - 1
                    _fetch(shared, at, digit < 0, lane, other)
                else:
                    digit = 1
                    _fetch(shared, _END_AT, False, lane, other)
                digits[lane] = digit
            join_points(point, other, digits)
        compare_x(point, r, found)
        for lane in range(LANES):
            for word in range(AFFINE_WORDS):
                out[first + lane, word] = found[word * LANES + lane]
