"""Receiving and admission apart: the same frames in the log as with both in one, whatever is lost in between."""

import random
from pathlib import Path

import pytest

from ingest.intake import Apart
from ingest.raw import RawMessage
from ingest.relay import Admission, Relay
from ingest.stage import Ingest
from lading import topics
from lading.deadletter import DeadLetter
from lading.log import Log, SqliteLog, partition_of
from lading.partitions import PartitionLog, WholeShare, Workers, state_path
from tests.unit.ingest.truck import OPERATORS, Fleet, Truck

COUNT = 4
Message = tuple[str, bytes]


class Site:
    """Admission of every partition over one log; `open` begins with the state files as they are."""

    def __init__(self, folder: Path, trucks: list[Truck]) -> None:
        self.folder = folder
        self.log = SqliteLog(folder / "log.sqlite", partitions=COUNT)
        self.now_ms = 1_772_500_000_000
        self._fleet = Fleet(*trucks)
        self.relay = Relay(self.log, self._now)
        self.open()

    def open(self) -> None:
        workers = Workers(WholeShare(COUNT), self._admission, self.state)
        self.intake = Apart(self.log, self.relay, workers, messages_max=7)

    def _admission(self, partition: int) -> Admission:
        view = PartitionLog(self.log, partition, COUNT)
        ingest = Ingest(
            view, self.state(partition), self._fleet, OPERATORS, now_ms=self._now, waiting_ms=10_000
        )
        return Admission(view, partition, ingest, self._now)

    def close(self) -> None:
        self.intake.close()

    def state(self, partition: int) -> Path:
        return state_path(self.folder / "ingest.sqlite", partition, COUNT)

    def lose_states(self) -> None:
        """As when partitions move to another machine: the log alone is left."""
        self.close()
        for path in self.folder.glob("ingest-*"):
            path.unlink()
        self.open()

    def settle(self) -> None:
        """Admit until nothing is new."""
        while self.intake.admit():
            pass
        self.intake.tend()

    def _now(self) -> int:
        return self.now_ms


def values(log: Log, topic: str) -> list[bytes]:
    """What a topic holds, sorted: partitions have no order among one another."""
    found: list[bytes] = []
    at: dict[int, int] = {}
    while records := log.read(topic, at, 100):
        for record in records:
            found.append(record.value)
            at[record.partition] = record.offset + 1
    return sorted(found)


def letters(log: Log) -> list[tuple[str, str, bytes]]:
    found = [DeadLetter.decode(value) for value in values(log, topics.DEAD)]
    return sorted((letter.code, letter.origin, letter.data) for letter in found)


def story(seed: int) -> tuple[list[Truck], list[Message]]:
    """Six trucks' orders and frames: late ones, duplicates, a broken one, a stranger's, a clone's, another's topic."""
    rng = random.Random(seed)
    trucks = [Truck(f"truck-{n}") for n in range(6)]
    messages: list[Message] = [(truck.order_topic, truck.order()) for truck in trucks]
    for truck in trucks:
        clone = Truck(truck.name, seed=2)
        clone.order()
        sent = truck.messages(8)
        sent.insert(rng.randrange(1, 8), sent.pop(rng.randrange(8)))
        messages += sent + rng.sample(sent, 2)
        if truck is trucks[0]:
            messages += clone.messages(2)
    stranger = Truck("stranger")
    messages += [(stranger.topic, stranger.frame(2).encode()), (trucks[1].topic, b"garbage")]
    messages.append((trucks[2].topic, trucks[3].frame().encode()))
    messages.append((trucks[4].topic, trucks[4].frame().encode()[:-1]))
    return trucks, messages


