"""Promises of erasure: the readings of one leg are nowhere any more, and whatever else was provable still is."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from anchoring.batches import Head, batched_frames, roll, super_root
from anomaly.stage import Anomaly
from ingest.archive import Archive
from ingest.erasure import RECORD_NAME, Choice, erase, erasures, find, finished
from ingest.queries import Queries
from ingest.raw import RawMessage
from ingest.rebuild import rebuild
from ingest.stage import Ingest
from lading import topics
from lading.batch import AnchorRecord
from lading.checks import Expected, Status
from lading.deadletter import DeadLetter
from lading.decoding import decode_header
from lading.errors import MalformedError, ServiceError
from lading.export import export_leg
from lading.frame import CLOSED, Frame
from lading.gateways import GatewayFile, save_gateways
from lading.log import SqliteLog
from lading.verify import verify
from tests.unit.ingest.truck import BEGIN_MS, OPERATOR, OPERATORS, TENANT, Fleet, Truck

NOW_MS = BEGIN_MS + 10**9
FRAMES = 8


class Site:
    """Two trucks with a finished leg each, in shared batches, archived, anchored and judged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.data.mkdir(parents=True)
        (folder / "lading.toml").write_text(
            f'[lading]\ntenant = "{TENANT}"\ndata = "data"\n[archive]\nkeep_days = 30\n'
        )
        OPERATOR.save(self.data / "operator.pem")
        self.trucks = [Truck("truck-1", seed=1), Truck("truck-2", seed=2)]
        save_gateways(self.data / "gateways.json", [truck.entry() for truck in self.trucks])
        self.gateways = GatewayFile(self.data / "gateways.json")
        self.log = SqliteLog(self.data / "log.sqlite")
        self.archive = Archive(self.log, self.data / "archive", lambda gateway: TENANT)
        self.frames: list[list[Frame]] = [[], []]
        self._take()
        self._anchor()
        while self.archive.step():
            pass
        stage = Anomaly(self.log, self.data / "anomaly.sqlite", OPERATORS)
        while stage.step():
            pass
        stage.close()

    def _take(self) -> None:
        stage = Ingest(self.log, self.data / "ingest.sqlite", Fleet(*self.trucks), OPERATORS)
        stage.take([(truck.order_topic, truck.order(f"PO {n}")) for n, truck in enumerate(self.trucks, 1)])
        for number in range(FRAMES):
            for truck, kept in zip(self.trucks, self.frames, strict=True):
                frame = truck.frame(state=CLOSED if number == FRAMES - 1 else None)
                kept.append(frame)
                assert stage.take([(truck.topic, frame.encode())])[0].action == "taken"
        stage.close()

    def _anchor(self) -> None:
        """Batches of five frames, as anchoring cuts them, each finalized."""
        head, records = Head(), self.log.read(topics.FRAMES, {}, 1_000)
        for interval, at in enumerate(range(0, len(records), 5), 1):
            part = records[at : at + 5]
            frames = batched_frames([(TENANT, record.value) for record in part])
            (batch,) = roll(interval, ((0, at, at + len(part) - 1),), frames, {TENANT: head})
            head = Head(batch.leaf.batch_seq, batch.leaf.hash)
            anchor = AnchorRecord(
                interval, super_root([batch]), 1, 1, bytes(range(20)), bytes([interval]) * 32, interval,
                bytes([interval]) * 32, NOW_MS, 50_000, "finalized",
            )  # fmt: skip
            self.log.append(topics.BATCHES, [(batch.leaf.tenant, batch.encode())])
            self.log.append(topics.ANCHORS, [(interval.to_bytes(8, "big"), anchor.encode())])

    def leg_of(self, number: int) -> bytes:
        return self.frames[number][0].header.leg_id

    def evidence(self, number: int) -> bytes:
        return export_leg(self.log, self.gateways, OPERATOR.public, self.leg_of(number), NOW_MS)

    def erase(self, number: int = 0) -> None:
        choice = Choice(frozenset({(self.leg_of(number), self.trucks[number].id)}))
        line = erase(
            self.log,
            self.data / "archive",
            self.archive,
            choice,
            now_ms=NOW_MS,
            by="a clerk",
            reason="asked to",
        )
        assert line is not None

    def holding(self, number: int) -> set[str]:
        """Files of log and archive in which a salt of the truck's runs is found, byte by byte."""
        salts = [run.salt for frame in self.frames[number] for run in frame.runs if run.readings]
        files = [*self.data.glob("log.sqlite*"), *(self.data / "archive").rglob("*")]
        return {path.name for path in files if path.is_file() and any(s in path.read_bytes() for s in salts)}

    def command(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "lading.cli", "archive", *arguments],
            cwd=self.folder, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        return done.stdout


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    one = Site(tmp_path)
    yield one
    one.log.close()


