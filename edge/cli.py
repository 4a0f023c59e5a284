"""`lading edge …`: run gateways, make a key, show outboxes."""

import json
import random
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console

from edge import meters
from edge.clock import EventClock
from edge.gateway import Gateway, salt
from edge.listening import document, hear, make_ear, show
from edge.mapping import Mapping, load_mapping
from edge.outbox import Outbox, read_summary
from edge.publisher import Publisher
from edge.replay import LineRefused, Replay, detect, find_files
from edge.runner import Runner, Unopened
from edge.salts import SeededSalts
from edge.sensing import frames_broker, local_broker, make_listener
from edge.settings import SENSING, EdgeSettings, GatewaySettings, milliseconds
from edge.simulation import ColdRoom, Reefer, Stories
from edge.simulation.coldroom import coldroom_design
from edge.simulation.reefer import reefer_design
from edge.sources import ReplaySource, SimulatedSource, Source
from edge.sparkplug.host import NAMESPACE
from edge.stage import Edge
from lading import logs, metrics, settings
from lading.cose import KeySigner, PublicKey
from lading.errors import LadingError, ServiceError
from lading.health import watched
from lading.log import wall_ms
from lading.opening import open_operator_public
from lading.process import stop_on_signals
from lading.settings import Shared
from lading.terminal import CONFIG, AsJson, Config, columns_of
from lading.topics import gateway_topic

app = typer.Typer(help="Stage 1: sample, sign, keep, publish.", no_args_is_help=True, add_completion=False)

IDLE_S = 0.1
FINISH_S = 600.0
MINUTE_MS = 60_000


@app.command()
def run(
    config: Config = CONFIG,
    once: Annotated[
        bool, typer.Option("--once", help="End when every source has ended and the broker has every frame.")
    ] = False,
) -> None:
    """Run the gateways of the settings until SIGTERM or an interrupt."""
    logs.configure("edge")
    stop = stop_on_signals()
    shared, own = _load(config)
    edge = build(shared, own, may_lack=not once)
    runners = edge.runners
    probes = {
        "broker": lambda: meters.why_not_linked(runners),
        "outbox": lambda: meters.why_failing([*runners, *edge.unopened]),
    }
    with watched("edge", shared, own, probes, lambda: meters.measure(runners, own.outbox_bytes_max)) as heart:
        edge.start()
        structlog.get_logger().info("edge_started")
        try:
            while not stop.is_set() and not (once and edge.is_done()):
                if not edge.step():
                    edge.wait(IDLE_S)
                heart.stepped()
            if once and not stop.is_set() and not edge.finish(FINISH_S):
                raise ServiceError("broker", f"frames were left that nobody has after {FINISH_S:.0f} s")
        finally:
            edge.stop()
            structlog.get_logger().info("edge_stopped")


@app.command()
def keygen(path: Annotated[Path, typer.Argument(help="New key file; it must not exist.")]) -> None:
    """Make a P-256 key, mode 0600, and print the gateway's id and public key as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    signer = KeySigner.generate()
    signer.save(path)
    typer.echo(json.dumps({"gateway": signer.public.gateway_id.hex(), "key": signer.public.encode().hex()}))


@app.command()
def status(
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """What each gateway's outbox holds; also while the gateways run."""
    shared, own = _load(config)
    found = {}
    for gateway in _gateways(own, _mapping(own)):
        path = _outbox_path(shared, own, gateway.name)
        found[gateway.name] = _summary(path, own.outbox_bytes_max) if path.exists() else None
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    for name, summary in found.items():
        facts = (
            "no outbox yet"
            if summary is None
            else ", ".join(f"{key} {value}" for key, value in summary.items())
        )
        typer.echo(f"{name}: {facts}")


