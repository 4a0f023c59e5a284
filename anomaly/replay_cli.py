"""`lading anomaly replay`: are the recorded scores what the detectors compute of the leg's evidence?"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from anomaly.scoring.replay import Replay, replay
from anomaly.scoring.sources import LegFrames, find_leg, frames_in_evidence, frames_in_log, recorded_of
from lading.errors import ServiceError
from lading.evidence import EVIDENCE_BYTES_MAX
from lading.log import OpenLog
from lading.opening import open_log
from lading.settings import load_shared
from lading.terminal import CONFIG, AsJson, Config
from lading.verify_cli import read_input

EXITS = {"identical": 0, "differs": 1, "incomplete": 3}


def replay_leg(
    leg: Annotated[str, typer.Argument(help="Evidence file, or reference, leg id or its beginning.")],
    gateway: Annotated[
        str | None, typer.Option(help="The gateway's id in hex, where several had the leg.")
    ] = None,
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Compute every score of LEG again, and say identical or where it differs.

    Exit code: 0 identical, 1 differs, 2 nothing could be done, 3 no difference, but not all could be compared.
    """
    log = open_log(load_shared(config))
    source = _frames(log, leg, gateway)
    done = replay(source.frames, source.withheld, recorded_of(log, source.leg))
    if as_json:
        typer.echo(json.dumps(_document(source, done)))
    else:
        for line in _lines(source, done):
            typer.echo(line)
    raise typer.Exit(EXITS[done.result])


def _frames(log: OpenLog, leg: str, gateway: str | None) -> LegFrames:
    if Path(leg).is_file():
        return frames_in_evidence(read_input(leg, EVIDENCE_BYTES_MAX))
    return frames_in_log(log, find_leg(log, leg, _gateway_id(gateway)))


def _gateway_id(text: str | None) -> bytes | None:
    try:
        return None if text is None else bytes.fromhex(text.removeprefix("0x"))
    except ValueError as exc:
        raise ServiceError("gateway_unknown", f"{text!r}, wanted a gateway id in hex") from exc


def _document(source: LegFrames, done: Replay) -> dict[str, Any]:
    leg_id, gateway, _ = source.leg
    return {"result": done.result, "leg_id": leg_id.hex(), "gateway": gateway.hex(), **asdict(done)}


def _lines(source: LegFrames, done: Replay) -> list[str]:
    compared = f"{done.episodes} episodes and {done.sheets} score sheets"
    lines = [f"leg       {source.leg[0].hex()}", f"release   {done.release}"]
    lines += [f"computed  {done.readings} readings in {done.frames} frames; compared {compared}"]
    lines += [f"left      {why}" for why in done.left]
    for one in done.differences:
        what = "frames" if one.channel is None else f"channel {one.channel}, readings"
        lines.append(f"differs   {what} {one.first_seq} to {one.last_seq}: {one.text}")
    if done.difference_count > len(done.differences):
        lines.append(f"differs   {done.difference_count - len(done.differences)} more")
    return [*lines, done.result]
