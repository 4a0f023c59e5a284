"""`lading certs …`: a private authority for trials, and the broker's access list."""

import json
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from lading.acl import access_list
from lading.certs import AUTHORITY_DAYS, DAYS, Authority, load_certificate, utc_now
from lading.errors import ServiceError
from lading.log import wall_ms
from lading.opening import open_gateways
from lading.settings import Shared, load_shared
from lading.terminal import CONFIG, AsJson, Config

app = typer.Typer(
    help="A private certificate authority for trials, and the broker's access list.",
    no_args_is_help=True,
    add_completion=False,
)

SOON = timedelta(days=30)
FOLDER = Path("certs")
SETTINGS = """\
[mqtt]
port = 8883
ca = "certs/ca.crt"
certificate = "certs/{name}.crt"  # a stage's name, or a gateway's
key = "certs/{name}.key"
"""
STAGES_HINT = "ingest, anchoring, operator, series"
Days = Annotated[int, typer.Option(help="How long it is good, days.", min=1, max=36_500)]
Name = Annotated[str, typer.Argument(help="What its files are called.")]
Gateway = Annotated[str, typer.Argument(help="The gateway's name in the list of gateways.")]


@app.command()
def init(config: Config = CONFIG, days: Days = AUTHORITY_DAYS) -> None:
    """Make the authority: certs/ca.crt, ca.key and ca.crl below `data`."""
    folder = _folder(load_shared(config))
    Authority.create(folder, utc_now(), days)
    typer.echo(
        f"{folder / 'ca.crt'} written. This authority is for trials: its key lies in a file beside it."
    )
    typer.echo(SETTINGS + f'[ingest]\nshare = "lading-ingest-{secrets.token_hex(8)}"  # keep it secret')


@app.command()
def server(
    name: Name,
    host: Annotated[
        list[str] | None, typer.Option(help="Name or address that clients use; may repeat. Default: NAME.")
    ] = None,
    peer: Annotated[
        bool, typer.Option("--peer", help="It also connects to its like, as Kafka's brokers do.")
    ] = False,
    config: Config = CONFIG,
    days: Days = DAYS,
) -> None:
    """Make a server's certificate: NAME.crt, NAME.key, and both in NAME.pem as Kafka wants them."""
    hosts = tuple(host or [name])
    _told(_authority(config).issue_server(name, hosts, utc_now(), days, is_peer=peer))


@app.command()
def gateway(name: Gateway, config: Config = CONFIG, days: Days = DAYS) -> None:
    """Make a gateway's certificate: its user name at the broker is its id."""
    entries = [entry for entry in open_gateways(load_shared(config)).all() if entry.name == name]
    if len(entries) != 1:
        raise ServiceError("gateway_unknown", f"{len(entries)} gateways are called {name!r}, wanted one")
    common_name = entries[0].public.gateway_id.hex()
    _told(_authority(config).issue_client(name, common_name, utc_now(), days))


@app.command()
def client(
    name: Annotated[str, typer.Argument(help=f"The user's name: {STAGES_HINT}, or one of your own.")],
    config: Config = CONFIG,
    days: Days = DAYS,
) -> None:
    """Make a stage's or another client's certificate: NAME is its user name at the broker."""
    _told(_authority(config).issue_client(name, name, utc_now(), days))


@app.command()
def revoke(name: Name, config: Config = CONFIG) -> None:
    """Put a certificate on the revocation list ca.crl, for every broker to be given."""
    folder = _folder(load_shared(config))
    serial = Authority(folder).revoke(name, utc_now())
    typer.echo(f"{serial:x} revoked; give {folder / 'ca.crl'} to the brokers and restart them")


@app.command()
def acl(
    path: Annotated[Path | None, typer.Argument(help="File to write; none: stdout.")] = None,
    sensor: Annotated[
        list[str] | None, typer.Option(help="USER=GATEWAY: may write the gateway's SenML topic; may repeat.")
    ] = None,
    config: Config = CONFIG,
) -> None:
    """Write Mosquitto's access list from the list of gateways; it reads it again on SIGHUP."""
    sensors = dict(one.partition("=")[::2] for one in sensor or ())
    text = access_list(open_gateways(load_shared(config)).all(), wall_ms(), sensors)
    if path is None:
        typer.echo(text, nl=False)
        return
    draft = path.with_name(path.name + ".new")
    draft.write_text(text, "utf-8")
    draft.replace(path)
    typer.echo(f"{path} written: give it to the broker, and SIGHUP")


@app.command()
def show(config: Config = CONFIG, as_json: AsJson = False) -> None:
    """List the certificates and when they end. Exit 1 when one that is not revoked ends within 30 days."""
    found, now = _authority(config).all(), utc_now()
    if as_json:
        rows = [
            {
                "name": one.name,
                "common_name": one.common_name,
                "hosts": one.hosts,
                "serial": f"{one.serial:x}",
                "expires": one.expires.isoformat(),
                "revoked": one.is_revoked,
            }
            for one in found
        ]
        typer.echo(json.dumps(rows, indent=1))
    else:
        for one in found:
            left = (one.expires - now).days
            state = "revoked" if one.is_revoked else "expired" if one.expires <= now else f"{left} days left"
            typer.echo(
                f"{one.name:24} {one.expires:%Y-%m-%d}  {state:16} {one.common_name} {' '.join(one.hosts)}"
            )
    if any(one.expires - now < SOON and not one.is_revoked for one in found):
        raise typer.Exit(1)


def _folder(shared: Shared) -> Path:
    return shared.lading.below(FOLDER)


def _authority(config: Path) -> Authority:
    return Authority(_folder(load_shared(config)))


def _told(path: Path) -> None:
    until = load_certificate(path).not_valid_after_utc
    typer.echo(f"{path} and its key, good until {until:%Y-%m-%d}. The authority is for trials.")
