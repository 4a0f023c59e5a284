"""What a drill left behind, held against what must hold of any run and against another run."""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anomaly.scoring.engine import Engine
from contracts.parties import credit_of
from contracts.typed_data import Domain, agreement_id
from ingest.queries import Queries, Series
from lading import abi, topics
from lading.assignment import Assignment
from lading.batch import AnchorRecord, BatchRecord
from lading.chain import Chain
from lading.deadletter import DeadLetter
from lading.decoding import decode_records
from lading.deployment import Deployment
from lading.due import Seen, due
from lading.log import Log, Record
from lading.settlement import Settlement
from lading.terms import Terms
from lading.verdict import Verdict, VerdictRecord
from tests.simulation.installation import MEMBERS, Installation
from tests.simulation.parts import require as _require

READ_RECORDS = 5_000


@dataclass(frozen=True)
class Payment:
    """What the chain paid for one leg."""

    penalty: int
    rest: int


@dataclass(frozen=True)
class Outcome:
    """Readings by gateway and channel, final verdicts and payments by the leg's reference, credits by party."""

    readings: dict[tuple[str, int], Series]
    verdicts: dict[str, bytes]
    payments: dict[str, Payment]
    credits: dict[str, int]
    frames: int
    intervals: int

    @property
    def readings_count(self) -> int:
        """All readings."""
        return sum(len(series.time_ms) for series in self.readings.values())


def differences(found: Outcome, calm: Outcome) -> list[str]:
    """In what two runs ended differently, for people; nothing when they ended alike."""
    said = []
    for key in sorted(found.readings.keys() | calm.readings.keys()):
        one, other = found.readings.get(key), calm.readings.get(key)
        if one is None or other is None or not _is_same(one, other):
            said.append(f"readings of {key[0]} channel {key[1]} differ")
    for reference in sorted(found.verdicts.keys() | calm.verdicts.keys()):
        judged, wanted = found.verdicts.get(reference), calm.verdicts.get(reference)
        if judged != wanted:
            said.append(f"verdict of {reference} differs:\n{_shown(judged)}\n{_shown(wanted)}")
    if found.payments != calm.payments:
        said.append(f"payments differ: {found.payments}, undisturbed {calm.payments}")
    if found.credits != calm.credits:
        said.append(f"credits differ: {found.credits}, undisturbed {calm.credits}")
    return said


def read_outcome(site: Installation, begun: Mapping[str, Assignment], terms: Mapping[str, Terms]) -> Outcome:
    """Look at everything; DrillError where something is missing, twice or inconsistent."""
    with closing(site.open_log()) as log:
        frames = _check_frames(site, log)
        deployment = Deployment.load(site.data / "deployment.json")
        intervals = check_intervals(log, site.chain(), deployment)
        verdicts = _final_verdicts(log, begun)
        payments = _payments(site, log, terms, verdicts)
        _check_scores(log)
    readings = _readings(site)
    shown = site.services.shown_readings()
    count = sum(len(series.time_ms) for series in readings.values())
    _require(shown in (None, count), f"the time series has {shown} readings, wanted {count}")
    return Outcome(
        readings,
        {reference: verdict.encoded for reference, verdict in verdicts.items()},
        payments,
        _credits(site, terms, payments),
        frames,
        intervals,
    )


def made(outbox: Path) -> dict[int, int]:
    """Readings that a gateway has numbered and framed, by channel."""
    db = sqlite3.connect(f"{outbox.absolute().as_uri()}?mode=ro", uri=True)
    try:
        return dict(db.execute("SELECT channel, next_seq FROM channels").fetchall())
    finally:
        db.close()


def records(log: Log, topic: str) -> Iterator[Record]:
    """Every record of a topic."""
    positions: dict[int, int] = {}
    while found := log.read(topic, positions, READ_RECORDS):
        for record in found:
            positions[record.partition] = record.offset + 1
            yield record


