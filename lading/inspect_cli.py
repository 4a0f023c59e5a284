"""`lading inspect FILE|-`: print any of the formats field by field."""

import json
import re
from typing import Annotated

import typer

from lading.evidence import EVIDENCE_BYTES_MAX
from lading.inspect import ALL, READINGS_SHOWN, Found, inspect
from lading.verify import EXIT_GOOD, EXIT_UNUSABLE
from lading.verify_cli import printable, read_input

_HEX = re.compile(rb"\s*(0x)?([0-9a-fA-F]{2}\s*)+", re.ASCII)
HEX_BYTES_MAX = 8_388_608

app = typer.Typer(add_completion=False)


@app.command()
def main(
    file: Annotated[str, typer.Argument(help="File of bytes or of hex digits; - for standard input.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
    show_all: Annotated[
        bool, typer.Option("--all", help="Every reading, not only the first of a run.")
    ] = False,
) -> None:
    """Print a frame, envelope, header, batch, anchor, verdict, evidence file, dead letter, … field by field.

    A line is OFFSET:LENGTH, name, value and meaning. Exit 0, or 2 where the bytes are none of the formats.
    """
    data = from_hex(read_input(file, EVIDENCE_BYTES_MAX))
    found = inspect(data, ALL if show_all else READINGS_SHOWN)
    if as_json:
        typer.echo(_as_json(file, len(data), found))
    else:
        _print(len(data), found)
    raise typer.Exit(EXIT_GOOD if found.problem is None else EXIT_UNUSABLE)


def from_hex(data: bytes) -> bytes:
    """The bytes that hex digits stand for, or the bytes themselves."""
    if len(data) > HEX_BYTES_MAX or not _HEX.fullmatch(data):
        return data
    return bytes.fromhex(data.decode("ascii").strip().removeprefix("0x"))


def _print(size: int, found: Found) -> None:
    typer.echo(f"{found.kind}, {size} bytes")
    for node in found.fields:
        for line in node.lines():
            typer.echo(printable(line))
    if found.problem is not None:
        typer.secho(f"stops: {printable(found.problem)}", fg="red", err=True)


def _as_json(file: str, size: int, found: Found) -> str:
    fields = [node.as_json() for node in found.fields]
    document = {"file": file, "kind": found.kind, "bytes": size, "problem": found.problem, "fields": fields}
    return json.dumps(document, ensure_ascii=False, indent=1)
