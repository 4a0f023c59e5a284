"""`lading anomaly …`: run the stage, show verdicts and profiles."""

import json
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer

from anomaly import verdicts
from anomaly.alerts_cli import list_alerts
from anomaly.backtest_cli import backtest
from anomaly.forecast.serving import Forecaster
from anomaly.forecast_cli import forecast
from anomaly.forecasts_cli import list_forecasts
from anomaly.replay_cli import replay_leg
from anomaly.rounds import SCORE_S, Rounds, score_round
from anomaly.score_cli import score
from anomaly.scoring.forecasts import Forecasts
from anomaly.scoring.stage import Scores, channels_in
from anomaly.scoring.stage import lag as scores_lag
from anomaly.settings import AnomalySettings
from anomaly.stage import GROUP, Anomaly, lag
from anomaly.train_cli import train
from anomaly.verdicts import LegVerdict
from anomaly.worker import Worker
from lading import logs, metrics, profiles, settings, topics
from lading.beside import Beside
from lading.errors import ServiceError
from lading.health import log_answers, watched
from lading.heart import TEND_S, Heart, Lookout
from lading.log import Log, WatchedLog
from lading.opening import open_log, open_workers, operator_keys
from lading.partitions import PartitionLog, partition_count
from lading.process import results, stop_on_signals
from lading.terminal import CONFIG, AsJson, Config, shown_time

app = typer.Typer(
    help="Stage 3: rules and detectors, verdicts and alerts.", no_args_is_help=True, add_completion=False
)
verdicts_app = typer.Typer(help="Verdicts in the log.", no_args_is_help=True)
profiles_app = typer.Typer(help="Limits for products, with their sources.", no_args_is_help=True)
app.add_typer(verdicts_app, name="verdicts")
app.add_typer(profiles_app, name="profiles")
app.command()(score)
app.command("alerts")(list_alerts)
app.command("replay")(replay_leg)
app.command()(train)
app.command()(forecast)
app.command("forecasts")(list_forecasts)
app.command()(backtest)

COMMIT_S = 1.0


@app.command()
def run(config: Config = CONFIG) -> None:
    """Judge legs and score channels as frames come in, until SIGTERM or an interrupt."""
    logs.configure("anomaly")
    shared = settings.load_shared(config)
    own = settings.load(config, "anomaly", AnomalySettings)
    stop = stop_on_signals()
    source, beside_log = open_log(shared), open_log(shared)  # scores must not hold up the rules' appends
    operators = operator_keys(shared, "anomaly", own.operators)
    count = partition_count(source)
    forecaster = Forecaster.load(shared.lading.below(own.forecaster)) if own.forecaster else None

    def open_stage(log: WatchedLog, partition: int, state: Path) -> Worker:
        bounds: Any = {"records_max": own.records_max, "channels_cached_max": own.channels_cached_max}
        provisional_ms = int(own.provisional_s * 1000)
        rules = Anomaly(log, state, operators, provisional_ms=provisional_ms, commit_s=COMMIT_S, **bounds)

        def open_scores() -> Scores:
            return Scores(
                PartitionLog(beside_log, partition, count),
                rules.state,
                records_max=own.records_max,
                channels_cached_max=channels_in(own.score_bytes_max),
                commit_s=COMMIT_S,
                forecasts=_forecasts(forecaster, rules, own) if forecaster else None,
            )

        return Worker(rules, open_scores if own.score else None)

    state = shared.lading.below(own.state)
    workers = open_workers(shared, source, topics.FRAMES, GROUP, state, open_stage)
    scoring = Beside("scores", partial(score_round, workers), SCORE_S)
    lookout_log = open_log(shared)
    lookout = Lookout({"log": log_answers(lookout_log)}, partial(_measure, lookout_log, is_scored=own.score))
    beside = [scoring, Beside("lookout", lookout.look, TEND_S)]
    probes = lookout.probes() | {"scores": lambda: scoring.failing}
    with watched("anomaly", shared, own, probes) as heart:
        for one in beside:
            one.start()
        try:
            _loop(Rounds(workers, source, own.poll_s), beside, stop, own.poll_s, heart)
        finally:
            for one in beside:
                one.stop()
            workers.close()
            for opened in (lookout_log, beside_log, source):
                opened.close()


def _forecasts(forecaster: Forecaster, rules: Anomaly, own: AnomalySettings) -> Forecasts:
    every_ms = own.forecast_every_s * 1000
    return Forecasts(forecaster, rules.state, every_ms=every_ms, bytes_max=own.forecast_bytes_max)


def _loop(
    rounds: Rounds, beside: Sequence[Beside], stop: threading.Event, poll_s: float, heart: Heart
) -> None:
    """Step until told to stop; a failed log or state file is tried again a bounded number of times."""
    log = structlog.get_logger()
    log.info("anomaly_started")
    for handled in results(rounds.step, stop, poll_s, heart=heart, errors=ServiceError):
        for one in beside:
            one.check()
        if handled:
            log.info("step", records=handled)
        else:
            rounds.rest(stop)