def _readings(site: Installation) -> dict[tuple[str, int], Series]:
    """Each reading that a gateway has numbered is in the archive once."""
    queries = Queries(site.data / "archive")
    _, rows = queries.sql(
        "SELECT gateway, channel, count(*), count(DISTINCT seq), min(seq), max(seq) FROM readings GROUP BY ALL"
    )
    found = {(row[0], int(row[1])): tuple(int(value) for value in row[2:]) for row in rows}
    series = {}
    for member in MEMBERS:
        gateway = site.gateway_id(member.name).hex()
        numbered = made(site.data / "edge" / member.name / "outbox.sqlite")
        _require(set(numbered) == set(member.channels), f"{member.name} has channels {sorted(numbered)}")
        for channel, count in numbered.items():
            wanted = (count, count, 0, count - 1)
            counts = found.pop((gateway, channel), None)
            _require(
                counts == wanted,
                f"{member.name} channel {channel}: (readings, distinct, first, last) archived {counts}, made {wanted}",
            )
            series[member.name, channel] = queries.gateway_series(gateway, channel)
    _require(not found, f"the archive has readings of {sorted(found)} that nobody made")
    return series


def _check_frames(site: Installation, log: Log) -> int:
    """Every frame once and in order, nothing among the dead letters; how many frames."""
    dead = [DeadLetter.decode(record.value) for record in records(log, topics.DEAD)]
    _require(not dead, f"dead letters: {[(one.code, one.reason) for one in dead[:5]]}")
    _require(not any(True for _ in records(log, topics.CLONES)), "a clone was proven where there is none")
    seqs: dict[bytes, list[int]] = {site.gateway_id(member.name): [] for member in MEMBERS}
    for record in records(log, topics.FRAMES):
        seqs[record.key].append(decode_records(record.value)[0].frame_seq)
    for member in MEMBERS:
        found = seqs[site.gateway_id(member.name)]
        _require(found == list(range(len(found))), f"frames of {member.name} in the log are {found}")
    return sum(map(len, seqs.values()))


def check_intervals(log: Log, chain: Chain, deployment: Deployment) -> int:
    """Batches part the log without gap or overlap; each interval is on the chain once and final; how many."""
    batches = [BatchRecord.decode(record.value) for record in records(log, topics.BATCHES)]
    _require(
        [one.interval for one in batches] == list(range(1, len(batches) + 1)), "intervals are not 1, 2, 3, …"
    )
    _check_parted(batches, log.end(topics.FRAMES))
    newest = {}
    for record in records(log, topics.ANCHORS):
        anchor = AnchorRecord.decode(record.value)
        newest[anchor.interval] = anchor
    wanted = {batch.interval: "finalized" for batch in batches}
    _require({k: one.state for k, one in newest.items()} == wanted, "not every interval is final")
    events = abi.at(chain, "AnchorRegistry", deployment.anchors).events("Anchored")
    anchored = Counter((fields["interval"], fields["superRoot"]) for _, fields in events)
    _require(
        anchored == Counter((k, one.super_root) for k, one in newest.items()),
        f"anchored on the chain: {sorted((k, n) for (k, _), n in anchored.items())}",
    )
    return len(batches)


def _check_parted(batches: Sequence[BatchRecord], ends: Mapping[int, int]) -> None:
    """In each partition, one interval begins where the one before has ended, from the first frame to the last."""
    at = dict.fromkeys(ends, 0)
    for batch in batches:
        for partition, first, last in batch.positions:
            _require(
                first == at[partition] <= last,
                f"interval {batch.interval} holds {first}..{last} of partition {partition}, wanted {at[partition]}..",
            )
            at[partition] = last + 1
    _require(at == ends, f"batches end at {at}, the log's frames at {ends}")


def _check_scores(log: Log) -> None:
    """What the detectors said is what an undisturbed process says of the frames, and each record is there once."""
    said = Counter(record.value for record in records(log, topics.ANOMALIES))
    wanted = {one.encode() for one in Engine().take([record.value for record in records(log, topics.FRAMES)])}
    _require(
        set(said) <= wanted,
        f"{len(set(said) - wanted)} of {len(said)} anomalies do not follow from the frames",
    )
    _require(max(said.values(), default=1) == 1, "an anomaly was said twice")


