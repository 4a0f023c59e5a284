"""Every format is shown field by field; what is broken is shown up to where it breaks, and never a traceback."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lading.inspect import ALL, Node, inspect
from lading.inspect_cli import app, from_hex
from tests.unit.lading.evidence_world import evidence_of, make_world
from tests.vectors.read import vectors

KINDS = {
    ("frame", "readings"): "reading leaf",
    ("frame", "records"): "run record",
    ("frame", "headers"): "header",
    ("frame", "frames"): "frame",
    ("batch", "leaves"): "batch leaf",
    ("batch", "batch_records"): "batch record",
    ("batch", "anchor_records"): "anchor record",
    ("limits", "cases"): "limits",
    ("assignment", "cases"): "envelope",
    ("totals", "layouts"): "totals",
    ("documents", "verdicts"): "verdict",
    ("documents", "verdict_records"): "verdict record",
    ("documents", "clones"): "clone proof",
    ("documents", "dead_letters"): "dead letter",
}
SIGNED_WRONG = "signature"  # what only a key can refuse
ELSEWHERE_SOUND = ("payload of a header",)  # refused as an assignment, sound as an envelope


def samples() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for (file, section), kind in KINDS.items():
        for case in vectors(file)[section]:
            if case.get("name") in ELSEWHERE_SOUND:
                continue
            yield kind, f"{section}-{case.get('name', case.get('seq'))}", case


SAMPLES = list(samples())


def leaves(nodes: tuple[Node, ...]) -> Iterator[Node]:
    for node in nodes:
        yield from leaves(node.fields) if node.fields else [node]


@pytest.mark.parametrize(("kind", "case"), [(k, c) for k, _, c in SAMPLES], ids=[n for _, n, _ in SAMPLES])
def test_every_vector(kind: str, case: dict[str, Any]) -> None:
    """Accepted ones are shown whole under their kind; refused ones say what is wrong with them."""
    found = inspect(case["bytes"] + bytes(case.get("zeros_after", 0)), ALL)
    if case.get("error") in ("", None, SIGNED_WRONG):
        assert (found.kind, found.problem) == (kind, None)
        assert max(node.offset + node.length for node in leaves(found.fields)) == len(case["bytes"])
    else:
        assert found.problem


@pytest.mark.parametrize("section", ["records", "headers", "readings"])
def test_layouts_are_shown_with_no_byte_left_out(section: str) -> None:
    case = vectors("frame")[section][0]
    at = 0
    for node in leaves(inspect(case["bytes"]).fields):
        assert node.offset == at
        at += node.length
        name = node.name if node.name in case else f"totals_{node.name}"
        if name in case:
            wanted = case[name]
            assert node.value == (wanted.hex() if isinstance(wanted, bytes) else str(wanted))
    assert at == len(case["bytes"])


def test_evidence_is_shown_with_all_that_is_in_it() -> None:
    data = evidence_of(make_world(clone=True)).encode()
    found = inspect(data)
    assert (found.kind, found.problem) == ("evidence", None)
    shown = "\n".join(line for node in found.fields for line in node.lines())
    for part in (
        "'SHIPMENT-1'", "excursion_above", "clone 0", "frame_seq", "8.000 °C", "2026-01-01T00:00:00.000Z",
        "reading 100", "super_root", "mean kinetic temperature", "finalized",
    ):  # fmt: skip
        assert part in shown


def test_cut_anywhere_says_where() -> None:
    """Cut at any byte: the fields before the cut are shown, and the byte is named."""
    for kind, data in (
        ("frame", vectors("frame")["frames"][3]["bytes"]),
        ("envelope", vectors("assignment")["cases"][0]["bytes"]),
        ("verdict", vectors("documents")["verdicts"][0]["bytes"]),
    ):
        for end in range(2, len(data)):
            found = inspect(data[:end])
            assert found.problem, (kind, end)
            assert re.search(r"byte \d+", found.problem), found.problem


def test_changed_anywhere_never_raises() -> None:
    for data in (vectors("frame")["frames"][3]["bytes"], evidence_of(make_world()).encode()[:2500]):
        for at in range(len(data)):
            for bits in (0x01, 0x1F, 0xFF):
                inspect(data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :])


STRANGE = [b"", b"\0", b"\xff" * 50, b"{}", b"\x80", b"\x81\x61a", b"\x9b" + b"\xff" * 8, b"\x81" * 99]


@pytest.mark.parametrize("data", STRANGE)
def test_what_is_none_of_the_formats(data: bytes) -> None:
    found = inspect(data)
    assert found.problem is not None
    assert re.search(r"byte \d+", found.problem)


def test_hex_digits_stand_for_bytes() -> None:
    assert from_hex(b"0x0304") == from_hex(b" 03 04\n") == from_hex(b"0304") == b"\3\4"
    for other in (b"", b"030", b"0x", b"03x4", b"\x03\x04"):
        assert from_hex(other) == other


def test_command(tmp_path: Path) -> None:
    frame = vectors("frame")["frames"][2]["bytes"]
    path, broken = tmp_path / "frame", tmp_path / "broken"
    path.write_bytes(frame)
    broken.write_bytes(frame[:-1])
    runner = CliRunner()
    done = runner.invoke(app, [str(path)])
    assert done.exit_code == 0
    assert "limits_hash" in done.stdout
    done = runner.invoke(app, ["-", "--json", "--all"], input=frame.hex())
    assert done.exit_code == 0
    document = json.loads(done.stdout)
    assert (document["kind"], document["bytes"], document["problem"]) == ("frame", len(frame), None)
    done = runner.invoke(app, [str(broken)])
    assert done.exit_code == 2
    assert "stops: " in done.output
