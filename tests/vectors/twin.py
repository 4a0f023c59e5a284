"""The formats a second time, naively, from docs/spec alone: no import of `lading`, no cleverness, no speed.

Layouts are tables of (field, bytes); totals are taken from the whole list of readings by definition, not by the
fold; trees are split top down. What `lading` computes must equal this.
"""

import itertools
from decimal import ROUND_FLOOR, Decimal, localcontext
from hashlib import sha256
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ZERO = bytes(32)
FAULT, CLOCK, DERIVED = 1, 2, 4
OFF_LOW, OFF_HIGH, OFF = -(2**31), 2**31 - 1, 2**32 - 1

Reading = tuple[int, int, int, int]  # seq, time_ms, value, flags
Layout = list[tuple[str, int | str]]  # width in bytes; "i4" is signed; "b32" is bytes


def h(data: bytes) -> bytes:
    return sha256(data).digest()


def pack(layout: Layout, values: dict[str, Any]) -> bytes:
    """A fixed layout, big-endian, field by field."""
    out = b""
    for name, kind in layout:
        value = values[name]
        if isinstance(kind, str) and kind[0] == "b":
            assert len(value) == int(kind[1:]), (name, len(value))
            out += value
        elif isinstance(kind, str):
            out += value.to_bytes(int(kind[1:]), "big", signed=True)
        else:
            out += value.to_bytes(kind, "big")
    return out


READING: Layout = [
    ("type", 1),
    ("salt", "b16"),
    ("channel", 2),
    ("seq", 8),
    ("time_ms", 8),
    ("value", "i4"),
    ("flags", 2),
]
TOTALS: Layout = [
    ("first_seq", 8), ("count", 4), ("valid_count", 4), ("first_ms", 8), ("last_ms", 8), ("last_flags", 2),
    ("last_value", "i4"), ("valid_ms", 8), ("min_value", "i4"), ("max_value", "i4"), ("longest_gap_ms", 8),
    ("known_ms", 8), ("unknown_ms", 8), ("above_ms", 8), ("above_longest_ms", 8), ("above_current_ms", 8),
    ("below_ms", 8), ("below_longest_ms", 8), ("below_current_ms", 8), ("mkt_weight_sum", 16),
]  # fmt: skip
RECORD: Layout = [
    ("type", 1), ("channel", 2), ("quantity", 2), ("first_seq", 8), ("count", 4), ("first_time_ms", 8),
    ("last_time_ms", 8), ("readings_root", "b32"), ("totals", "b142"),
]  # fmt: skip
HEADER: Layout = [
    ("type", 1), ("version", 1), ("gateway_id", "b32"), ("leg_state", 1), ("leg_id", "b32"), ("limits_hash", "b32"),
    ("frame_seq", 8), ("previous_hash", "b32"), ("sent_ms", 8), ("anchor_interval", 8), ("anchor_block_hash", "b32"),
    ("runs_root", "b32"), ("run_count", 2),
]  # fmt: skip
LIMIT: Layout = [
    ("channel", 2), ("quantity", 2), ("lower", "i4"), ("upper", "i4"), ("hold_ms", 4), ("above_stretch_max_ms", 4),
    ("above_total_max_ms", 4), ("below_stretch_max_ms", 4), ("below_total_max_ms", 4), ("peak_lower", "i4"),
    ("peak_upper", "i4"), ("mkt_max", "i4"), ("gap_max_ms", 4), ("unknown_total_max_ms", 4), ("rate_max", 4),
    ("stuck_max_ms", 4), ("quantity_flags", 2),
]  # fmt: skip
BATCH_LEAF: Layout = [
    ("type", 1), ("version", 1), ("tenant", "b32"), ("batch_seq", 8), ("frames_root", "b32"), ("frame_count", 4),
    ("first_event_ms", 8), ("last_event_ms", 8), ("previous", "b32"), ("location_hash", "b32"),
]  # fmt: skip


# --- tree ---


def leaf_hash(leaf: bytes) -> bytes:
    return h(b"\x00" + leaf)


def node(left: bytes, right: bytes) -> bytes:
    return h(b"\x01" + left + right)


def split(count: int) -> int:
    """Largest power of two smaller than count."""
    k = 1
    while k * 2 < count:
        k *= 2
    return k


