"""`lading status`: gateways, stages, anchors and chain of an installation, in one look."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lading.errors import ServiceError
from lading.gateways import GatewayFile
from lading.heard import Status, hear_statuses
from lading.mqtt import broker_of
from lading.opening import open_gateways
from lading.settings import Shared, StageSettings, load_scraped, load_shared, load_shown
from lading.supervise import lading_command
from lading.terminal import CONFIG, AsJson, Config, columns_of, shown_time

app = typer.Typer(add_completion=False)

STAGES = ("edge", "ingest", "anomaly", "anchoring", "settle", "dashboards")
ALWAYS = STAGES[:5]  # the writer of the time series only where it has settings
STATUS_LIMIT_S = 60.0
LOOK_LIMIT_S = 5.0
HEAR_LIMIT_S = 3.0
LOOK_BYTES_MAX = 64 * 1024
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
_COLOURS = {"ready": "green", "not shown": "white", "not ready": "yellow", "hangs": "red", "no answer": "red"}

Answers = dict[str, dict[str, Any]]


@app.callback(invoke_without_command=True)
def status(config: Config = CONFIG, as_json: AsJson = False) -> None:
    """Gateways, stages, lag, newest anchor and finality. Exit 1 when a stage cannot be asked."""
    shared = load_shared(config)
    gateways = open_gateways(shared)
    shown = {stage: load_shown(config, stage) for stage in STAGES}
    scraped = _by_stage(load_scraped(config))
    stages = [stage for stage in STAGES if stage in ALWAYS or shown[stage] is not None]
    with ThreadPoolExecutor(2 * len(STAGES)) as pool:
        asked = pool.map(lambda stage: _ask(stage, config), stages)
        processes = dict(
            zip(stages, pool.map(lambda stage: _look(shown[stage], scraped.get(stage)), stages), strict=True)
        )
        said = pool.submit(_hear, shared, gateways)
        answers = dict(zip(stages, asked, strict=True))
    seen = _gateways(gateways, answers, said.result())
    if as_json:
        typer.echo(json.dumps({**answers, "processes": processes, "gateways": seen}, indent=1))
    else:
        _print(answers, processes, seen)
    if any("error" in answer for answer in answers.values()):
        raise typer.Exit(1)


def _ask(stage: str, config: Path) -> dict[str, Any]:
    """What a stage's own status command says, from its stores."""
    command = lading_command(stage, "status", "--config", str(config), "--json")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=STATUS_LIMIT_S, check=False)
        answer: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {STATUS_LIMIT_S:.0f} s"}
    except ValueError:
        return {"error": done.stderr.strip()[-500:] or f"ended with {done.returncode}"}
    return answer


def _by_stage(scraped: Mapping[str, str]) -> dict[str, str]:
    """The readiness of each stage's first instance, beside its metrics: `ingest` of `ingest-2`."""
    found: dict[str, str] = {}
    for instance, url in scraped.items():
        stage = instance.split("-", 1)[0]
        found.setdefault({"series": "dashboards"}.get(stage, stage), url.removesuffix("/metrics") + "/readyz")
    return found


def _look(own: StageSettings | None, scraped: str | None) -> dict[str, Any]:
    """What a stage's process says of itself: `state`, and what /readyz says where it is shown.

    One that serves on every address may be on another machine, as in a container: then it is asked where it is scraped.
    """
    if own is None or not own.metrics_port:
        return {"state": "not shown"}
    host = _ANYWHERE.get(own.metrics_host, own.metrics_host)
    url = f"http://{f'[{host}]' if ':' in host else host}:{own.metrics_port}/readyz"
    if scraped is not None and own.metrics_host in _ANYWHERE:
        url = scraped
    try:
        with urllib.request.urlopen(url, timeout=LOOK_LIMIT_S) as answer:
            body = answer.read(LOOK_BYTES_MAX)
    except urllib.error.HTTPError as exc:
        body = exc.read(LOOK_BYTES_MAX)
    except (OSError, ValueError) as exc:
        return {"state": "no answer", "reason": f"{url}: {exc}"}
    try:
        found: dict[str, Any] = json.loads(body)
        lacking = found["not_ready"]
    except (ValueError, KeyError, TypeError):
        return {"state": "no answer", "reason": f"{url}: something else listens there"}
    state = "hangs" if "loop" in lacking else "not ready" if lacking else "ready"
    return {"state": state, **found}


def _hear(shared: Shared, gateways: GatewayFile) -> dict[bytes, Status]:
    """What each gateway said last, wherever it is; nothing where the broker cannot be asked."""
    known = [(entry.tenant, entry.public.gateway_id) for entry in gateways.all()]
    try:
        return hear_statuses(broker_of(shared, "operator"), known, HEAR_LIMIT_S)
    except ServiceError:
        return {}