def _final_verdicts(log: Log, begun: Mapping[str, Assignment]) -> dict[str, Verdict]:
    """The final verdict of each leg, said once; each verdict names the one it replaces."""
    said: dict[bytes, list[VerdictRecord]] = {}
    for record in records(log, topics.VERDICTS):
        decoded = VerdictRecord.decode(record.value)
        said.setdefault(decoded.verdict.leg_id, []).append(decoded)
    found = {}
    for reference, order in begun.items():
        own = said.pop(order.leg_id, [])
        ids = [None, *(one.verdict.id for one in own)]
        _require(
            [one.supersedes for one in own] == ids[:-1], f"verdicts of {reference} do not follow one another"
        )
        _require(len(set(ids)) == len(ids), f"a verdict of {reference} was said twice")
        finals = [one.verdict for one in own if one.verdict.final]
        _require(
            len(finals) == 1 and finals[0] == own[-1].verdict and finals[0].state == "closed",
            f"{reference}: {len(finals)} final verdicts of {len(own)}",
        )
        found[reference] = finals[0]
    _require(not said, f"verdicts of unknown legs {[leg.hex() for leg in said]}")
    return found


def _payments(
    site: Installation, log: Log, terms: Mapping[str, Terms], verdicts: Mapping[str, Verdict]
) -> dict[str, Payment]:
    """Each agreement opened and settled once on the chain, with what its terms make due, and once in the log."""
    chain = site.chain()
    deployment = Deployment.load(site.data / "deployment.json")
    escrow = abi.at(chain, "PenaltyEscrow", deployment.escrow)
    domain = Domain(chain.chain_id, deployment.escrow)
    opened = Counter(fields["agreement"] for _, fields in escrow.events("Opened"))
    settled = escrow.events("Concluded")
    logged = [Settlement.decode(record.value) for record in records(log, topics.SETTLEMENTS)]
    found = {}
    for reference, agreed in terms.items():
        key = agreement_id(agreed, domain)
        events = [(event, fields) for event, fields in settled if fields["agreement"] == key]
        written = [one for one in logged if one.agreement == key]
        _require(opened[key] == 1, f"{reference} was opened {opened[key]} times")
        _require(len(events) == 1, f"{reference} was settled {len(events)} times on the chain")
        _require(len(written) == 1, f"{reference} is {len(written)} times in the log's settlements")
        event, fields = events[0]
        payment = Payment(fields["penalty"], fields["rest"])
        verdict = verdicts[reference]
        seen = Seen({channel: totals for channel, _, totals in verdict.totals}, verdict.horizon.last_ms, True)
        penalty = due(agreed.leg_terms(0), seen)
        _require(
            payment == Payment(penalty, agreed.bond - penalty), f"{reference}: paid {payment}, due {penalty}"
        )
        in_log = (written[0].penalty, written[0].rest, written[0].tx_hash, written[0].leg_id)
        _require(
            in_log == (payment.penalty, payment.rest, event.tx_hash, agreed.legs[0].leg_id),
            f"{reference}: the log says {in_log}",
        )
        found[reference] = payment
    _require(
        len(settled) == len(terms) == len(logged),
        f"{len(settled)} settled of {len(terms)}, {len(logged)} logged",
    )
    return found


def _credits(
    site: Installation, terms: Mapping[str, Terms], payments: Mapping[str, Payment]
) -> dict[str, int]:
    """What carrier and shipper can take out is what was paid: not a unit more or less."""
    chain = site.chain()
    deployment = Deployment.load(site.data / "deployment.json")
    found = {
        name: credit_of(chain, deployment, site.account(name).address) for name in ("carrier", "shipper")
    }
    penalties = sum(one.penalty for one in payments.values())
    bonds = sum(one.bond for one in terms.values())
    wanted = {"carrier": bonds - penalties, "shipper": penalties}
    _require(found == wanted, f"credits {found}, wanted {wanted}")
    return found


def _is_same(one: Series, other: Series) -> bool:
    columns = ((one.time_ms, other.time_ms), (one.value, other.value), (one.flags, other.flags))
    return all(np.array_equal(a, b) for a, b in columns)


def _shown(encoded: bytes | None) -> str:
    return "none" if encoded is None else str(Verdict.decode(encoded))[:2_000]
