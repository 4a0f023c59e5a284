"""Throughput, latency and soak with all real services on one machine.

throughput  readings/s from MQTT into the checked log and through the rules, beside a plain JSON bridge on the same
            brokers, taking turns
latency     from a frame's publishing to its alert in the log, at a given rate
soak        a steady rate for so many minutes: memory of every process, nothing missing
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import NewTopic

from benchmarks.measure import machine
from benchmarks.services.load import READINGS, make_gateways, orders
from benchmarks.services.site import Site, read_json
from ingest.admission import peek
from ingest.raw import RawMessage
from lading import topics
from lading.verdict import VerdictRecord

GATEWAYS = 64
ALERT_EVERY = 10
SETTLING_S = 5.0  # the first steps compile, and read what is there
PLAIN = "plain.readings"


def throughput(site: Site, rounds: int, frames: int, plain: int, copies: int) -> dict[str, Any]:
    """Signed ahead, published as fast as the client can; ours and the peer in turns."""
    fleets = [make_gateways(GATEWAYS, 1_000_000, GATEWAYS * n) for n in range(rounds)]
    site.enrol([gateway for fleet in fleets for gateway in fleet])
    site.start(copies=copies)
    admin = KafkaAdminClient(bootstrap_servers=site.kafka.bootstrap)
    admin.create_topics([NewTopic(PLAIN, site.partitions, 1)])
    admin.close()
    port, bootstrap = str(site.mosquitto.port), site.kafka.bootstrap
    site.module(
        "benchmarks.services.bridge", "run", "--port", port, "--bootstrap", bootstrap, "--topic", PLAIN
    )
    found: dict[str, list[float]] = {"logged": [], "judged": [], "peer": []}
    for number, fleet in enumerate(fleets):
        orders(site.mosquitto.port, fleet)
        logged_s, judged_s = _ours(site, number, frames)
        found["logged"].append(frames * READINGS / logged_s)
        found["judged"].append(frames * READINGS / judged_s)
        found["peer"].append(plain / _peer(site, number, plain))
        print({name: round(values[-1]) for name, values in found.items()}, file=sys.stderr, flush=True)
    ratios = [ours / peer for ours, peer in zip(found["logged"], found["peer"], strict=True)]
    return {
        "frames": frames,
        "readings_a_frame": READINGS,
        "plain_readings": plain,
        "ingest_and_anomaly_processes": copies,
        "readings_s": {name: round(statistics.median(values)) for name, values in found.items()},
        "ratio_logged_to_peer": round(statistics.median(ratios), 1),
        "rounds": {name: [round(value) for value in values] for name, values in found.items()},
    }


def _ours(site: Site, number: int, frames: int) -> tuple[float, float]:
    """Seconds until the log has all frames, and until the rules have seen them."""
    before = site.count(topics.FRAMES)
    out = site.folder / f"load-{number}.json"
    site.module(
        "benchmarks.services.load",
        *("--port", str(site.mosquitto.port), "--gateways", str(GATEWAYS), "--first", str(GATEWAYS * number)),
        *("--frames", str(frames), "--out", str(out)),
    )
    begin_s = _go(site, out)
    site.until(lambda: site.count(topics.FRAMES) >= before + frames, "frames in the log", poll_s=0.02)
    logged_s = time.monotonic() - begin_s
    site.until(lambda: site.lag() == 0, "frames judged", poll_s=0.02)
    return logged_s, time.monotonic() - begin_s


def _peer(site: Site, number: int, count: int) -> float:
    before = site.count(PLAIN)
    out = site.folder / f"plain-{number}.json"
    site.module(
        "benchmarks.services.bridge",
        *("send", "--port", str(site.mosquitto.port), "--count", str(count), "--out", str(out)),
    )
    begin_s = _go(site, out)
    site.until(lambda: site.count(PLAIN) >= before + count, "plain readings in the log", poll_s=0.02)
    return time.monotonic() - begin_s


def _go(site: Site, out: Path) -> float:
    """Wait until a load process has made its messages, and let it begin."""
    site.until(out.with_suffix(".ready").exists, "messages made", 900)
    out.with_suffix(".go").touch()
    return time.monotonic()


def latency(site: Site, rate: float, seconds: float, idle_s: float, copies: int) -> dict[str, Any]:
    """Signed ahead, published at a steady rate; each tenth frame of a gateway brings a new breach."""
    fleet = make_gateways(GATEWAYS, ALERT_EVERY)
    site.enrol(fleet)
    site.start(copies=copies)
    orders(site.mosquitto.port, fleet)
    time.sleep(SETTLING_S)
    idle_cores = _cores(site, idle_s)
    out = site.folder / "latency.json"
    load = site.module(
        "benchmarks.services.load",
        *("--port", str(site.mosquitto.port), "--gateways", str(GATEWAYS), "--alert-every", str(ALERT_EVERY)),
        *("--rate", str(rate), "--frames", str(int(rate * seconds)), "--out", str(out)),
    )
    began_s, before_s = _go(site, out), site.processor_s()
    assert load.wait(seconds + 300) == 0
    busy_cores = _per_second(before_s, site.processor_s(), time.monotonic() - began_s)
    sent = {str(name): int(str(at_ms)) for name, at_ms in read_json(out)}
    site.until(lambda: site.count(topics.FRAMES) >= len(sent) and site.lag() == 0, "frames judged")
    alerts = {name for name in sent if fleet[0].is_alert(int(name.split("/")[1]))}
    delays = sorted(_delays(site, sent, alerts))
    assert len(delays) == len(alerts), f"{len(delays)} of {len(alerts)} alerts have a verdict"
    received = {name: at_ms for name, at_ms in _appended(site, topics.RAW) if name in alerts}
    checked = {name: at_ms for name, at_ms in _appended(site, topics.FRAMES) if name in alerts}
    return {
        "frames_s": rate,
        "readings_s": rate * READINGS,
        "seconds": seconds,
        "ingest_and_anomaly_processes": copies,
        "alerts": len(delays),
        "publish_to_received_ms": _shares([at_ms - sent[name] for name, at_ms in received.items()]),
        "received_to_checked_ms": _shares([at_ms - received[name] for name, at_ms in checked.items()]),
        "publish_to_alert_ms": _shares(delays),
        "worst_ms": delays[-1],
        "idle_cores": idle_cores,
        "busy_cores": busy_cores,
    }


def _shares(delays: list[int]) -> dict[str, int]:
    """The value that so many percent do not pass."""
    delays = sorted(delays)
    return {f"p{p}": delays[min(int(len(delays) * p / 100), len(delays) - 1)] for p in (50, 99, 99.9)}


def _appended(site: Site, topic: str) -> Iterator[tuple[str, int]]:
    """Each frame's name in a topic of raw messages or of frames, and when it was appended first, ms."""
    for record in site.records(topic):
        frame = peek(RawMessage.decode(record.value).data if topic == topics.RAW else record.value)
        if frame is not None:
            yield f"{frame.gateway.hex()}/{frame.frame_seq}", record.time_ms