def _gateways(known: GatewayFile, answers: Answers, said: Mapping[bytes, Status]) -> list[dict[str, Any]]:
    """Every known gateway: what the log has of it, its outbox where it runs on this machine, what it said last."""
    logged = {one["gateway"]: one for one in answers["ingest"].get("gateways", ())}
    outboxes = {one["gateway"]: one for one in answers["edge"].values() if isinstance(one, dict)}
    rows = []
    for entry in known.all():
        gateway = entry.public.gateway_id.hex()
        row: dict[str, Any] = {"gateway": gateway, "name": entry.name, "tenant": entry.tenant}
        row |= {key: value for key, value in logged.get(gateway, {}).items() if key not in row}
        row["outbox"] = outboxes.get(gateway)
        row["said"] = said.get(entry.public.gateway_id)
        rows.append(row)
    return rows


def _print(
    answers: Answers, processes: Mapping[str, dict[str, Any]], gateways: Iterable[dict[str, Any]]
) -> None:
    console = Console(highlight=False, width=columns_of(sys.stdout))
    with console.capture() as shown:
        console.print(_stage_table(answers, processes))
        console.print(_gateway_table(gateways))
    for line in shown.get().splitlines():
        typer.echo(line.rstrip())  # a long reason would pad every line to its length
    for line in _chain_lines(answers["anchoring"]):
        console.print(line, markup=False, soft_wrap=True)


def _stage_table(answers: Answers, processes: Mapping[str, dict[str, Any]]) -> Table:
    table = _table("stage", "state", "turned", "behind", "why, and what else")
    for stage, answer in answers.items():
        process = processes[stage]
        age_s = process.get("step_age_s")
        state = process["state"]
        table.add_row(
            stage,
            Text(state, _COLOURS[state]),
            "" if age_s is None else f"{age_s:.0f} s ago",
            _behind(stage, answer),
            Text("; ".join(_reasons(answer, process))),
        )
    return table


def _behind(stage: str, answer: Mapping[str, Any]) -> str:
    """How much is before the stage that it has not taken, in its own unit."""
    match stage:
        case "edge":
            waiting = [one["frames_waiting"] for one in answer.values() if isinstance(one, dict)]
            return f"{sum(waiting)} frames" if waiting else ""
        case "ingest" if "batches_to_archive" in answer:
            return f"{answer['batches_to_archive']} batches to archive"
        case "anomaly" if "lag_frames" in answer:
            return f"{answer['lag_frames']} frames"
        case "anchoring" if "frames_waiting" in answer:
            return f"{answer['frames_waiting']} frames"
        case "settle" if "agreements" in answer:
            return f"{sum('kind' not in one for one in answer['agreements'])} agreements open"
        case _:
            return ""


def _reasons(answer: Mapping[str, Any], process: Mapping[str, Any]) -> list[str]:
    found = [str(answer["error"])] if "error" in answer else []
    found += [f"{name}: {why}" for name, why in process.get("not_ready", {}).items()]
    if "reason" in process:
        found.append(process["reason"])
    failure = process.get("last_failure")
    if failure and "step" not in process["not_ready"]:
        found.append(f"last failure {failure['code']}, {failure['age_s']:.0f} s ago")
    return found


def _gateway_table(gateways: Iterable[dict[str, Any]]) -> Table:
    table = _table("gateway", "last frame", "ago", "frames", "missing", "waiting", "outbox", "leg")
    now_ms = time.time() * 1000
    for one in gateways:
        seen_ms = one.get("last_seen_ms")
        table.add_row(
            Text(one["name"] or one["gateway"][:16]),
            "never" if seen_ms is None else shown_time(seen_ms),
            "" if seen_ms is None else _ago(now_ms - seen_ms),
            *(str(one.get(key, "")) for key in ("frames", "missing", "waiting")),
            _waiting(one),
            "" if one["outbox"] is None else one["outbox"]["leg"],
        )
    return table


def _waiting(gateway: Mapping[str, Any]) -> str:
    """Its outbox as this machine has it, or else as it said last."""
    outbox, said = gateway["outbox"], gateway["said"]
    if outbox is not None:
        return f"{outbox['frames_waiting']} frames, {outbox['outbox_full_percent']} %"
    if said is None or said["frames_waiting"] is None:
        return ""
    return f"{said['frames_waiting']} frames{', full' if said['outbox_full'] else ''}"


def _chain_lines(anchoring: Mapping[str, Any]) -> list[str]:
    if "intervals" not in anchoring:
        return []
    height, final = anchoring["chain_height"], anchoring["chain_finalized"]
    chain = "the chain does not answer" if height is None else f"chain at block {height}, final up to {final}"
    states = ", ".join(f"{count} {state}" for state, count in anchoring["intervals"].items() if count)
    lines = [chain, f"intervals: {states or 'none yet'}"]
    if anchoring["newest_finalized"] is not None:
        at = shown_time(anchoring["newest_finalized_ms"])
        block = anchoring["newest_finalized_block"]
        lines.append(f"newest final anchor: interval {anchoring['newest_finalized']} in block {block}, {at}")
    return lines


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _ago(time_ms: float) -> str:
    for unit, size_ms in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000)):
        if time_ms >= 2 * size_ms:
            return f"{time_ms / size_ms:.0f} {unit}"
    return f"{max(time_ms, 0) / 1000:.0f} s"
