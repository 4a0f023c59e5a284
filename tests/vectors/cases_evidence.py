"""evidence.json: a whole file made by the twin alone, and files that do not decode."""
# ruff: noqa: E501 (tables: a case a line)

from typing import Any

from tests.vectors.cases_frame import KEY, MINUTE, START
from tests.vectors.twin import (
    TOTALS,
    ZERO,
    Key,
    Reading,
    assignment,
    batch_leaf,
    cbor,
    channel_limits,
    h,
    leaf_hash,
    leg_id,
    limits_bytes,
    pack,
    path,
    root,
    run,
    seal,
    tenant_id,
    totals,
)

OPERATOR = Key("operator")
LIMIT = channel_limits(1, 1, lower=2000, upper=8000, hold_ms=900_000, above_stretch_max_ms=3_600_000)
LIMITS = limits_bytes([LIMIT])
SALT = bytes(range(16))
LEG = leg_id(SALT, "SHIPMENT-1")
READINGS: list[Reading] = [(i, START + i * 5 * MINUTE, 4000 + 100 * i, 0) for i in range(9)]
CUTS = [(0, 4), (4, 8), (8, 9)]


def evidence() -> dict[str, Any]:
    good = items()
    return {
        "about": "docs/spec/evidence.md. error: empty when every check that needs no chain passes, else 'refused'.",
        "gateway": KEY.x + KEY.y,
        "operator": OPERATOR.x + OPERATOR.y,
        "frame_hashes": [frame["hash"] for frame in leg()],
        "cases": [{"name": "a clean leg", "bytes": sealed(good), "error": ""}, *_refused(good)],
    }


def leg() -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = []
    for number, (start, stop) in enumerate(CUTS):
        sums = pack(TOTALS, totals(READINGS[:stop], LIMIT))
        runs = [run(1, 1, h(b"salt %d" % number)[:16], READINGS[start:stop], start, sums)]
        header = {
            "leg_state": 2 if stop == len(READINGS) else 1, "leg_id": LEG, "limits_hash": h(LIMITS), "frame_seq": number,
            "previous_hash": frames[-1]["hash"] if frames else ZERO, "sent_ms": READINGS[stop - 1][1] + 1000,
        }  # fmt: skip
        frames.append(seal(header, runs, KEY))
    return frames


def order(action: int, order_seq: int, limits: bytes) -> bytes:
    fields = {
        "action": action, "tenant": tenant_id("demo"), "gateway": KEY.id, "order_seq": order_seq, "leg_id": LEG,
        "salt": SALT, "issued_ms": START, "begin_ms": START, "due_ms": 0, "reference": "SHIPMENT-1", "limits": limits,
    }  # fmt: skip
    return assignment(fields, OPERATOR)


def verdict(frames: list[dict[str, Any]]) -> bytes:
    sums = pack(TOTALS, totals(READINGS, LIMIT))
    horizon = [0, len(frames) - 1, frames[-1]["hash"], READINGS[-1][1]]
    return cbor(
        ["lading/verdict/1", LEG, KEY.id, h(LIMITS), "closed", "clean", True, horizon, [], [[1, 1, sums]]]
    )


def items() -> list[Any]:
    """Frames 0 and 1 in batch 1 with a leaf beside them, frame 2 alone in batch 2; two tenants in each interval."""
    frames = leg()
    beside = h(b"another frame")
    proofs, batches, anchors, previous = [], [], [], ZERO
    for number, held in enumerate([frames[:2], frames[2:]]):
        hashes = [*([beside] if number == 0 else []), *(frame["hash"] for frame in held)]
        for frame in held:
            at = hashes.index(frame["hash"])
            proofs.append([frame["bytes"], number, at, path(hashes, at)])
        fields = {
            "batch_seq": number + 1, "frames_root": root(hashes), "frame_count": len(hashes),
            "first_event_ms": held[0]["runs"][0]["readings"][0][1], "last_event_ms": held[-1]["runs"][0]["readings"][-1][1],
        }  # fmt: skip
        leaves = {
            name: batch_leaf(
                tenant=tenant_id(name), location_hash=h(b"%s/%08d.parquet" % (name.encode(), number + 1)),
                previous=previous if name == "demo" else h(b"theirs") * number or ZERO, **fields,
            )
            for name in ("demo", "north")
        }  # fmt: skip
        ordered = sorted(leaves, key=tenant_id)
        leaf_hashes = [leaf_hash(leaves[name]) for name in ordered]
        index = ordered.index("demo")
        batches.append([leaves["demo"], number, index, 2, path(leaf_hashes, index)])
        anchors.append(_anchor(number + 1, root(leaf_hashes), held[-1]["header"]["sent_ms"]))
        previous = leaf_hash(leaves["demo"])
    return [
        "lading/evidence/1", "demo", KEY.x + KEY.y, OPERATOR.x + OPERATOR.y, order(1, 1, LIMITS), order(2, 2, b""),
        START + 86_400_000, proofs, batches, anchors, verdict(frames), [], [],
    ]  # fmt: skip


def _anchor(interval: int, super_root: bytes, sent_ms: int) -> bytes:
    block_ms = sent_ms // 1000 * 1000 + 600_000
    return cbor(
        ["lading/anchor/1", interval, super_root, 2, 31337, bytes(20), h(b"tx %d" % interval), 100 + interval,
         h(b"block %d" % interval), block_ms, 52_180, "finalized"]
    )  # fmt: skip


def sealed(values: list[Any]) -> bytes:
    unsealed = cbor([*values, ZERO])[:-32]
    return unsealed + h(unsealed)


def _refused(good: list[Any]) -> list[dict[str, Any]]:
    def but(index: int, value: Any) -> bytes:
        return sealed([*good[:index], value, *good[index + 1 :]])

    data = sealed(good)
    frames, batches, anchors = good[7:10]
    unused = [*anchors, _anchor(9, h(b"x"), START)]
    spoilt = [
        ("no bytes", b""), ("digest of other bytes", data[:-1] + bytes([data[-1] ^ 1])),
        ("a byte changed under the digest", data[:500] + bytes([data[500] ^ 1]) + data[501:]),
        ("cut", data[:-1]), ("trailing byte", data + b"\0"), ("another tag", but(0, "lading/evidence/2")),
        ("an item too few", sealed(good[:-1])), ("an item too many", sealed([*good, None])),
        ("tenant name in capitals", but(1, "DEMO")), ("gateway key of 63 bytes", but(2, good[2][:-1])),
        ("operator key not on the curve", but(3, bytes(64))), ("no begin", but(4, None)), ("begin cut", but(4, good[4][:-1])),
        ("no frames", but(7, [])), ("frames in another order", but(7, [frames[1], frames[0], frames[2]])),
        ("a frame twice", but(7, [frames[0], *frames])), ("a frame of 3 items", but(7, [frames[0][:3], *frames[1:]])),
        ("batch index past the batches", but(7, [*frames[:2], [frames[2][0], 2, *frames[2][2:]]])),
        ("a batch that no frame needs", but(7, frames[:2])), ("batches in another order", but(8, batches[::-1])),
        ("33 siblings", but(8, [[*batches[0][:4], [ZERO] * 33], batches[1]])),
        ("an anchor that no batch needs", but(9, unused)), ("anchors in another order", but(9, anchors[::-1])),
        ("verdict that does not decode", but(10, good[10][:-1])), ("clones null", but(11, None)),
        ("a settlement that does not decode", but(12, [b"\x80"])),
    ]  # fmt: skip
    return [{"name": name, "bytes": data, "error": "refused"} for name, data in spoilt]
