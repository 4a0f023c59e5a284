"""`lading verify FILE`: check an evidence file, one line a check."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from lading.chain import Chain
from lading.chaincheck import ChainCheck, PlainRpc
from lading.checks import AGE_MS_MAX, Expected, Status
from lading.errors import MalformedError, ServiceError
from lading.evidence import EVIDENCE_BYTES_MAX
from lading.terminal import opened, unheard
from lading.verify import Report, verify

_COLOURS = {Status.PASS: "green", Status.WARN: "yellow", Status.FAIL: "red", Status.LEFT: "cyan"}
_KEY_LENGTHS = {"gateway key": (32, 64), "operator key": (64,), "registry": (20,), "gateway registry": (20,)}

app = typer.Typer(add_completion=False)


@app.command()
def main(
    file: Annotated[str, typer.Argument(help="Evidence file; - for standard input.")],
    rpc: Annotated[
        str | None, typer.Option(help="JSON-RPC URL of the chain: checks anchors and payments too.")
    ] = None,
    registry: Annotated[str | None, typer.Option(help="The AnchorRegistry that you trust, as hex.")] = None,
    gateways: Annotated[
        str | None,
        typer.Option(help="The GatewayRegistry that you trust, as hex: looks the gateway's key up."),
    ] = None,
    gateway_key: Annotated[
        str | None, typer.Option(help="The gateway's key (x‖y) or id that you trust, as hex.")
    ] = None,
    operator_key: Annotated[
        str | None, typer.Option(help="The operator's key (x‖y) that you trust, as hex.")
    ] = None,
    age_max_s: Annotated[
        int, typer.Option(min=0, help="Warn when an anchor is later than this after the readings.")
    ] = AGE_MS_MAX // 1000,
    strict: Annotated[bool, typer.Option(help="Exit 3 when there are warnings.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Check an evidence file: exit 0 good, 1 failed, 2 unusable, 3 warnings under --strict."""
    expected = Expected(
        _hex("gateway key", gateway_key), _hex("operator key", operator_key), age_max_s * 1000
    )
    trusted = _hex("registry", registry), _hex("gateway registry", gateways)
    chain = ChainCheck(Chain(PlainRpc(rpc)), *trusted) if rpc else None
    report = verify(read_input(file, EVIDENCE_BYTES_MAX), expected, chain)
    code = report.exit_code(strict)
    try:
        if as_json:
            typer.echo(_as_json(file, report, code))
        else:
            _print(report)
    except BrokenPipeError:  # `| head -1` has seen enough, and 1 would say that the evidence failed
        unheard()
    raise typer.Exit(code)


def read_input(file: str, bytes_max: int) -> bytes:
    """The file's bytes, or standard input's; one byte past the limit is enough to be refused."""
    try:
        if file == "-":
            return opened(sys.stdin, "standard input").buffer.read(bytes_max + 1)
        with Path(file).open("rb") as stream:
            return stream.read(bytes_max + 1)
    except OSError as exc:
        raise ServiceError("file", f"{file}: {exc.strerror}") from exc


def _hex(name: str, text: str | None) -> bytes | None:
    if text is None:
        return None
    lengths = _KEY_LENGTHS[name]
    try:
        value = bytes.fromhex(text.removeprefix("0x"))
    except ValueError as exc:
        raise MalformedError("option", f"{name} is not hex") from exc
    if len(value) not in lengths:
        raise MalformedError(
            "option", f"{name} of {len(value)} bytes, wanted {' or '.join(map(str, lengths))}"
        )
    return value


def _print(report: Report) -> None:
    for name, status, found in report.results:
        label = typer.style(f"{status:4}", fg=_COLOURS[status], bold=status == Status.FAIL)
        typer.echo(f"{label}  {name:12}  {printable(found)}")


def printable(text: str) -> str:
    """Without control characters: a file's own words must not steer the terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _as_json(file: str, report: Report, code: int) -> str:
    evidence = report.evidence
    about = {
        "leg": evidence.begin.leg_id.hex(), "reference": evidence.begin.reference,
        "tenant": evidence.tenant_name, "gateway": evidence.gateway.gateway_id.hex(),
        "state": evidence.verdict.state, "result": evidence.verdict.result, "final": evidence.verdict.final,
    } if evidence else None  # fmt: skip
    checks = [{"name": name, "status": status, "found": found} for name, status, found in report.results]
    return json.dumps(
        {"file": file, "exit": code, "evidence": about, "checks": checks}, ensure_ascii=False, indent=1
    )
