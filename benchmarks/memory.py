"""Memory of ingest and anomaly over 100,000 channels: each stage in a process of its own, its peak resident size.

`python -m benchmarks.memory [--json] [--quick]`.
"""

import argparse
import json
import random
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from anomaly.stage import Anomaly
from benchmarks.data import BEGIN_MS, OPERATOR, SALT, TENANT
from benchmarks.measure import machine
from ingest.stage import Ingest
from lading import topics
from lading.assignment import BEGIN, Assignment, sign_assignment
from lading.cose import KeySigner
from lading.frame import NO_ANCHOR, OPEN, LegRef, Reading, make_run, seal
from lading.gateways import GatewayEntry, GatewayFile, save_gateways
from lading.limits import ChannelLimits, Limits
from lading.log import SqliteLog
from lading.names import tenant_id
from lading.totals import EMPTY, fold
from lading.tree import ZERO_HASH

CHANNELS = 100_000
CHANNELS_QUICK = 10_000
CHANNELS_A_GATEWAY = 16
FRAMES_A_GATEWAY = 2
READINGS_A_RUN = 3
MESSAGES_A_TAKE = 256
KILOBYTE, MEGABYTE = 1 << 10, 1 << 20
_LENGTHS = struct.Struct("<II")

LIMITS = Limits(
    tuple(ChannelLimits(channel, 1, lower=2000, upper=8000) for channel in range(CHANNELS_A_GATEWAY))
)


def make_messages(folder: Path, gateways: int) -> None:
    """Orders and frames of all gateways, in a file, and the registry."""
    entries = []
    rounds: list[list[tuple[str, bytes]]] = [[] for _ in range(1 + FRAMES_A_GATEWAY)]
    for number in range(gateways):
        signer = KeySigner.from_seed(b"memory %d" % number)
        entries.append(GatewayEntry(signer.public, TENANT))
        for turn, message in zip(rounds, _messages_of(number, signer), strict=True):
            turn.append(message)
    save_gateways(folder / "gateways.json", entries)
    with (folder / "messages").open("wb") as file:
        for topic, payload in (message for turn in rounds for message in turn):
            file.write(_LENGTHS.pack(len(topic), len(payload)) + topic.encode() + payload)


def _messages_of(number: int, signer: KeySigner) -> Iterator[tuple[str, bytes]]:
    gateway = signer.public.gateway_id
    order = Assignment(
        BEGIN, tenant_id(TENANT), gateway, 1, SALT, f"leg {number}", BEGIN_MS, BEGIN_MS, 0, LIMITS
    )
    yield topics.gateway_topic(TENANT, gateway, "assignment"), sign_assignment(order, OPERATOR)
    randomness = random.Random(number)
    totals = dict.fromkeys(range(CHANNELS_A_GATEWAY), EMPTY)
    previous = ZERO_HASH
    for frame_seq in range(FRAMES_A_GATEWAY):
        runs = []
        for limits in LIMITS.channels:
            first = frame_seq * READINGS_A_RUN
            readings = [
                Reading(seq, BEGIN_MS + seq * 60_000, randomness.randint(1900, 8100))
                for seq in range(first, first + READINGS_A_RUN)
            ]
            totals[limits.channel] = fold(totals[limits.channel], limits, readings)
            runs.append(
                make_run(limits.channel, 1, first, randomness.randbytes(16), readings, totals[limits.channel])
            )
        frame = seal(
            signer,
            LegRef(OPEN, order.leg_id, LIMITS.hash),
            frame_seq,
            previous,
            BEGIN_MS + 10**6,
            NO_ANCHOR,
            runs,
        )
        previous = frame.header.hash
        yield topics.gateway_topic(TENANT, gateway, "frames"), frame.encode()


def read_messages(folder: Path) -> Iterator[tuple[str, bytes]]:
    """What `make_messages` wrote."""
    with (folder / "messages").open("rb") as file:
        while head := file.read(_LENGTHS.size):
            topic, payload = _LENGTHS.unpack(head)
            yield file.read(topic).decode(), file.read(payload)


def run_ingest(folder: Path) -> int:
    """Everything into the log; how many messages."""
    log = SqliteLog(folder / "log.sqlite")
    operators = {tenant_id(TENANT): OPERATOR.public}
    ingest = Ingest(log, folder / "ingest.sqlite", GatewayFile(folder / "gateways.json"), operators)
    batch: list[tuple[str, bytes]] = []
    count = 0
    for message in read_messages(folder):
        batch.append(message)
        if len(batch) == MESSAGES_A_TAKE:
            count += _take(ingest, batch)
            batch = []
    count += _take(ingest, batch)
    ingest.close()
    log.close()
    return count


def _take(ingest: Ingest, batch: list[tuple[str, bytes]]) -> int:
    outcomes = ingest.take(batch)
    assert all(outcome.action == "taken" for outcome in outcomes), outcomes
    return len(outcomes)


def run_anomaly(folder: Path) -> int:
    """Every leg judged; how many records."""
    anomaly = Anomaly(
        SqliteLog(folder / "log.sqlite"), folder / "anomaly.sqlite", {tenant_id(TENANT): OPERATOR.public}
    )
    count = 0
    while handled := anomaly.step():
        count += handled
    anomaly.close()
    return count


STAGES = {"ingest": run_ingest, "anomaly": run_anomaly}


def measure(stage: str, folder: Path) -> dict[str, float]:
    """Run a stage in a process of its own: peak resident megabytes, seconds, records."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", "--stage", stage, "--folder", str(folder)],
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def run_stage(stage: str, folder: Path) -> None:
    """In the process that is measured."""
    bare_mb = _peak_mb()
    begin = time.perf_counter()
    records = STAGES[stage](folder)
    spent_s = time.perf_counter() - begin
    print(json.dumps({"bare_mb": bare_mb, "peak_mb": _peak_mb(), "seconds": spent_s, "records": records}))


def _peak_mb() -> float:
    """VmHWM: what getrusage says also counts the process that this one was forked from."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * KILOBYTE / MEGABYTE
    raise AssertionError("no VmHWM in /proc/self/status")


def main() -> None:
    """Make the data, measure both stages."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="10,000 channels")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        run_stage(options.stage, options.folder)
        return
    channels = CHANNELS_QUICK if options.quick else CHANNELS
    with tempfile.TemporaryDirectory(prefix="lading-bench-") as name:
        make_messages(Path(name), channels // CHANNELS_A_GATEWAY)
        results = {stage: measure(stage, Path(name)) for stage in STAGES}
    document = {
        "machine": machine(),
        "channels": channels,
        "gateways": channels // CHANNELS_A_GATEWAY,
        "results": results,
    }
    if options.json:
        print(json.dumps(document, indent=2))
        return
    for stage, found in results.items():
        print(
            f"{stage}: {found['peak_mb']:.0f} MB at peak, {found['bare_mb']:.0f} MB of it before the first record; "
            f"{channels} channels, {found['records']:.0f} records, {found['seconds']:.1f} s"
        )


if __name__ == "__main__":
    main()