def statuses(data: bytes, truck: Truck) -> dict[str, tuple[Status, str]]:
    known = Expected(truck.signer.public.encode(), OPERATOR.public.encode())
    return {result.name: (result.status, result.found) for result in verify(data, known).results}


def test_an_erased_legs_readings_are_nowhere(site: Site) -> None:
    """Salts and rows of the leg are gone from archive and log, to the last byte; the other leg's are all there."""
    kinds = {name.split(".")[1].removesuffix("-wal") for name in site.holding(0)}
    assert kinds == {"sqlite", "frames", "parquet"}, "a scan that would find nothing proves nothing"
    other = site.holding(1)
    site.erase()
    assert site.holding(0) == set()
    assert {name.removesuffix("-wal") for name in site.holding(1)} == {
        name.removesuffix("-wal") for name in other
    }
    queries = Queries(site.data / "archive")
    assert queries.readings_count(site.leg_of(0).hex()) == 0
    assert queries.readings_count(site.leg_of(1).hex()) == FRAMES * 2 * 3


def test_the_other_legs_evidence_is_the_same_file(site: Site) -> None:
    """Byte for byte, though its frames lie in the same batches."""
    before = site.evidence(1)
    site.erase()
    assert site.evidence(1) == before
    assert statuses(before, site.trucks[1])["verdict"][0] is Status.PASS


def test_the_erased_legs_evidence_says_what_is_withheld(site: Site) -> None:
    """Signatures, chain, completeness and inclusion pass as before; totals and verdict name what is not shown."""
    before = statuses(site.evidence(0), site.trucks[0])
    site.erase()
    after = statuses(site.evidence(0), site.trucks[0])
    for name in ("keys", "signature", "assignment", "chain", "completeness", "inclusion", "age"):
        assert after[name] == before[name], name
    count = FRAMES * 2 * 3
    places = f"channel 1 in frames 0 to {FRAMES - 1}; channel 2 in frames 0 to {FRAMES - 1}"
    assert after["totals"][0] is Status.WARN
    assert after["totals"][1].startswith(f"{count} of {count} readings are withheld ({places})")
    assert after["verdict"][0] is Status.WARN
    assert before["verdict"][1].split(";")[0] == after["verdict"][1].split(";")[0], "the same outcome"


def test_raw_messages_and_dead_letters_hold_nothing_either(site: Site) -> None:
    """Where admission is apart, what came lies in the log too; and a frame of the leg may have been refused."""
    truck, frame = site.trucks[0], site.frames[0][2]
    raw = RawMessage(truck.topic, NOW_MS, frame.encode())
    dead = DeadLetter("gateway_unknown", "was not enrolled", truck.topic, NOW_MS, frame.encode(), None)
    site.log.append(topics.RAW, [(truck.id, raw.encode())])
    site.log.append(topics.DEAD, [(b"gateway_unknown", dead.encode())])
    site.erase()
    assert site.holding(0) == set()
    kept = DeadLetter.decode(site.log.read(topics.DEAD, {}, 10)[0].value)
    assert (kept.code, kept.origin, decode_header(kept.data)) == (dead.code, dead.origin, frame.header)
    again = RawMessage.decode(site.log.read(topics.RAW, {}, 10)[0].value)
    assert (again.origin, decode_header(again.data)) == (truck.topic, frame.header)


def test_whoever_begins_anew_says_nothing_else(site: Site) -> None:
    """States lost after an erasure and built again from the log: the final verdict stays the last word."""
    site.erase()
    said = site.log.end(topics.VERDICTS)
    for path in site.data.glob("anomaly.sqlite*"):
        path.unlink()
    stage = Anomaly(site.log, site.data / "anomaly.sqlite", OPERATORS)
    while stage.step():
        pass
    stage.close()
    assert site.log.end(topics.VERDICTS) == said
    for path in site.data.glob("ingest.sqlite*"):
        path.unlink()
    ingest = Ingest(site.log, site.data / "ingest.sqlite", Fleet(*site.trucks), OPERATORS)
    again = [(site.trucks[0].topic, frame.encode()) for frame in site.frames[0]]
    assert {outcome.action for outcome in ingest.take(again)} == {"dropped"}
    ingest.close()
    assert site.holding(0) == set(), "what is sent again does not bring readings back"


