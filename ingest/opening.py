"""The stage as its settings say: how it takes what comes, and where its state lies."""

from pathlib import Path

from ingest.intake import Apart, Intake, Together
from ingest.relay import GROUP, Admission, Relay
from ingest.settings import IngestSettings
from ingest.stage import Ingest
from ingest.state import State
from lading import settings, topics
from lading.gateways import GatewayFile
from lading.log import Log, WatchedLog
from lading.opening import open_workers, operator_keys
from lading.partitions import partition_count, state_path
from lading.settings import Shared

COMMIT_S = 5.0
FOLLOW_MS = 500
"""Less than a group's session: a process that hung until its partitions were another's asks before it goes on."""


def load(config: Path) -> tuple[Shared, IngestSettings]:
    """The shared tables and the stage's own."""
    return settings.load_shared(config), settings.load(config, "ingest", IngestSettings)


def open_states(log: Log, shared: Shared, own: IngestSettings) -> list[State]:
    """The state files that are here."""
    path = shared.lading.below(own.state)
    if not own.is_apart(shared.log):
        return [State(path)]
    count = partition_count(log)
    paths = [state_path(path, partition, count) for partition in range(count)]
    return [State(one) for one in paths if one.exists()]


def open_intake(
    log: WatchedLog, relay_log: Log, gateways: GatewayFile, shared: Shared, own: IngestSettings
) -> Intake:
    """Where what is received goes: into the log at once, or by way of the raw topic, by `relay_log`."""
    state = shared.lading.below(own.state)
    if not own.is_apart(shared.log):
        return Together(open_stage(log, state, gateways, shared, own))

    def open_admission(view: WatchedLog, partition: int, path: Path) -> Admission:
        stage = open_stage(view, path, gateways, shared, own, follow_ms=FOLLOW_MS, is_replayed=True)
        return Admission(view, partition, stage, commit_s=COMMIT_S)

    workers = open_workers(shared, log, topics.RAW, GROUP, state, open_admission)
    return Apart(log, Relay(relay_log), workers, own.batch_messages_max)


def open_stage(
    log: WatchedLog,
    state: Path,
    gateways: GatewayFile,
    shared: Shared,
    own: IngestSettings,
    *,
    follow_ms: int = 0,
    is_replayed: bool = False,
) -> Ingest:
    """Admission over one state file. `follow_ms` and `is_replayed` as of `Ingest`."""
    return Ingest(
        log,
        state,
        gateways,
        operator_keys(shared, "ingest", own.operators),
        waiting_of_gateway_max=own.waiting_of_gateway_max,
        waiting_max=own.waiting_max,
        waiting_ms=int(own.waiting_s * 1000),
        verify_threads=own.verify_threads,
        follow_ms=follow_ms,
        is_replayed=is_replayed,
    )