@app.command()
def listen(
    gateway: Annotated[
        str, typer.Option("--gateway", help="A gateway of the settings, source senml or sparkplug.")
    ],
    config: Config = CONFIG,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.1, max=86_400, help="How long to listen, s.")
    ] = 10.0,
    ask: Annotated[
        bool,
        typer.Option("--ask", help="Sparkplug: ask edge nodes for their births, which say what data means."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """What third-party sensors say on the local broker, and the channel each would get. Nothing is taken or signed."""
    stop = stop_on_signals()
    shared, own = _load(config)
    one = next((one for one in own.gateways if one.name == gateway), None)
    if one is None or one.source not in SENSING:
        names = ", ".join(one.name for one in own.gateways if one.source in SENSING)
        raise ServiceError(
            "settings", f"gateway {gateway}, wanted one with third-party sensors: {names or 'none'}"
        )
    topics = (f"{NAMESPACE}/#",)
    if one.source == "senml":
        key = KeySigner.load(_key_path(shared, one)).public
        topics = (gateway_topic(shared.lading.tenant, key.gateway_id, "senml"),)
    ear = make_ear(one)
    hear(local_broker(shared, own, one.name), topics, ear, seconds, stop, may_ask=ask)
    if as_json:
        typer.echo(json.dumps(document(one, ear), indent=1))
    else:
        show(one, ear, Console(width=columns_of(sys.stdout)))


def _summary(path: Path, bytes_max: int) -> dict[str, int | str | float | None]:
    summary = read_summary(path)
    used = summary["frames_waiting_bytes"]
    assert isinstance(used, int)
    return {**summary, "outbox_full_percent": round(100 * used / bytes_max, 1)}


def build(shared: Shared, own: EdgeSettings, *, may_lack: bool = False) -> Edge:
    """The stage from its settings. ServiceError says what is missing.

    With `may_lack`, a gateway whose outbox's file fails stops no other: it is opened later.
    """
    mapping = _mapping(own)
    gateways = _gateways(own, mapping)
    if not gateways:
        raise ServiceError("settings", "edge.gateways is empty: there is nothing to run")
    operator = _operator(shared, own)
    log = structlog.get_logger()

    def note(event: str, gateway: str, exc: LadingError) -> None:
        metrics.EDGE_TROUBLES.add(1, event, exc.code)
        log.warning(event, gateway=gateway, code=exc.code, reason=exc.text)

    woken = threading.Event()
    teller = next((one for one in gateways if one.source == "replay"), None)

    def make(one: GatewaySettings, *, may_create: bool = True) -> Runner:
        gateway = _open(shared, own, one, operator, mapping, may_create=may_create)
        try:
            source = _source(own, one, gateway, mapping, _report if one is teller else _keep_quiet)
            publisher = _publisher(shared, own, gateway, one.name, note, woken)
            listener = make_listener(shared, own, gateway, one, _telling(note, one.name), woken)
        except BaseException:
            gateway.outbox.close()  # or its lock would be in the way of a later attempt
            raise
        is_patient = one.source == "replay" or own.speed != 1
        log.info("gateway_opened", gateway=one.name, id=gateway.gateway_id.hex(), frame_seq=gateway.frame_seq)
        return Runner(one.name, gateway, publisher, source, listener, round(own.flush_s * 1000), is_patient)

    runners: list[Runner] = []
    unopened: list[Unopened] = []
    for one in gateways:
        try:
            runners.append(make(one))
        except ServiceError as exc:
            is_last = one is gateways[-1] and not runners
            if exc.code != "outbox" or is_last or not may_lack:
                raise
            note("outbox_failed", one.name, exc)
            unopened.append(Unopened(one.name, str(exc), partial(make, one, may_create=False)))
    due = [ms for runner in runners if runner.source and (ms := runner.source.next_ms()) is not None]
    is_now = own.speed == 1 and own.begin is None and teller is None
    clock = EventClock(min(due, default=wall_ms()), own.speed, wall_ms=wall_ms if is_now else None)
    return Edge(runners, clock, note, unopened)


def _telling(note: Callable[[str, str, LadingError], None], name: str) -> Callable[[str, LadingError], None]:
    return lambda event, exc: note(event, name, exc)


def _load(config: Path) -> tuple[Shared, EdgeSettings]:
    """Settings; the recording's paths are seen from the file's folder."""
    shared, own = settings.load_shared(config), settings.load(config, "edge", EdgeSettings)
    paths = tuple(config.parent / path for path in own.replay.paths)
    mapping = config.parent / own.replay.map if own.replay.map else None
    return shared, own.model_copy(
        update={"replay": own.replay.model_copy(update={"paths": paths, "map": mapping})}
    )


def _open(
    shared: Shared,
    own: EdgeSettings,
    one: GatewaySettings,
    operator: PublicKey,
    mapping: Mapping | None,
    *,
    may_create: bool,
) -> Gateway:
    signer = KeySigner.load(_key_path(shared, one))
    channels = one.channels() if one.source != "replay" else _recorded(one.name, mapping)
    seeded = SeededSalts(f"{own.seed} {one.name}".encode())
    outbox = Outbox(_outbox_path(shared, own, one.name), signer.public.gateway_id, may_create=may_create)
    try:
        gateway = Gateway(
            outbox,
            signer,
            operator,
            shared.lading.tenant,
            channels,
            salts=seeded if own.drill_salts else salt,
            clock_floor_ms=0 if one.source == "replay" else milliseconds(own.clock_floor),
            bytes_max=own.outbox_bytes_max,
        )
    except ServiceError:
        outbox.close()  # or its lock would be in the way of a later attempt
        raise
    seeded.gateway = gateway
    return gateway


def _recorded(name: str, mapping: Mapping | None) -> dict[int, int]:
    for gateway in mapping.gateway if mapping else ():
        if gateway.name == name:
            return gateway.channels
    raise ServiceError("settings", f"gateway {name} replays, but the mapping has none of that name")


def _source(
    own: EdgeSettings,
    one: GatewaySettings,
    gateway: Gateway,
    mapping: Mapping | None,
    refuse: Callable[[LineRefused], None],
) -> Source | None:
    """`refuse`: of several gateways in one recording, one tells of the lines that were not taken."""
    if one.source in SENSING:
        return None
    if one.source == "replay":
        assert mapping is not None
        items = Replay(find_files(own.replay.paths), mapping)
        return ReplaySource(items, one.name, gateway.taken, refuse)
    begin_ms = milliseconds(own.begin) if own.begin else wall_ms() // MINUTE_MS * MINUTE_MS
    end_ms = milliseconds(own.end) if own.end else None
    count = max(gateway.taken.values(), default=0) if own.begin else 0
    machine = _machine(own, one, begin_ms)
    return SimulatedSource(machine, begin_ms, round(one.sample_s * 1000), end_ms, count, gateway.newest_ms)


def _machine(own: EdgeSettings, one: GatewaySettings, begin_ms: int) -> Reefer | ColdRoom:
    rng = random.Random(f"{own.seed} {one.name}")
    stories = Stories(story.story() for story in one.story)
    if one.source == "cold-room":
        return ColdRoom(rng, begin_ms, coldroom_design(3.5 if one.set_c is None else one.set_c), stories)
    return Reefer(rng, begin_ms, reefer_design(5.0 if one.set_c is None else one.set_c, one.load_t), stories)


def _publisher(
    shared: Shared,
    own: EdgeSettings,
    gateway: Gateway,
    name: str,
    note: Callable[[str, str, LadingError], None],
    woken: threading.Event,
) -> Publisher:
    return Publisher(
        gateway,
        shared.lading.tenant,
        frames_broker(shared, own, name),
        in_flight_max=own.link.in_flight_max,
        keep_until=own.link.keep_until,
        note=_telling(note, name),
        woken=woken,
    )


def _operator(shared: Shared, own: EdgeSettings) -> PublicKey:
    if own.operator is not None:
        return PublicKey.decode(bytes.fromhex(own.operator))
    return open_operator_public(shared)


def _mapping(own: EdgeSettings) -> Mapping | None:
    if not own.replay.paths:
        return None
    return load_mapping(own.replay.map) if own.replay.map else detect(find_files(own.replay.paths))


def _gateways(own: EdgeSettings, mapping: Mapping | None) -> tuple[GatewaySettings, ...]:
    """Those of the settings; if there are none, all that the recording has."""
    if own.gateways or mapping is None:
        return own.gateways
    return tuple(GatewaySettings(name=gateway.name, source="replay") for gateway in mapping.gateway)


def _key_path(shared: Shared, one: GatewaySettings) -> Path:
    return shared.lading.below(one.key or Path("keys") / f"{one.name}.pem")


def _outbox_path(shared: Shared, own: EdgeSettings, name: str) -> Path:
    return shared.lading.below(own.folder) / name / "outbox.sqlite"


def _report(line: LineRefused) -> None:
    structlog.get_logger().warning("line_not_taken", code=line.code, reason=line.reason, origin=line.origin)


def _keep_quiet(line: LineRefused) -> None:
    """Another gateway of the recording has told of it."""
