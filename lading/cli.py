"""`lading STAGE COMMAND`, `lading verify`: loads what a command needs only when it is called."""

import importlib
import sys
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from lading import __version__
from lading.errors import LadingError, ServiceError
from lading.terminal import settle_streams, unheard

EXIT_FAILED, EXIT_UNUSABLE = 1, 2

# command: (module, attribute, extra that it needs, help)
COMMANDS: dict[str, tuple[str, str, str, str]] = {
    "demo": (
        "demo.cli",
        "app",
        "all",
        "Run the whole path, from simulated or recorded sensors to settlements.",
    ),
    "init": ("lading.initial", "app", "stage", "Write lading.toml, keys and the list of gateways."),
    "up": (
        "lading.operate",
        "app",
        "all",
        "Run broker, chain and stages on this machine, as the settings say.",
    ),
    "status": (
        "lading.status",
        "app",
        "stage",
        "Show gateways, stages, lag, last anchor and finality.",
    ),
    "certs": (
        "lading.certs_cli",
        "app",
        "stage",
        "Make certificates for trials, and the broker's access list.",
    ),
    "backup": ("lading.backup.cli", "app", "stage", "Copy an installation while it runs; put it back."),
    "archive": (
        "ingest.archive_cli",
        "app",
        "ingest",
        "Rebuild the archive, erase readings, let old ones expire.",
    ),
    "leg": ("lading.leg_cli", "app", "edge", "Order gateways to begin and end legs."),
    "edge": ("edge.cli", "app", "edge", "Stage 1: sample, sign, keep, publish."),
    "ingest": ("ingest.cli", "app", "ingest", "Stage 2: receive, check, log, archive; dead letters."),
    "anomaly": ("anomaly.cli", "app", "anomaly", "Stage 3: rules and verdicts."),
    "anchoring": ("anchoring.cli", "app", "anchoring", "Stage 4: batches, roots, the chain, proofs."),
    "settle": ("contracts.cli", "app", "settle", "Stage 5: agreements and payments."),
    "agreement": (
        "contracts.agreement_cli",
        "app",
        "settle",
        "Draft, sign, fund, show and settle agreements.",
    ),
    "cover": (
        "contracts.cover_cli",
        "app",
        "settle",
        "Open pools, add capital, sell and buy cover over legs.",
    ),
    "fees": ("contracts.fees.cli", "app", "settle", "What anchoring and settling cost, on which chain."),
    "dashboards": ("dashboards.cli", "app", "dashboards", "The time series in InfluxDB, and its boards."),
    "log": ("lading.log_cli", "app", "stage", "Topics of the log, and who has read how far."),
    "evidence": ("lading.evidence_cli", "app", "stage", "Export the evidence of a leg."),
    "verify": ("lading.verify_cli", "app", "", "Check an evidence file."),
    "inspect": ("lading.inspect_cli", "app", "", "Print any of the formats field by field."),
}


class LazyGroup(TyperGroup):
    """Finds a command by name and imports its module on use: verification starts without the stages."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Every command, in the order of a reading's life."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, extra, _ = COMMANDS[cmd_name]
        try:
            app = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as exc:
            if exc.name and exc.name.split(".")[0] == module.split(".")[0]:
                raise
            wanted = f"pip install 'lading-evidence[{extra}]'" if extra else "reinstall lading-evidence"
            raise ServiceError("install", f"`lading {cmd_name}` needs {exc.name}: {wanted}") from exc
        command = typer.main.get_command(app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Help without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, spec[3]) for name, spec in COMMANDS.items()])


cli = typer.Typer(
    cls=LazyGroup,
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lading, version {__version__}")
        raise typer.Exit


@cli.callback()
def lading(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Lading carries evidence from a signed sensor reading to a settled payment."""


def main() -> None:
    """Entry point: our errors and the disk's end in one line on stderr and exit code 2, an interrupt in 130."""
    settle_streams()
    try:
        cli()
    except LadingError as exc:
        _end(str(exc))
    except OSError as exc:
        place = f"{exc.filename}: " if exc.filename else ""
        _end(f"file: {place}{exc.strerror or exc}")
    except KeyboardInterrupt:
        sys.exit(130)


def _end(why: str) -> NoReturn:
    typer.echo(f"lading: {why}", err=True)
    unheard()
    sys.exit(EXIT_UNUSABLE)


if __name__ == "__main__":
    main()
