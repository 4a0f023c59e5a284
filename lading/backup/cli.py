"""`lading backup create`, `lading backup verify`, `lading backup restore`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from lading.backup.create import create
from lading.backup.manifest import Manifest
from lading.backup.restore import restore, verify
from lading.errors import ProofError
from lading.terminal import CONFIG, AsJson, Config, shown_time

app = typer.Typer(
    help="Copy an installation while it runs; check a copy; put it back.",
    no_args_is_help=True,
    add_completion=False,
)

Source = Annotated[Path, typer.Argument(help="A folder that `lading backup create` made.")]


@app.command("create")
def create_backup(
    dest: Annotated[Path, typer.Argument(help="A new folder.")],
    config: Config = CONFIG,
    without_keys: Annotated[
        bool, typer.Option("--without-keys", help="Leave private keys and tokens out.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Copy every store of the installation, beside the running stages. Outboxes and keys of gateways stay out."""
    with Console(stderr=True).status("") as shown:  # on a terminal alone
        manifest = create(
            config, dest, with_keys=not without_keys, note=lambda line: shown.update(escape(line))
        )
    _tell(manifest, dest, as_json=as_json)


@app.command("verify")
def verify_backup(source: Source, as_json: AsJson = False) -> None:
    """Check every file, and that the states belong to the log. Exit 1 when not."""
    try:
        manifest = verify(source)
    except ProofError as exc:
        typer.echo(f"{exc}", err=True)
        raise typer.Exit(1) from exc
    _tell(manifest, source, as_json=as_json)


@app.command("restore")
def restore_backup(
    source: Source,
    dest: Annotated[Path, typer.Argument(help="Folder for lading.toml and the data; neither may be there.")],
    data: Annotated[
        Path | None, typer.Option(help="Data folder, where it shall not be the one in the settings.")
    ] = None,
) -> None:
    """Put a checked backup into a folder. Read docs/operations.md before anything is started."""
    config = restore(source, dest, data, typer.echo)
    typer.echo(f"{config}: no gateway was restored; what came after the backup is not there")


def _tell(manifest: Manifest, folder: Path, *, as_json: bool) -> None:
    kinds = {kind: len(manifest.of_kind(kind)) for kind in sorted({file.kind for file in manifest.files})}
    size = sum(file.bytes for file in manifest.files)
    if as_json:
        left_out = [one.path for one in manifest.left_out]
        typer.echo(
            json.dumps(
                {"backup": str(folder), "created_ms": manifest.created_ms, "bytes": size, "files": kinds}
                | {"log_ends": manifest.log_ends, "left_out": left_out}
            )
        )
        return
    typer.echo(f"{folder}: of {shown_time(manifest.created_ms)}, {size} bytes")
    for kind, count in kinds.items():
        typer.echo(f"  {kind:8} {count}")
    for one in manifest.left_out:
        typer.echo(f"  left out: {one.path}: {one.reason}")