@pytest.mark.parametrize("seed", range(5))
def test_the_same_as_in_one(seed: int, tmp_path: Path) -> None:
    """Six gateways over four partitions: frames, orders, clone proofs and dead letters are those of one admission."""
    trucks, messages = story(seed)
    whole = SqliteLog(tmp_path / "whole.sqlite")
    one = Ingest(whole, tmp_path / "whole-state.sqlite", Fleet(*trucks), OPERATORS)
    for message in messages:
        one.take([message])
    site = Site(tmp_path, trucks)
    rng = random.Random(seed)
    left = list(messages)
    while left:
        count = rng.randint(1, 9)
        site.relay.take(left[:count])
        del left[:count]
        if rng.random() < 0.3:
            site.close()
            site.open()
        if rng.random() < 0.3:
            site.intake.admit()
    site.settle()
    for topic in (topics.FRAMES, topics.ASSIGNMENTS, topics.CLONES):
        assert values(site.log, topic) == values(whole, topic)
    assert letters(site.log) == letters(whole)
    assert len(letters(whole)) >= 4
    one.close()
    site.close()


def test_a_gateways_records_lie_in_one_partition(tmp_path: Path) -> None:
    """Whoever owns a partition has all that decides about its gateways."""
    trucks, messages = story(1)
    site = Site(tmp_path, trucks)
    site.relay.take(messages)
    site.settle()
    for truck in trucks:
        wanted = partition_of(truck.id, COUNT)
        for topic in (topics.RAW, topics.FRAMES, topics.ASSIGNMENTS):
            found = site.log.read(topic, {}, 10_000)
            own = [record for record in found if record.key == truck.id]
            assert own
            assert {record.partition for record in own} == {wanted}
    site.close()


def test_a_lost_state_meets_what_waited_again(tmp_path: Path) -> None:
    """The frame before is missing, the state is lost, the frame comes: both are taken, and nothing twice."""
    truck = Truck()
    site = Site(tmp_path, [truck])
    sent = truck.messages(6)
    site.relay.take([(truck.order_topic, truck.order()), *sent[:2], *sent[3:]])
    # the order above was made after the frames: they are idle ones
    site.settle()
    assert len(values(site.log, topics.FRAMES)) == 2
    site.now_ms += 1_000
    site.settle()
    site.lose_states()
    site.settle()
    assert sum(ingest.state.waiting_count() for ingest in site.intake.ingests()) == 3
    site.relay.take([sent[2]])
    site.settle()
    assert values(site.log, topics.FRAMES) == sorted(data for _, data in sent)
    site.close()


@pytest.mark.parametrize("seed", range(5))
def test_a_state_set_back_writes_nothing_twice(seed: int, tmp_path: Path) -> None:
    """A power failure took each state's last commits: what the log has since is in it once, and nothing is missing."""
    trucks, messages = story(seed)
    site, whole = Site(tmp_path / "set back", trucks), Site(tmp_path / "whole", trucks)
    cut = random.Random(seed).randrange(10, len(messages))
    for one in (site, whole):
        one.relay.take(messages[:cut])
        one.intake.admit()
        one.close()
    earlier = {path: path.read_bytes() for path in site.folder.glob("ingest-*.sqlite")}
    for one in (site, whole):
        one.open()
        one.settle()
        one.relay.take(messages[cut:])
        one.settle()
        one.close()
    assert sum(path.read_bytes() != data for path, data in earlier.items()) > 1
    for path, data in earlier.items():
        path.write_bytes(data)
    for one in (site, whole):
        one.open()
        one.settle()
    for topic in (topics.FRAMES, topics.ASSIGNMENTS, topics.CLONES):
        assert values(site.log, topic) == values(whole.log, topic)
    assert letters(site.log) == letters(whole.log)
    waiting = [[ingest.state.waiting_count() for ingest in one.intake.ingests()] for one in (site, whole)]
    assert waiting[0] == waiting[1]
    for one in (site, whole):
        one.close()


