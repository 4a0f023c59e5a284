"""The kernels agree with the same frozen vectors: many frames, trees and signatures at a time."""

import numpy as np

from lading import fast, lanes
from lading.cose import PublicKey
from lading.errors import RejectedError
from lading.p256 import key_table, verify_many
from tests.vectors.read import vectors


def test_frames_all_at_once() -> None:
    """Accepted and refused ones side by side: a broken frame does not touch its neighbours."""
    cases = vectors("frame")["frames"]
    for order in (cases, cases[::-1]):
        checked = fast.check_frames([case["bytes"] + bytes(case["zeros_after"]) for case in order])
        wanted = [case["error"] == "" for case in order]
        assert checked.whole.tolist() == wanted
        for at, case in enumerate(order):
            if case["error"]:
                continue
            assert checked.headers[at].tobytes() == case["header"]
            assert checked.hashes[at].tobytes() == case["frame_hash"]
            assert checked.signatures[at].tobytes() == case["signature"]
            readings = checked.readings(at)
            columns = checked.columns
            names = ("seq", "time_ms", "value", "flags")
            found = np.stack([getattr(columns, name)[readings].astype(object) for name in names], axis=1)
            assert found.tolist() == [reading for run in case["runs"] for reading in run["readings"]]


def test_trees() -> None:
    for case in vectors("tree")["roots"]:
        if case["count"]:
            rows = lanes.as_rows(case["leaf_hashes"])
            assert lanes.tree_root(rows) == case["root"]


def test_signatures_all_at_once() -> None:
    """What the lanes call good is good, and they know every good one."""
    keys: list[PublicKey] = []
    cases = []
    for case in vectors("signature")["cases"]:
        try:
            keys.append(PublicKey(case["x"], case["y"]))
        except RejectedError:
            assert not case["valid"]
            continue
        cases.append(case)
    tables = np.stack([key_table(key) for key in keys])
    claims = [(at, case["digest"], case["r"] + case["s"]) for at, case in enumerate(cases)] * 3
    found = verify_many(tables, *map(list, zip(*claims, strict=True)))  # type: ignore[arg-type]
    assert found.tolist() == [case["valid"] for case in cases] * 3
