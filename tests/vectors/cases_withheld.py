"""withheld.json: frames of which runs are shown as their record alone, each accepted or refused by name."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import cbor2

from tests.vectors.cases_frame import KEY, START, idle_parts, leg_parts, sealed
from tests.vectors.twin import RECORD, ZERO, cbor, pack, run_wire


def withheld() -> dict[str, Any]:
    """The file."""
    return {
        "about": "docs/spec/frame.md, withheld runs. `withheld`: channels of which the record alone is shown; "
        "readings: how many are shown. error: empty when accepted, else the code.",
        "key_x": KEY.x,
        "key_y": KEY.y,
        "frames": [*_accepted(), *_refused()],
    }


def wire(made: dict[str, Any], channels: set[int]) -> bytes:
    """The frame with the runs of these channels withheld."""
    inner = cbor2.loads(made["bytes"])[0]
    runs = [
        [pack(RECORD, r["record"])] if r["record"]["channel"] in channels else run_wire(r)
        for r in made["runs"]
    ]
    return cbor([inner, runs])


def _accepted() -> list[dict[str, Any]]:
    leg, closing = (
        sealed(leg_parts()),
        sealed(leg_parts(2, (6, 8), frame_seq=2, previous_hash=ZERO[:-1] + b"\1")),
    )
    cases = [
        ("all runs of a leg's frame", leg, {1, 2, 9}),
        ("one run of three", leg, {2}),
        ("the first run", leg, {1}),
        ("the last run", leg, {9}),
        ("a closing frame", closing, {1, 2, 9}),
        ("an idle frame", sealed(idle_parts()), {1, 40000}),
    ]
    return [
        {
            "name": name, "bytes": wire(made, channels), "error": "", "whole": made["bytes"],
            "frame_hash": made["hash"], "withheld": sorted(channels),
            "readings": sum(
                len(r["readings"]) for r in made["runs"] if r["record"]["channel"] not in channels
            ),
        }
        for name, made, channels in cases
    ]  # fmt: skip


def _refused() -> list[dict[str, Any]]:
    def spoilt(change: Callable[[dict[str, Any]], None]) -> bytes:
        parts = deepcopy(leg_parts())
        change(parts["runs"][0]["record"])
        return wire(sealed(parts), {1})

    leg = sealed(leg_parts())
    good = wire(leg, {1, 2, 9})
    head = good.index(b"\x81\x58\xcf")
    empty = sealed(leg_parts(2, (8, 8), frame_seq=3, previous_hash=ZERO[:-1] + b"\1"))
    cases = [
        ("an empty run", wire(empty, {1}), "frame_readings"),
        ("a run of two items", good[:head] + b"\x82" + good[head + 1 :], "frame_encoding"),
        ("a run of no items", good[:head] + b"\x80" + good[head + 210 :], "frame_encoding"),
        ("a record one byte short", good[:-1], "frame_size"),
        ("bytes after the end", good + b"\0", "frame_encoding"),
        ("another record than the signed root's", _flipped(good, head + 3 + 40), "frame_root"),
        ("times without room", spoilt(lambda r: r.update(last_time_ms=r["first_time_ms"] + 2)), "frame_readings"),
        ("times that go back", spoilt(lambda r: r.update(last_time_ms=START - 1)), "frame_readings"),
        ("totals of fewer readings", spoilt(lambda r: r.update(count=5)), "frame_totals"),
        ("an unknown quantity", spoilt(lambda r: r.update(quantity=0)), "frame_runs"),
    ]  # fmt: skip
    return [
        {
            "name": name, "bytes": data, "error": code, "whole": b"", "frame_hash": ZERO, "withheld": [], "readings": 0,
        }
        for name, data, code in cases
    ]  # fmt: skip


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