def _measure(log: Log, *, is_scored: bool) -> None:
    metrics.ANOMALY_LAG.set(lag(log))
    if is_scored:
        metrics.ANOMALY_SCORES_LAG.set(scores_lag(log))


@app.command()
def status(config: Config = CONFIG, as_json: AsJson = False) -> None:
    """How far the stage is behind the log, and what it said of how many legs."""
    shared = settings.load_shared(config)
    own = settings.load(config, "anomaly", AnomalySettings)
    log = open_log(shared)
    behind, unscored = lag(log), scores_lag(log) if own.score else 0
    counts: dict[str, int] = {}
    for leg in verdicts.latest(log):
        name = _standing(leg)
        counts[name] = counts.get(name, 0) + 1
    if as_json:
        typer.echo(json.dumps({"lag_frames": behind, "unscored_frames": unscored, "legs": counts}))
        return
    typer.echo(f"frames behind: {behind}, not scored: {unscored}")
    for name, count in sorted(counts.items()):
        typer.echo(f"{name}: {count} legs")


def _standing(leg: LegVerdict) -> str:
    finality = "final" if leg.verdict.final else "provisional"
    return f"{leg.verdict.state} {leg.verdict.result} {finality}"


@verdicts_app.command("list")
def list_verdicts(config: Config = CONFIG, as_json: AsJson = False) -> None:
    """The latest verdict of every leg."""
    found = verdicts.latest(open_log(settings.load_shared(config)))
    if as_json:
        typer.echo(json.dumps([verdicts.as_document(leg) for leg in found]))
        return
    for leg in found:
        count = len(leg.verdict.findings)
        typer.echo(f"{leg.name:24} {leg.verdict.leg_id.hex()[:12]}  {_standing(leg):28} {count} findings")


@verdicts_app.command("show")
def show_verdict(
    leg: Annotated[str, typer.Argument(help="Reference, leg id or the beginning of it.")],
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """One leg's latest verdict with its findings and totals."""
    found = [
        one
        for one in verdicts.latest(open_log(settings.load_shared(config)))
        if one.name == leg or one.verdict.leg_id.hex().startswith(leg.lower())
    ]
    if len(found) != 1:
        raise ServiceError("leg", f"{len(found)} legs are named {leg!r}, wanted one")
    if as_json:
        typer.echo(json.dumps(verdicts.as_document(found[0])))
        return
    for line in _verdict_lines(found[0]):
        typer.echo(line)


def _verdict_lines(leg: LegVerdict) -> list[str]:
    verdict, horizon = leg.verdict, leg.verdict.horizon
    lines = [
        f"leg       {leg.name} ({verdict.leg_id.hex()})",
        f"gateway   {verdict.gateway_id.hex()}",
        f"verdict   {_standing(leg)}",
        f"id        {verdict.id.hex()}" + (f", supersedes {leg.supersedes.hex()}" if leg.supersedes else ""),
        f"horizon   frames {horizon.first_frame_seq} to {horizon.last_frame_seq}, until {shown_time(horizon.last_ms)}",
    ]
    lines += [
        f"{finding.severity:9} {leg.line(finding)}, {shown_time(finding.first_ms)} to {shown_time(finding.last_ms)}"
        for finding in verdict.findings
    ]
    return lines + [f"totals    {verdicts.totals_line(*totals)}" for totals in verdict.totals]


@profiles_app.command("list")
def list_profiles(as_json: AsJson = False) -> None:
    """The profiles that come with Lading."""
    titles = {name: profiles.load(name).title for name in profiles.names()}
    if as_json:
        typer.echo(json.dumps(titles))
        return
    for name, title in titles.items():
        typer.echo(f"{name:16} {title}")


@profiles_app.command("show")
def show_profile(
    name: Annotated[str, typer.Argument(help="A profile's name, or a toml file.")], as_json: AsJson = False
) -> None:
    """A profile's limits, each with where it comes from."""
    profile = profiles.load_file(Path(name)) if name.endswith(".toml") else profiles.load(name)
    if as_json:
        roles = {
            role.name: {
                "quantity": role.quantity.name.lower(),
                "limits": {
                    origin.field: {"value": origin.milli, "source": origin.source, "note": origin.note}
                    for origin in role.origins
                },
            }
            for role in profile.roles.values()
        }
        document = {"name": profile.name, "title": profile.title, "note": profile.note, "roles": roles}
        typer.echo(json.dumps(document))
        return
    typer.echo(f"{profile.title}\n{profile.note}")
    for role in profile.roles.values():
        typer.echo(f"\n{role.name} ({role.quantity.name.lower()})")
        for origin in role.origins:
            note = f" ({origin.note})" if origin.note else ""
            typer.echo(f"  {origin.field:22} {origin.figure:>10}  {origin.source}{note}")
