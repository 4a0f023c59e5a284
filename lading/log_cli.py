"""`lading log …`: topics of the log, who has read how far, and who may read and append on Kafka."""

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from lading.errors import ServiceError
from lading.log import OpenLog
from lading.opening import open_kafka, open_log, read_secret
from lading.settings import LogSettings, Shared, load_shared
from lading.terminal import CONFIG, AsJson, Config
from lading.topics import LOG_TOPICS

app = typer.Typer(
    help="Topics of the log, and who has read how far.", no_args_is_help=True, add_completion=False
)


@dataclass(frozen=True, slots=True)
class Standing:
    """A topic: oldest and next offsets by partition; by group, the next offset it reads."""

    topic: str
    begin: Mapping[int, int]
    end: Mapping[int, int]
    committed: Mapping[str, Mapping[int, int]]

    def lag(self, group: str) -> int:
        """Records that the group has not read."""
        return sum(
            end - max(self.committed[group].get(partition, 0), self.begin[partition])
            for partition, end in self.end.items()
        )


@app.command()
def init(config: Config = CONFIG, as_json: AsJson = False) -> None:
    """Make the topics that are missing. One with other partitions than the settings say is an error."""
    shared = load_shared(config)
    with closing(open_log(shared)) as log:
        made = {topic: log.create(topic) for topic in LOG_TOPICS}
    if as_json:
        typer.echo(json.dumps({"partitions": shared.log.partitions, "made": made}))
        return
    for topic, is_new in made.items():
        typer.echo(f"{topic:26} {'made' if is_new else 'is there'}")


@app.command()
def grant(
    config: Config = CONFIG,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be granted.")] = False,
) -> None:
    """Give each stage's user on Kafka the rights it needs, and no more. Needs the right to alter rights."""
    from lading.kafka.access import grant_all, grants

    log = _kafka(load_shared(config))
    wanted = list(grants(log.prefix))
    if not dry_run:
        grant_all(open_kafka(log), wanted)
    for one in wanted:
        typer.echo(f"{one.user:10} {one.operation:9} {one.kind:6} {one.name}{'*' if one.is_prefix else ''}")


@app.command()
def user(
    name: Annotated[str, typer.Argument(help="A stage's user, or another.")],
    password_file: Annotated[Path, typer.Option(help="File that holds the password and no more.")],
    config: Config = CONFIG,
) -> None:
    """Make a user on Kafka, or change its password. Needs the right to alter the cluster."""
    from lading.kafka.access import set_password

    log = _kafka(load_shared(config))
    set_password(open_kafka(log), name, read_secret(password_file), log.sasl_mechanism)
    typer.echo(f"{name} may show the password of {password_file}")


def _kafka(shared: Shared) -> LogSettings:
    if shared.log.kind != "kafka":
        raise ServiceError("settings", f'log.kind is "{shared.log.kind}", wanted "kafka": only it has users')
    return shared.log


@app.command("list")
def show(config: Config = CONFIG, as_json: AsJson = False) -> None:
    """Each topic's records and partitions, and how far each group is behind."""
    with closing(open_log(load_shared(config))) as log:
        found = standings(log)
    if as_json:
        typer.echo(json.dumps({"topics": [_as_dict(one) for one in found]}))
        return
    for one in found:
        count = sum(end - one.begin[partition] for partition, end in one.end.items())
        typer.echo(f"{one.topic:26} {count:10} records in {len(one.end)} partitions: {_ranges(one)}")
        for group in one.committed:
            typer.echo(f"  {group:24} {one.lag(group):10} behind")


def standings(log: OpenLog) -> list[Standing]:
    """Every topic of the stages, with the groups that have committed in it."""
    groups = log.groups()
    found: list[Standing] = []
    for topic in LOG_TOPICS:
        committed = {group: at for group in groups if (at := log.committed(group, topic))}
        found.append(Standing(topic, log.begin(topic), log.end(topic), committed))
    return found


def _ranges(one: Standing) -> str:
    return " ".join(f"{partition}:{one.begin[partition]}-{end}" for partition, end in one.end.items())


def _as_dict(one: Standing) -> dict[str, object]:
    groups = {name: {"committed": dict(at), "lag": one.lag(name)} for name, at in one.committed.items()}
    return {
        "topic": one.topic,
        "partitions": len(one.end),
        "begin": dict(one.begin),
        "end": dict(one.end),
        "groups": groups,
    }