def test_the_commit_passes_what_no_longer_waits(tmp_path: Path) -> None:
    """While a frame waits the committed position stays before it; once it is released it goes to the end."""
    truck = Truck()
    site = Site(tmp_path, [truck])
    partition = partition_of(truck.id, COUNT)
    sent = truck.messages(5)
    site.relay.take(sent[:2])
    site.settle()
    site.now_ms += 1
    site.settle()
    assert site.log.committed("ingest", topics.RAW)[partition] == 2
    site.relay.take(sent[3:])
    for _ in range(5):
        site.now_ms += 1_000
        site.settle()
        assert site.log.committed("ingest", topics.RAW)[partition] == 2
    site.now_ms += 10_000
    site.settle()
    site.now_ms += 1
    site.settle()
    assert len(values(site.log, topics.FRAMES)) == 4, "released with the gap left open"
    assert site.log.committed("ingest", topics.RAW)[partition] == 4
    site.close()


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_clock_set_back_hides_nothing_that_waits(is_restarted: bool, tmp_path: Path) -> None:
    """The clock goes back an hour right after a frame came to wait: the committed position stays before it."""
    truck = Truck()
    site = Site(tmp_path, [truck])
    partition = partition_of(truck.id, COUNT)
    sent = truck.messages(3)
    site.relay.take([sent[0]])
    site.settle()
    site.now_ms += 1
    site.settle()
    site.relay.take([sent[2]])
    while site.intake.admit():
        pass
    site.now_ms -= 3_600_000
    if is_restarted:
        site.close()
        site.open()
    for _ in range(3):
        site.settle()
        site.now_ms += 1
    assert site.log.committed("ingest", topics.RAW)[partition] == 1
    site.close()


def test_what_no_relay_wrote_is_a_dead_letter(tmp_path: Path) -> None:
    """Garbage in the raw topic, or a message under another gateway's key, stops nothing and is kept whole."""
    truck, other = Truck(), Truck("truck-2")
    site = Site(tmp_path, [truck, other])
    misled = RawMessage(truck.topic, 0, truck.frame().encode()).encode()
    site.log.append(topics.RAW, [(truck.id, b"garbage"), (other.id, misled)])
    first = other.messages(1)
    site.relay.take(first)
    site.settle()
    assert [(code, data) for code, _, data in letters(site.log)] == sorted(
        [("topic", b"garbage"), ("topic", misled)]
    )
    assert values(site.log, topics.FRAMES) == [first[0][1]]
    site.close()


def test_a_dead_letter_of_another_partition_stops_nothing(tmp_path: Path) -> None:
    """Garbage that names nobody lies in one partition, whichever worker met it: each of them goes on afterwards."""
    site = Site(tmp_path, [])
    home = partition_of(b"-", COUNT)  # nobody's name
    keys = [key for key in (bytes([n]) for n in range(16)) if partition_of(key, COUNT) != home]
    assert len({partition_of(key, COUNT) for key in keys}) == COUNT - 1
    for _ in range(2):
        site.log.append(topics.RAW, [(key, b"garbage of " + key) for key in keys])
        site.settle()
    assert len(letters(site.log)) == len(keys)
    site.close()
    site.open()
    site.settle()
    site.close()


@pytest.mark.parametrize("name", ["ab" * 2_000, "z" * 4_000, "é" * 4_000, "", " "])
def test_a_topic_that_names_a_long_gateway_stops_nothing(name: str, tmp_path: Path) -> None:
    """Whoever may publish chooses the topic, up to 64 KiB of it: the message is a dead letter, in one step or two."""
    truck = Truck()
    message = (f"{topics.ROOT}/demo/{name}/frames", b"garbage")
    whole = SqliteLog(tmp_path / "whole.sqlite")
    one = Ingest(whole, tmp_path / "whole-state.sqlite", Fleet(truck), OPERATORS)
    one.take([message])
    site = Site(tmp_path, [truck])
    site.relay.take([message])
    site.settle()
    assert letters(site.log) == letters(whole)
    assert [data for _, _, data in letters(whole)] == [b"garbage"]
    one.close()
    site.close()