def _cores(site: Site, seconds: float) -> dict[str, float]:
    """How much of a core each process takes, over so long."""
    began_s, before_s = time.monotonic(), site.processor_s()
    time.sleep(seconds)
    return _per_second(before_s, site.processor_s(), time.monotonic() - began_s)


def _per_second(before_s: dict[str, float], after_s: dict[str, float], seconds: float) -> dict[str, float]:
    return {name: round((after_s[name] - before_s[name]) / seconds, 3) for name in before_s}


def _delays(site: Site, sent: dict[str, int], alerts: set[str]) -> list[int]:
    """From publishing to the append of the first verdict whose horizon holds the alert's frame, ms."""
    waiting: dict[str, list[int]] = {}
    for name in alerts:
        gateway, seq = name.split("/")
        waiting.setdefault(gateway, []).append(int(seq))
    for seqs in waiting.values():
        seqs.sort(reverse=True)
    found = []
    for record in site.records(topics.VERDICTS):
        verdict = VerdictRecord.decode(record.value).verdict
        gateway = verdict.gateway_id.hex()
        seqs = waiting.get(gateway, [])
        while seqs and seqs[-1] <= verdict.horizon.last_frame_seq:
            found.append(record.time_ms - sent[f"{gateway}/{seqs.pop()}"])
    return found


def soak(site: Site, rate: float, minutes: float) -> dict[str, Any]:
    """A steady rate; resident memory every ten seconds."""
    fleet = make_gateways(GATEWAYS, 1_000)
    site.enrol(fleet)
    site.start()
    orders(site.mosquitto.port, fleet)
    out = site.folder / "soak.json"
    load = site.module(
        "benchmarks.services.load",
        *("--port", str(site.mosquitto.port), "--gateways", str(GATEWAYS), "--alert-every", "1000"),
        *("--rate", str(rate), "--frames", str(int(rate * minutes * 60)), "--as-it-goes", "--out", str(out)),
    )
    samples: list[dict[str, float]] = []
    while load.poll() is None:
        samples.append(site.memory_mb())
        time.sleep(10)
    sent = len(read_json(out))
    site.until(lambda: site.count(topics.FRAMES) >= sent and site.lag() == 0, "frames judged")
    points = sent * READINGS
    site.until(lambda: site.influxd.count("reading", "value") >= points, "readings in InfluxDB", poll_s=2)
    third = len(samples) // 3
    return {
        "frames_s": rate,
        "minutes": minutes,
        "frames": sent,
        "frames_in_log": site.count(topics.FRAMES),
        "dead_letters": site.count(topics.DEAD),
        "readings_in_influxdb": site.influxd.count("reading", "value"),
        "memory_mb": {
            name: {
                "second third": round(statistics.median(s[name] for s in samples[third : 2 * third]), 1),
                "last third": round(statistics.median(s[name] for s in samples[2 * third :]), 1),
                "greatest": round(max(s[name] for s in samples), 1),
            }
            for name in site.processes
        },
    }


def main() -> None:
    """The command line; one JSON document on stdout."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.services",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=("throughput", "latency", "soak"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=10_000, help="throughput: frames a round")
    parser.add_argument("--plain", type=int, default=40_000, help="throughput: the peer's readings a round")
    parser.add_argument("--processes", type=int, default=1, help="of ingest and of anomaly each")
    parser.add_argument("--rate", type=float, default=200.0, help="latency, soak: frames/s")
    parser.add_argument("--seconds", type=float, default=60.0, help="latency: how long")
    parser.add_argument(
        "--idle-s", type=float, default=10.0, help="latency: how long to measure without load"
    )
    parser.add_argument("--minutes", type=float, default=30.0, help="soak: how long")
    parser.add_argument("--poll-s", type=float, help="how long the rules rest when idle; else the default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="services") as scratch:
        site = Site(Path(scratch) / "site", options.poll_s)
        try:
            match options.what:
                case "throughput":
                    found = throughput(site, options.rounds, options.frames, options.plain, options.processes)
                case "latency":
                    found = latency(site, options.rate, options.seconds, options.idle_s, options.processes)
                case _:
                    found = soak(site, options.rate, options.minutes)
        except BaseException:
            for path in sorted(site.folder.glob("*.log")):
                print(f"--- {path.name}\n{path.read_text(errors='replace')[-1500:]}", file=sys.stderr)
            raise
        finally:
            site.close()
    json.dump({"machine": machine(), options.what: found}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
