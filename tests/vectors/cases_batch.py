"""batch.json: batch leaves, batch records, anchor records."""

from typing import Any

from tests.vectors.twin import BATCH_LEAF, ZERO, batch_leaf, cbor, h, leaf_hash, pack, path, root, tenant_id

FIELDS: dict[str, Any] = {
    "tenant": tenant_id("demo"), "batch_seq": 1, "frames_root": h(b"frames"), "frame_count": 3,
    "first_event_ms": 1_767_225_600_000, "last_event_ms": 1_767_229_200_000, "previous": ZERO,
    "location_hash": h(b"demo/00000001.parquet"),
}  # fmt: skip


def batch() -> dict[str, Any]:
    return {
        "about": "docs/spec/batch.md. error: empty when accepted, else 'refused'. u64 fields are decimal text.",
        "leaves": _leaves(),
        "super_roots": _super_roots(),
        "batch_records": _batch_records(),
        "anchor_records": _anchor_records(),
    }


def _leaves() -> list[dict[str, Any]]:
    later = FIELDS | {"batch_seq": 2**64 - 1, "previous": h(b"before"), "frame_count": 2**32 - 1}
    good = batch_leaf(**FIELDS)
    return [
        _leaf("first", FIELDS, ""),
        _leaf("later, greatest numbers", later, ""),
        _leaf("one instant", FIELDS | {"first_event_ms": 5, "last_event_ms": 5, "frame_count": 1}, ""),
        _leaf("one byte short", None, "refused", good[:-1]),
        _leaf("one byte long", None, "refused", good + b"\0"),
        _leaf("no bytes", None, "refused", b""),
        _leaf("type of a header", None, "refused", b"\x03" + good[1:]),
        _leaf("version 2", None, "refused", good[:1] + b"\x02" + good[2:]),
        _leaf("version 0", None, "refused", good[:1] + b"\x00" + good[2:]),
        _leaf("no frames", FIELDS | {"frame_count": 0}, "refused"),
        _leaf("batch 0", FIELDS | {"batch_seq": 0}, "refused"),
        _leaf("batch 1 with a previous leaf", FIELDS | {"previous": h(b"before")}, "refused"),
        _leaf("batch 2 without a previous leaf", FIELDS | {"batch_seq": 2}, "refused"),
        _leaf("ends before it begins", FIELDS | {"last_event_ms": FIELDS["first_event_ms"] - 1}, "refused"),
        _leaf("time above the maximum", FIELDS | {"last_event_ms": 253_402_300_800_000}, "refused"),
    ]


def _leaf(name: str, given: dict[str, Any] | None, error: str, data: bytes | None = None) -> dict[str, Any]:
    zero = {n: ZERO if isinstance(k, str) else 0 for n, k in BATCH_LEAF}
    fields = given or zero
    if data is None:
        data = pack(BATCH_LEAF, {"type": 4, "version": 1} | fields)
    return {
        "name": name, "bytes": data, "error": error, "tenant": fields["tenant"], "batch_seq": str(fields["batch_seq"]),
        "frames_root": fields["frames_root"], "frame_count": fields["frame_count"],
        "first_event_ms": str(fields["first_event_ms"]), "last_event_ms": str(fields["last_event_ms"]),
        "previous": fields["previous"], "location_hash": fields["location_hash"], "leaf_hash": leaf_hash(data),
    }  # fmt: skip


def _super_roots() -> list[dict[str, Any]]:
    """Intervals of several tenants: leaves ascend by tenant id."""
    cases = []
    for names in (["demo"], ["demo", "north"], ["a", "b", "c", "demo", "north"]):
        ordered = sorted(names, key=tenant_id)
        leaves = [
            batch_leaf(
                **FIELDS | {"tenant": tenant_id(n), "location_hash": h(f"{n}/00000001.parquet".encode())}
            )
            for n in ordered
        ]
        hashed = [leaf_hash(leaf) for leaf in leaves]
        at = ordered.index("demo")
        cases.append(
            {
                "tenants": ordered,
                "leaves": leaves,
                "super_root": root(hashed),
                "index": at,
                "siblings": path(hashed, at),
            }
        )
    return cases


def _document(name: str, items: Any, error: str = "") -> dict[str, Any]:
    return {"name": name, "bytes": items if isinstance(items, bytes) else cbor(items), "error": error}


def _batch_records() -> list[dict[str, Any]]:
    leaf = batch_leaf(**FIELDS)
    good = ["lading/batch/1", leaf, "demo", 7, [[0, 0, 2]], "demo/00000001.parquet", 1, 2, [h(b"sibling")]]

    def but(index: int, value: Any) -> list[Any]:
        return [*good[:index], value, *good[index + 1 :]]

    return [
        _document("one partition", good),
        _document("alone in its interval", [*good[:6], 0, 1, []]),
        _document("three partitions", but(4, [[0, 0, 0], [1, 5, 9], [4, 2**40, 2**40]])),
        _document("another tag", but(0, "lading/batch/2"), "refused"),
        _document("an item too few", good[:-1], "refused"),
        _document("an item too many", [*good, None], "refused"),
        _document("leaf cut", but(1, leaf[:-1]), "refused"),
        _document("interval as text", but(3, "7"), "refused"),
        _document("interval 0", but(3, 0), "refused"),
        _document("tenant name in capitals", but(2, "DEMO"), "refused"),
        _document("tenant name of another tenant", but(2, "north"), "refused"),
        _document("location of another batch", but(5, "demo/00000002.parquet"), "refused"),
        _document("positions backwards", but(4, [[0, 2, 0]]), "refused"),
        _document("a partition twice", but(4, [[0, 0, 0], [0, 1, 2]]), "refused"),
        _document("no positions", but(4, []), "refused"),
        _document("index equals count", but(6, 2), "refused"),
        _document("sibling of 31 bytes", but(8, [bytes(31)]), "refused"),
        _document("too many siblings", but(8, [bytes(32)] * 33), "refused"),
        _document("trailing byte", cbor(good) + b"\0", "refused"),
        _document("cut", cbor(good)[:-1], "refused"),
        _document("array head not the shortest", b"\x98\x09" + cbor(good)[1:], "refused"),
    ]


def _anchor_records() -> list[dict[str, Any]]:
    good = [
        "lading/anchor/1", 7, h(b"super"), 2, 31337, bytes(range(20)), h(b"tx"), 1234, h(b"block"),
        1_767_229_260_000, 52_180, "finalized",
    ]  # fmt: skip
    pending = [*good[:7], 0, ZERO, 0, 0, "pending"]

    def but(index: int, value: Any) -> list[Any]:
        return [*good[:index], value, *good[index + 1 :]]

    return [
        _document("finalized", good),
        _document("safe", but(11, "safe")),
        _document("mined", but(11, "mined")),
        _document("pending", pending),
        _document("unknown state", but(11, "final"), "refused"),
        _document("another tag", but(0, "lading/batch/1"), "refused"),
        _document("interval 0", but(1, 0), "refused"),
        _document("no batches", but(3, 0), "refused"),
        _document("registry of 32 bytes", but(5, bytes(32)), "refused"),
        _document("negative block", but(7, -1), "refused"),
        _document("time as text", but(9, "now"), "refused"),
        _document("time above the maximum", but(9, 253_402_300_800_000), "refused"),
        _document("pending with a block", [*pending[:7], 1, *pending[8:]], "refused"),
        _document("an item too few", good[:-1], "refused"),
        _document("trailing byte", cbor(good) + b"\0", "refused"),
    ]
