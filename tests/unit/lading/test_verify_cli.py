"""`lading verify` as a person or a script meets it: exit codes, JSON, a small install, never a traceback."""

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lading.cli import cli
from lading.cose import KeySigner
from lading.evidence import Evidence
from lading.frame import CLOSED, NO_ANCHOR, OPEN, Frame, LegRef, Reading, Run, make_run, seal
from lading.quantities import FLAGS_KNOWN
from lading.totals import EMPTY, fold
from lading.tree import ZERO_HASH
from lading.verify import Expected, verify
from tests.unit.lading.evidence_world import (
    GATEWAY,
    LIMITS,
    OPERATOR,
    START_MS,
    evidence_of,
    make_world,
)

CHECKS = [
    "format", "keys", "signature", "assignment", "chain", "totals", "completeness", "inclusion", "anchor", "finality",
    "age", "verdict", "settlement",
]  # fmt: skip


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.evidence"
    path.write_bytes(evidence_of(make_world()).encode())
    return path


def run(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["verify", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_one_line_a_check(good: Path) -> None:
    code, output = run(good)
    assert code == 0
    assert [line.split()[1] for line in output.splitlines()] == CHECKS
    assert {line.split()[0] for line in output.splitlines()} == {"PASS", "LEFT"}


def test_exit_codes(good: Path, tmp_path: Path) -> None:
    """0 good, 1 failed, 2 unusable, 3 warnings under --strict."""
    data = good.read_bytes()
    (tmp_path / "cut").write_bytes(data[:-1])
    (tmp_path / "failed").write_bytes(replace(Evidence.decode(data), tenant_name="north").encode())
    assert run(good, "--strict")[0] == 0
    assert run(tmp_path / "failed")[0] == 1
    assert run(tmp_path / "cut")[0] == 2
    assert run(good, "--age-max-s", "60")[0] == 0
    assert run(good, "--age-max-s", "60", "--strict")[0] == 3
    assert run(good, "--gateway-key", "00" * 32)[0] == 1


def test_the_file_does_not_steer_the_terminal(good: Path) -> None:
    """A rule's name in a forged verdict is shown without its escape sequence."""
    evidence = Evidence.decode(good.read_bytes())
    finding = replace(evidence.verdict.findings[0], rule="\x1b[2J\u202eclean")
    (good.parent / "forged").write_bytes(
        replace(evidence, verdict=replace(evidence.verdict, findings=(finding,))).encode()
    )
    for arguments in (["verify", str(good.parent / "forged")], ["inspect", str(good.parent / "forged")]):
        output = CliRunner().invoke(cli, arguments).output
        assert "[2J" in output
        assert "\x1b" not in output
        assert "\u202e" not in output


def test_known_keys_pass(good: Path) -> None:
    key, operator = GATEWAY.public.encode().hex(), OPERATOR.public.encode().hex()
    for gateway in (key, "0x" + key, GATEWAY.public.gateway_id.hex()):
        code, output = run(good, "--gateway-key", gateway, "--operator-key", operator)
        assert code == 0
        assert "PASS  keys" in output


def test_json(good: Path) -> None:
    code, output = run(good, "--json")
    document = json.loads(output)
    assert (code, document["exit"]) == (0, 0)
    assert [check["name"] for check in document["checks"]] == CHECKS
    assert document["evidence"]["result"] == "breach"
    (good.parent / "cut").write_bytes(good.read_bytes()[:99])
    code, output = run(good.parent / "cut", "--json")
    document = json.loads(output)
    assert (code, document["exit"], document["evidence"]) == (2, 2, None)


def command(
    *arguments: str, stdin: bytes = b"", block: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[bytes]:
    blocked = "".join(f"sys.modules[{name!r}] = None; " for name in block)
    script = f"import sys; {blocked}from lading.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], input=stdin, capture_output=True, timeout=60, check=False
    )


def test_a_small_install_is_enough(good: Path) -> None:
    """Neither Kafka, numba, web3 nor any stage's libraries: signatures and a command line."""
    block = ("numpy", "numba", "web3", "structlog", "prometheus_client", "eth_abi", "eth_hash", "paho",
             "pyarrow", "duckdb", "requests", "cbor2")  # fmt: skip
    for stage_command in ("verify", "inspect"):
        done = command(stage_command, str(good), block=block)
        assert (done.returncode, done.stderr) == (0, b"")


def test_unusable_inputs_end_in_one_line(good: Path) -> None:
    for arguments in (
        ("/nonexistent",),
        (str(good.parent),),
        (str(good), "--gateway-key", "zz"),
        (str(good), "--rpc", "x"),
    ):
        done = command("verify", *arguments)
        assert done.returncode == 2
        assert done.stderr.count(b"\n") == 1
        assert b"Traceback" not in done.stderr
    assert command("verify", "-", stdin=good.read_bytes()).returncode == 0
    assert command("verify", "-").returncode == 2


# --- frames that are sound each for itself, and signed, but make no leg ---


def strange_run(draw: random.Random, number: int) -> Run:
    limits = LIMITS.channels[number]
    count = draw.choice([0, 0, 1, 2, 5])
    time_ms, seq = START_MS + draw.randrange(-10_000_000, 10_000_000), draw.choice([0, 5, 2**63, 2**64 - 9])
    readings = []
    for i in range(count):
        time_ms += draw.choice([1, 1000, 600_000, 4_000_000])
        value = draw.choice([0, 5000, 9000, -(2**31), 2**31 - 1])
        readings.append(Reading(seq + i, time_ms, value, draw.choice([0, 0, 0, 1, 2, FLAGS_KNOWN])))
    salt = draw.randbytes(16) if readings else bytes(16)
    return make_run(limits.channel, limits.quantity, seq, salt, readings, fold(EMPTY, limits, readings))


def strange_frame(draw: random.Random, at: int, previous: bytes, signer: KeySigner) -> Frame:
    state = draw.choice([OPEN, OPEN, CLOSED])
    leg = LegRef(state, make_world().begin.leg_id, LIMITS.hash)
    runs = [strange_run(draw, number) for number in range(draw.choice([1, 2, 2]))]
    sent_ms = draw.choice([0, START_MS, 2**47])
    return seal(signer, leg, at, previous if at else ZERO_HASH, sent_ms, NO_ANCHOR, runs)


def test_whatever_a_gateway_signs_there_is_no_traceback() -> None:
    """Sound frames that do not follow one another: checks fail, and say so."""
    honest = evidence_of(make_world())
    draw = random.Random(20260101)
    for _ in range(150):
        proofs, previous = [], b"\1" * 32
        for at, proof in enumerate(honest.frames, draw.choice([0, 1, 2**63])):
            frame = strange_frame(draw, at, previous, GATEWAY)
            previous = frame.header.hash if draw.random() < 0.8 else b"\2" * 32
            proofs.append(replace(proof, frame=frame))
        data = replace(honest, frames=tuple(proofs)).encode()
        assert verify(data, Expected()).exit_code(strict=False) == 1