def test_an_erased_archive_can_be_rebuilt(site: Site) -> None:
    """From the log, to the same bytes, without the readings."""
    site.erase()
    folder = site.data / "archive"
    files = {path: path.read_bytes() for path in folder.rglob("0*")}
    for path in files:
        path.unlink()
    assert len(list(rebuild(site.log, folder, site.archive))) == len(files) // 2
    assert {path: path.read_bytes() for path in folder.rglob("0*")} == files


def test_an_erasure_that_was_killed_is_finished_by_the_next(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before any write of the archive, or after the first: the command, given again, does the rest."""
    write, done = Archive.write, []

    def dying(*arguments: object) -> object:
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(1)
        return write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Archive, "write", dying)
    with pytest.raises(KeyboardInterrupt):
        site.erase()
    monkeypatch.undo()
    assert site.holding(0)
    site.erase()
    assert site.holding(0) == set()
    assert len(erasures(site.data / "archive")) == 2


def test_a_leg_without_a_final_verdict_is_not_erased(site: Site) -> None:
    """Its readings are still asked for."""
    truck = site.trucks[0]
    stage = Ingest(site.log, site.data / "ingest.sqlite", Fleet(*site.trucks), OPERATORS)
    stage.take([(truck.order_topic, truck.order("PO 3")), (truck.topic, truck.frame().encode())])
    stage.close()
    assert len(finished(site.log)) == 2
    site.command("erase", "--leg", "PO 3", "--reason", "too soon", code=2)


def test_nothing_is_erased_while_the_archive_is_behind(site: Site) -> None:
    """What is archived later would bring the readings back."""
    last = site.log.read(topics.BATCHES, {}, 100)[-1]
    site.log.append(topics.BATCHES, [(last.key, last.value)])
    with pytest.raises(ServiceError, match="archive_behind"):
        list(find(site.log, site.data / "archive", Choice(frozenset())))


def test_the_record_of_erasures_is_append_only(site: Site) -> None:
    """Who, when, why, what and how much; each line names the one before, so that a change shows."""
    site.erase(0)
    site.erase(1)
    first, _ = erasures(site.data / "archive")
    assert (first.by, first.reason, first.erased_ms) == ("a clerk", "asked to", NOW_MS)
    assert (first.legs, first.readings, first.runs) == ((site.leg_of(0).hex(),), FRAMES * 6, FRAMES * 2)
    path = site.data / "archive" / RECORD_NAME
    lines = path.read_bytes().splitlines(keepends=True)
    for changed in ([lines[0].replace(b"asked", b"told "), lines[1]], [lines[1]], lines[::-1]):
        path.write_bytes(b"".join(changed))
        with pytest.raises(MalformedError):
            erasures(site.data / "archive")


def test_a_torn_line_of_the_record_is_written_anew(site: Site) -> None:
    """A full disk, or a kill, leaves half a line of an erasure that was not begun: the next goes on without it."""
    site.erase(0)
    path = site.data / "archive" / RECORD_NAME
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    assert len(erasures(site.data / "archive")) == 1
    site.erase(1)
    assert [one.legs for one in erasures(site.data / "archive")] == [
        (site.leg_of(number).hex(),) for number in (0, 1)
    ]


def test_by_command_line(site: Site) -> None:
    """A dry run changes nothing; then by reference; then all that is too old; then nothing is left."""
    files = {path: path.read_bytes() for path in (site.data / "archive").rglob("*") if path.is_file()}
    shown = site.command("erase", "--leg", "PO 1", "--reason", "asked", "--dry-run")
    assert shown.startswith(f"1 legs: {FRAMES * 6} readings")
    assert {path: path.read_bytes() for path in files} == files
    site.log.close()
    site.command("erase", "--leg", "PO 1", "--reason", "asked")
    assert site.holding(0) == set()
    assert site.holding(1)
    before = datetime.fromtimestamp(BEGIN_MS / 1000, UTC).strftime("%Y-%m-%d")
    assert "nothing is left" in site.command("erase", "--before", before, "--reason", "old")
    site.command("expire")  # legs of 2026-03-02 are older than thirty days, whenever this runs after 2026-04
    assert site.holding(1) == set()
    assert "nothing is left" in site.command("expire")
    record = json.loads(site.command("erasures", "--json"))
    assert [one["reason"] for one in record] == ["asked", "kept for 30 days"]
    assert record[0]["by"] == (os.environ.get("LOGNAME") or os.environ.get("USER") or record[0]["by"])