def root(hashed: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.1, recursively."""
    if not hashed:
        return h(b"")
    if len(hashed) == 1:
        return hashed[0]
    k = split(len(hashed))
    return node(root(hashed[:k]), root(hashed[k:]))


def path(hashed: list[bytes], index: int) -> list[bytes]:
    """RFC 9162 section 2.1.3.1, recursively."""
    if len(hashed) == 1:
        return []
    k = split(len(hashed))
    if index < k:
        return [*path(hashed[:k], index), root(hashed[k:])]
    return [*path(hashed[k:], index - k), root(hashed[:k])]


def climb(hashed: bytes, index: int, count: int, siblings: list[bytes]) -> bytes:
    """The root that fitting siblings give, recursively from the top: which half the leaf is in."""
    if count == 1:
        assert not siblings
        return hashed
    k = split(count)
    if index < k:
        return node(climb(hashed, index, k, siblings[:-1]), siblings[-1])
    return node(siblings[-1], climb(hashed, index - k, count - k, siblings[:-1]))


# --- mean kinetic temperature ---


def weight_table() -> list[int]:
    """floor(w · 2^32 + ½) at −100.0, −99.9, … +100.0 °C, with 60 digits."""
    with localcontext() as context:
        context.prec = 60
        zero = Decimal("273.15")
        weights = []
        for tenth in range(-1000, 1001):
            kelvin = zero + Decimal(tenth) / 10
            w = (-10000 * (1 / kelvin - 1 / zero)).exp()
            weights.append(int((w * 2**32 + Decimal("0.5")).to_integral_value(ROUND_FLOOR)))
        return weights


TABLE = weight_table()


def weight(value: int) -> int:
    value = max(-100000, min(100000, value))
    k, f = divmod(value + 100000, 100)
    return TABLE[k] if f == 0 else (TABLE[k] * (100 - f) + TABLE[k + 1] * f) // 100


# --- totals by definition ---


def valid(reading: Reading) -> bool:
    return not reading[3] & (FAULT | CLOCK)


def totals(readings: list[Reading], limits: dict[str, Any]) -> dict[str, int]:
    """Totals of a channel from all its readings since the leg began."""
    out = {name: 0 for name, _ in TOTALS}
    if not readings:
        return out
    good = [r for r in readings if valid(r)]
    held = [
        min(after[1] - r[1], limits["hold_ms"]) if valid(r) else 0
        for r, after in itertools.pairwise(readings)
    ] + [0]
    span = readings[-1][1] - readings[0][1]
    out.update(first_seq=readings[0][0], count=len(readings), valid_count=len(good))
    out.update(first_ms=readings[0][1], last_ms=readings[-1][1], last_flags=readings[-1][3])
    out.update(known_ms=sum(held), unknown_ms=span - sum(held))
    if good:
        values = [r[2] for r in good]
        gaps = [b[1] - a[1] for a, b in itertools.pairwise(good)]
        out.update(last_value=values[-1], valid_ms=good[-1][1], min_value=min(values), max_value=max(values))
        out.update(longest_gap_ms=max(gaps, default=0))
    if limits["quantity"] == 1:
        out["mkt_weight_sum"] = sum(weight(r[2]) * t for r, t in zip(readings, held, strict=True))
    for side, outside in (
        ("above", lambda value: value > limits["upper"]),
        ("below", lambda value: value < limits["lower"]),
    ):
        stretches, going = stretch_times(readings, held, outside)
        out[f"{side}_ms"] = sum(stretches)
        out[f"{side}_longest_ms"] = max(stretches, default=0)
        out[f"{side}_current_ms"] = stretches[-1] if going else 0
    return out


def stretch_times(readings: list[Reading], held: list[int], outside: Any) -> tuple[list[int], bool]:
    """Held time of each maximal series of valid readings outside; whether the last one still goes on."""
    stretches: list[int] = []
    going = False
    for reading, time in zip(readings, held, strict=True):
        if not valid(reading):
            continue
        if outside(reading[2]):
            if not going:
                stretches.append(0)
            stretches[-1] += time
            going = True
        else:
            going = False
    return stretches, going


# --- signatures ---


class Key:
    """A P-256 key from a seed; signatures of RFC 6979, low s."""

    def __init__(self, seed: str) -> None:
        secret = int.from_bytes(h(seed.encode()), "big") % (ORDER - 1) + 1
        self.private = ec.derive_private_key(secret, ec.SECP256R1())
        numbers = self.private.public_key().public_numbers()
        self.x, self.y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
        self.id = h(b"\x08\x01" + self.x + self.y)

    def sign(self, message: bytes) -> bytes:
        der = self.private.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        r, s = decode_dss_signature(der)
        return r.to_bytes(32, "big") + min(s, ORDER - s).to_bytes(32, "big")


def cbor(value: Any) -> bytes:
    return cbor2.dumps(value, canonical=True)


def sig_structure(payload: bytes) -> bytes:
    return cbor(["Signature1", bytes.fromhex("a10126"), b"", payload])


def sign1(payload: bytes, signature: bytes) -> bytes:
    return cbor(cbor2.CBORTag(18, [bytes.fromhex("a10126"), {}, payload, signature]))


# --- frame ---


def reading_leaf(salt: bytes, channel: int, reading: Reading) -> bytes:
    seq, time_ms, value, flags = reading
    fields = {"type": 1, "salt": salt, "channel": channel, "seq": seq, "time_ms": time_ms}
    return pack(READING, fields | {"value": value, "flags": flags})


def run(
    channel: int, quantity: int, salt: bytes, readings: list[Reading], next_seq: int, sums: bytes
) -> dict[str, Any]:
    """A run as a dict of plain fields; a case may spoil any of them before it is sealed."""
    record = {
        "type": 2, "channel": channel, "quantity": quantity,
        "first_seq": readings[0][0] if readings else next_seq, "count": len(readings),
        "first_time_ms": readings[0][1] if readings else 0, "last_time_ms": readings[-1][1] if readings else 0,
        "readings_root": root([leaf_hash(reading_leaf(salt, channel, r)) for r in readings]), "totals": sums,
    }  # fmt: skip
    start = record["first_time_ms"]
    flags = [r[3] for r in readings]
    return {
        "record": record, "salt": salt, "readings": readings,
        "deltas": [r[1] - start for r in readings], "values": [r[2] for r in readings],
        "flags": flags if any(flags) else None,
    }  # fmt: skip


def column(tag: int, width: int, values: list[int], signed: bool = False) -> cbor2.CBORTag:
    return cbor2.CBORTag(tag, b"".join(v.to_bytes(width, "little", signed=signed) for v in values))


def run_wire(r: dict[str, Any]) -> list[Any]:
    flags = None if r["flags"] is None else column(69, 2, r["flags"])
    return [
        pack(RECORD, r["record"]), r["salt"], column(70, 4, r["deltas"]), column(78, 4, r["values"], True), flags,
    ]  # fmt: skip


def seal(header: dict[str, Any], runs: list[dict[str, Any]], key: Key) -> dict[str, Any]:
    """A frame: fields of the header that are given stand, the others follow from the runs."""
    records = [pack(RECORD, r["record"]) for r in runs]
    fields = {
        "type": 3, "version": 1, "gateway_id": key.id, "leg_state": 0, "leg_id": ZERO, "limits_hash": ZERO,
        "frame_seq": 0, "previous_hash": ZERO, "sent_ms": 0, "anchor_interval": 0, "anchor_block_hash": ZERO,
        "runs_root": root([leaf_hash(r) for r in records]), "run_count": len(runs),
    } | header  # fmt: skip
    payload = pack(HEADER, fields)
    signature = key.sign(sig_structure(payload))
    inner = cbor2.CBORTag(18, [bytes.fromhex("a10126"), {}, payload, signature])
    return {
        "header": fields, "runs": runs, "payload": payload, "signature": signature,
        "envelope": cbor(inner), "hash": leaf_hash(sig_structure(payload)),
        "bytes": cbor([inner, [run_wire(r) for r in runs]]),
    }  # fmt: skip


# --- limits, assignment, batch ---


def channel_limits(channel: int, quantity: int, **given: int) -> dict[str, int]:
    off = {
        "lower": OFF_LOW, "upper": OFF_HIGH, "hold_ms": 900_000, "above_stretch_max_ms": OFF,
        "above_total_max_ms": OFF, "below_stretch_max_ms": OFF, "below_total_max_ms": OFF, "peak_lower": OFF_LOW,
        "peak_upper": OFF_HIGH, "mkt_max": OFF_HIGH, "gap_max_ms": OFF, "unknown_total_max_ms": OFF,
        "rate_max": OFF, "stuck_max_ms": OFF, "quantity_flags": 0,
    }  # fmt: skip
    return {"channel": channel, "quantity": quantity} | off | given


def limits_bytes(channels: list[dict[str, int]]) -> bytes:
    return b"\x05\x01" + len(channels).to_bytes(2, "big") + b"".join(pack(LIMIT, c) for c in channels)


def tenant_id(name: str) -> bytes:
    return h(b"\x07" + name.encode())


def leg_id(salt: bytes, reference: str) -> bytes:
    return h(b"\x06" + salt + reference.encode())


def assignment_payload(a: dict[str, Any]) -> bytes:
    reference = a["reference"] if isinstance(a["reference"], bytes) else a["reference"].encode()
    head: Layout = [
        ("type", 1), ("version", 1), ("action", 1), ("tenant", "b32"), ("gateway", "b32"), ("order_seq", 8),
        ("leg_id", "b32"), ("salt", "b16"), ("issued_ms", 8), ("begin_ms", 8), ("due_ms", 8),
    ]  # fmt: skip
    out = pack(head, {"type": 9, "version": 1} | a)
    out += a.get("reference_length", len(reference)).to_bytes(2, "big") + reference
    return out + a.get("limits_length", len(a["limits"])).to_bytes(4, "big") + a["limits"]


def assignment(a: dict[str, Any], key: Key) -> bytes:
    payload = assignment_payload(a)
    return sign1(payload, key.sign(sig_structure(payload)))


def batch_leaf(**fields: Any) -> bytes:
    return pack(BATCH_LEAF, {"type": 4, "version": 1} | fields)
