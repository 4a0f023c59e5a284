"""`lading log init`, `lading log list`: topics of the log and who has read how far."""

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

import typer

from lading.log import OpenLog
from lading.opening import open_log
from lading.settings import load_shared
from lading.terminal import CONFIG, AsJson, Config
from lading.topics import LOG_TOPICS

app = typer.Typer(help="Topics of the log, and who has read how far.", no_args_is_help=True)


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
