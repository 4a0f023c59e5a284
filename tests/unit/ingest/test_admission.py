"""Every frame once in the log, in order; everything else in the dead letters, by name."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.letters import letters
from ingest.stage import Ingest
from ingest.turn import Outcome
from lading import topics
from lading.clone import Clone
from lading.cose import KeySigner
from lading.deadletter import DeadLetter
from lading.decoding import decode_frame
from lading.errors import ServiceError
from lading.frame import CLOSED, IDLE, NO_ANCHOR, Frame, make_run, seal
from lading.log import SqliteLog
from lading.quantities import Quantity
from lading.totals import Reading, fold
from tests.unit.ingest.truck import BEGIN_MS, OPERATORS, Fleet, Truck


class Bench:
    """An ingest over a log of its own, with a clock that the test moves."""

    def __init__(self, folder: Path, *trucks: Truck, **options: int) -> None:
        self.folder, self.now_ms, self.fleet, self.options = folder, BEGIN_MS, Fleet(*trucks), options
        self.log = SqliteLog(folder / "log.sqlite")
        self.ingest = self.open()

    def open(self, state: str = "ingest.sqlite") -> Ingest:
        """An ingest, as after a restart."""
        return Ingest(
            self.log, self.folder / state, self.fleet, OPERATORS, now_ms=lambda: self.now_ms, **self.options
        )

    def begin(self, truck: Truck) -> None:
        """The truck's order is taken."""
        assert self.take((truck.order_topic, truck.order())) == ["taken order"]

    def take(self, *messages: tuple[str, bytes]) -> list[str]:
        """Outcomes as text."""
        return [_text(outcome) for outcome in self.ingest.take(messages)]

    def frames(self, truck: Truck | None = None) -> list[bytes]:
        """Frames in the log."""
        records = self.log.read(topics.FRAMES, {}, 100_000)
        return [r.value for r in records if truck is None or r.key == truck.id]

    def seqs(self, truck: Truck) -> list[int]:
        """The truck's frame_seq in log order."""
        return [decode_frame(data).header.frame_seq for data in self.frames(truck)]

    def dead(self) -> list[DeadLetter]:
        """Dead letters."""
        return [one.letter for one in letters(self.log)]


def _text(outcome: Outcome) -> str:
    return f"{outcome.action} {outcome.code}".strip()


@pytest.fixture
def truck() -> Truck:
    return Truck()


@pytest.fixture
def bench(tmp_path: Path, truck: Truck) -> Iterator[Bench]:
    bench = Bench(tmp_path, truck)
    yield bench
    bench.ingest.close()


def test_good_frames_are_taken_in_order(bench: Bench, truck: Truck) -> None:
    """Frames of a leg, of no leg and of the next leg, each byte for byte in the log."""
    idle = truck.frame(2, state=IDLE).encode()
    bench.take((truck.topic, idle))
    bench.begin(truck)
    sent = [idle, *(data for _, data in truck.messages(4)), truck.frame(2, state=CLOSED).encode()]
    assert bench.take(*((truck.topic, data) for data in sent[1:])) == ["taken"] * 5
    bench.begin(truck)
    sent += [data for _, data in truck.messages(2)]
    assert bench.take(*((truck.topic, data) for data in sent[-2:])) == ["taken"] * 2
    assert bench.frames() == sent
    assert bench.dead() == []


def test_a_frame_without_readings_is_taken(bench: Bench, truck: Truck) -> None:
    """A leg may begin, and a gateway may speak, before there is a reading."""
    bench.begin(truck)
    assert bench.take(*truck.messages(2, 0), *truck.messages(1, 2)) == ["taken"] * 3


def test_duplicates_are_dropped(bench: Bench, truck: Truck) -> None:
    """The same frame again, in one batch or later, signed twice or not, is counted and nothing else."""
    bench.begin(truck)
    messages = truck.messages(3)
    assert bench.take(*messages, messages[1]) == ["taken", "taken", "taken", "dropped duplicate"]
    assert bench.take(*messages) == ["dropped duplicate"] * 3
    assert len(bench.frames()) == 3
    assert bench.dead() == []
    assert bench.ingest.state.counts()["duplicate"] == 4


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_and_batching_ends_alike(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Within the reorder bound, whatever comes when, twice or not: each gateway's frames in order, once."""
    trucks = [Truck("a", 1), Truck("b", 2)]
    bench = Bench(tmp_path_factory.mktemp("any"), *trucks)
    messages = [(truck.order_topic, truck.order()) for truck in trucks]
    messages += [message for truck in trucks for message in truck.messages(6, 2)]
    messages += data.draw(st.lists(st.sampled_from(messages), max_size=4))
    messages = data.draw(st.permutations(messages))
    while messages:
        count = data.draw(st.integers(1, 8))
        bench.take(*messages[:count])
        messages = messages[count:]
    for truck in trucks:
        assert bench.seqs(truck) == list(range(6))
    assert bench.dead() == []
    assert bench.ingest.state.waiting_count() == 0
    bench.ingest.close()


def test_a_frame_waits_for_the_one_before(bench: Bench, truck: Truck) -> None:
    """Out of order they wait, over a restart too, and go on once the missing one is there."""
    bench.begin(truck)
    messages = truck.messages(4)
    assert bench.take(messages[2], messages[3], messages[1]) == ["waiting gap"] * 3
    assert bench.frames() == []
    bench.ingest.close()
    bench.ingest = bench.open()
    assert bench.take(messages[0]) == ["taken"]
    assert bench.seqs(truck) == [0, 1, 2, 3]


def test_a_gap_is_left_open_after_the_time_limit(bench: Bench, truck: Truck) -> None:
    """Past the age bound what waited is logged, and the late one is taken when it comes."""
    bench.begin(truck)
    messages = truck.messages(5)
    bench.take(messages[0], messages[3], messages[4], messages[2])
    assert bench.ingest.step() == 0
    bench.now_ms += 600_001
    assert bench.ingest.step() == 3
    assert bench.seqs(truck) == [0, 2, 3, 4]
    assert bench.take(messages[1]) == ["taken"]
    assert bench.seqs(truck) == [0, 2, 3, 4, 1]
    assert bench.dead() == []


def test_a_gap_is_left_open_beyond_the_count(tmp_path: Path, truck: Truck) -> None:
    """Beyond the count bound the first that waits is logged, with what follows it."""
    bench = Bench(tmp_path, truck, waiting_of_gateway_max=3)
    bench.begin(truck)
    messages = truck.messages(8)
    assert bench.take(*messages[2:5]) == ["waiting gap"] * 3
    bench.take(messages[5])
    assert bench.seqs(truck) == [2, 3, 4, 5]
    bench.take(messages[1], messages[0])
    assert sorted(bench.seqs(truck)) == [0, 1, 2, 3, 4, 5]


def test_a_late_frame_that_does_not_fit_is_refused(bench: Bench, truck: Truck) -> None:
    """The frame after the gap names its predecessor: another one cannot fill the gap."""
    bench.begin(truck)
    messages = truck.messages(3)
    bench.take(messages[0], messages[2])
    bench.now_ms += 600_001
    bench.ingest.step()
    header = decode_frame(messages[1][1]).header
    other = resigned(truck, messages[1][1], sent_ms=header.sent_ms + 1)
    assert bench.take((truck.topic, other)) == ["refused chain"]
    assert bench.take(messages[1]) == ["taken"]


def resigned(truck: Truck, data: bytes, **fields: Any) -> bytes:
    """A frame with other header fields, signed anew by the same key."""
    frame = decode_frame(data)
    header = replace(frame.header, **fields)
    return Frame(header, truck.signer.sign(header.signed), frame.runs).encode()


def test_equivocation_is_proven(bench: Bench, truck: Truck) -> None:
    """Two frames of one number: both envelopes in the clone topic, the second in the dead letters with the first."""
    bench.begin(truck)
    messages = truck.messages(3)
    bench.take(*messages)
    other = resigned(truck, messages[1][1], sent_ms=BEGIN_MS + 5)
    assert bench.take((truck.topic, other)) == ["refused equivocation"]
    assert bench.take((truck.topic, other)) == ["refused equivocation"]
    records = bench.log.read(topics.CLONES, {}, 10)
    assert [record.key for record in records] == [truck.id]
    clone = Clone.decode(records[0].value)
    clone.check(truck.signer.public)
    assert {clone.first, clone.second} == {
        decode_frame(messages[1][1]).envelope,
        decode_frame(other).envelope,
    }
    (letter,) = bench.dead()
    assert (letter.code, letter.data, letter.related) == (
        "equivocation",
        other,
        decode_frame(messages[1][1]).envelope,
    )
    assert len(bench.frames()) == 3


@pytest.mark.parametrize("first_is_true", [True, False])
def test_equivocation_while_waiting(bench: Bench, truck: Truck, first_is_true: bool) -> None:
    """Of two frames that wait under one number the proof is written at once; the true one need not be lost."""
    bench.begin(truck)
    messages = truck.messages(3)
    other = (truck.topic, resigned(truck, messages[2][1], previous_hash=b"\x07" * 32))
    pair = [messages[2], other] if first_is_true else [other, messages[2]]
    assert bench.take(messages[0], pair[0]) == ["taken", "waiting gap"]
    assert bench.take(pair[1]) == ["refused equivocation"]
    assert len(bench.log.read(topics.CLONES, {}, 10)) == 1
    bench.take(messages[1])
    assert bench.seqs(truck) == ([0, 1, 2] if first_is_true else [0, 1])
    if not first_is_true:
        letter = next(letter for letter in bench.dead() if letter.code == "equivocation")
        assert _text(bench.ingest.retry(letter)) == "taken"
        assert bench.seqs(truck) == [0, 1, 2]


def test_the_one_that_follows_wins_over_one_that_waits(bench: Bench, truck: Truck) -> None:
    """A waiting frame that cannot follow does not keep the true one out."""
    bench.begin(truck)
    messages = truck.messages(2)
    other = (truck.topic, resigned(truck, messages[1][1], previous_hash=b"\x07" * 32))
    assert bench.take(other) == ["waiting gap"]
    outcomes = bench.take(messages[0], messages[1])
    assert outcomes == ["taken", "taken"]
    assert bench.seqs(truck) == [0, 1]
    assert len(bench.log.read(topics.CLONES, {}, 10)) == 1
    assert [letter.data for letter in bench.dead()] == [other[1]]


def test_garbage_is_kept_whole(bench: Bench, truck: Truck) -> None:
    """What is no frame is refused by its format's code, once, with its bytes and where it came from."""
    bench.begin(truck)
    good = truck.messages(1)[0][1]
    bad = [b"", b"{}", good[:-1], good + b"\0", good[:300], bytes(2_097_153)]
    for data in bad:
        (outcome,) = bench.take((truck.topic, data))
        assert outcome.startswith("refused frame_"), outcome
        assert bench.take((truck.topic, data)) == [outcome]
    assert [letter.data for letter in bench.dead()] == [*bad[:-1], bad[-1][:2_097_152]]
    assert {letter.origin for letter in bench.dead()} == {truck.topic}
    assert bench.take(("elsewhere", b"x")) == ["refused topic"]


def test_any_flipped_bit_is_refused(bench: Bench, truck: Truck) -> None:
    """A frame with one byte changed is never taken, and the true one is taken afterwards."""
    bench.begin(truck)
    data = truck.messages(1)[0][1]
    rng = random.Random(7)
    changed = []
    for _ in range(60):
        at = rng.randrange(len(data))
        changed.append(data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :])
    outcomes = bench.take(*((truck.topic, one) for one in changed))
    assert all(outcome.split()[0] in ("refused", "waiting") for outcome in outcomes)
    assert bench.frames() == []
    assert bench.take((truck.topic, data)) == ["taken"]


def test_a_stranger_is_refused(bench: Bench) -> None:
    """A gateway that is not enrolled, until it is; then its dead letters can be retried."""
    stranger = Truck("stranger")
    data = stranger.frame(0, state=IDLE).encode()
    assert bench.take((stranger.topic, data)) == ["refused gateway_unknown"]
    (letter,) = bench.dead()
    assert _text(bench.ingest.retry(letter)) == "refused gateway_unknown"
    assert len(bench.dead()) == 2
    bench.fleet.entries[stranger.id] = stranger.entry()
    assert _text(bench.ingest.retry(letter)) == "taken"
    assert bench.frames() == [data]


def test_another_tenants_topic_is_refused(bench: Bench, truck: Truck) -> None:
    """A gateway speaks for its own tenant alone."""
    data = truck.frame(0, state=IDLE).encode()
    assert bench.take((truck.topic.replace("/demo/", "/other/"), data)) == ["refused gateway_unknown"]


def test_another_key_is_refused(bench: Bench, truck: Truck) -> None:
    """A good frame under another key's signature."""
    frame = truck.frame(0, state=IDLE)
    forged = Frame(frame.header, KeySigner.from_seed(b"thief").sign(frame.header.signed), frame.runs)
    assert bench.take((truck.topic, forged.encode())) == ["refused signature"]


def test_validity_is_judged_at_event_time(bench: Bench, truck: Truck) -> None:
    """Readings from before the revocation are taken however late they come; later ones are not."""
    bench.begin(truck)
    messages = truck.messages(2)
    until_ms = decode_frame(messages[0][1]).header.sent_ms + 1
    bench.fleet.entries[truck.id] = truck.entry(BEGIN_MS, until_ms)
    assert bench.take(*messages) == ["taken", "refused gateway_revoked"]
    bench.fleet.entries[truck.id] = truck.entry(BEGIN_MS + 10**9)
    assert bench.take(*truck.messages(1)) == ["refused gateway_unknown"]


def test_a_leg_waits_for_its_order(bench: Bench, truck: Truck) -> None:
    """Frames of a leg that was not ordered yet wait for the order; without one they are refused in the end."""
    order = truck.order()
    messages = truck.messages(3)
    assert bench.take(*messages) == ["waiting limits"] * 3
    assert bench.take((truck.order_topic, order)) == ["taken order"]
    assert bench.seqs(truck) == [0, 1, 2]
    truck.frame(1, state=CLOSED)
    truck.order("never published")
    late = truck.messages(1)
    bench.take(*late)
    bench.now_ms += 600_001
    bench.ingest.step()
    assert [(letter.code, letter.data) for letter in bench.dead()] == [("limits", late[0][1])]


def test_orders_are_checked(bench: Bench, truck: Truck) -> None:
    """Only the tenant's operator orders, for a gateway that is enrolled, on that gateway's topic, once a number."""
    order = truck.order()
    assert bench.take((truck.order_topic, order), (truck.order_topic, order)) == [
        "taken order",
        "dropped duplicate",
    ]
    assert bench.take((truck.order_topic, b"")) == ["dropped cleared"]
    forged = Truck().order(signer=KeySigner.from_seed(b"thief"))
    assert bench.take((truck.order_topic, forged)) == ["refused signature"]
    assert bench.take((truck.order_topic, Truck().order("leg-2"))) == ["refused assignment"]
    assert bench.take((truck.order_topic.replace("/demo/", "/other/"), order)) == ["refused operator_unknown"]
    stranger = Truck("stranger")
    assert bench.take((stranger.order_topic, stranger.order())) == ["refused gateway_unknown"]
    assert [record.value for record in bench.log.read(topics.ASSIGNMENTS, {}, 10)] == [order]


def wrong_frame(truck: Truck, **changes: int) -> bytes:
    """The truck's next frame with wrong totals of channel 1, signed."""
    found = [Reading(truck.next_seq[1] + i, truck.now_ms + 60_000 * i, 9_500) for i in range(3)]
    runs = []
    for channel in truck.next_seq:
        true = fold(truck.totals[channel], truck.limits.channel(channel), found)
        wrong = {name: getattr(true, name) + by for name, by in changes.items()} if channel == 1 else {}
        totals = replace(true, **wrong)
        runs.append(
            make_run(channel, Quantity.TEMPERATURE, truck.next_seq[channel], bytes(16), found, totals)
        )
    return seal(
        truck.signer, truck.leg, truck.frame_seq, truck.previous, truck.now_ms, NO_ANCHOR, runs
    ).encode()


@pytest.mark.parametrize(
    "field", ["above_ms", "mkt_weight_sum", "longest_gap_ms", "max_value", "below_longest_ms"]
)
def test_wrong_totals_are_refused(bench: Bench, truck: Truck, field: str) -> None:
    """Totals that are not the fold of the totals before and the readings, at the leg's begin and later."""
    bench.begin(truck)
    assert bench.take((truck.topic, wrong_frame(truck, **{field: 1}))) == ["refused totals"]
    bench.take(*truck.messages(2))
    assert bench.take((truck.topic, wrong_frame(truck, **{field: 1}))) == ["refused totals"]
    assert bench.take(*truck.messages(1)) == ["taken"]


def test_channels_other_than_the_limits_are_refused(bench: Bench, truck: Truck) -> None:
    """A leg's frame has a run for exactly the channels of its limits."""
    bench.begin(truck)
    del truck.next_seq[2]
    assert bench.take(*truck.messages(1)) == ["refused limits"]


def test_limits_other_than_ordered_are_refused(bench: Bench, truck: Truck) -> None:
    """The leg's limits are the operator's, not the gateway's."""
    bench.begin(truck)
    truck.leg = truck.leg._replace(limits_hash=b"\x01" * 32)
    assert bench.take(*truck.messages(1)) == ["refused limits"]


def test_an_open_leg_is_not_left(bench: Bench, truck: Truck) -> None:
    """After an open frame comes the same leg; after a closed one, another."""
    bench.begin(truck)
    bench.take(*truck.messages(1))
    assert bench.take((truck.topic, Truck.frame(truck, 0, state=IDLE).encode())) == ["refused chain"]


def test_a_closed_leg_is_not_reopened(bench: Bench, truck: Truck) -> None:
    """A leg ends with its closing frame."""
    bench.begin(truck)
    leg = truck.leg
    bench.take((truck.topic, truck.frame(1, state=CLOSED).encode()))
    truck.leg = leg
    assert bench.take(*truck.messages(1)) == ["refused chain"]


class Torn(SqliteLog):
    """A log that fails after it has written: what a kill between the log's write and the state's looks like."""

    torn = False

    def append(self, topic: str, items: Sequence[tuple[bytes, bytes]]) -> list[tuple[int, int]]:
        """Append, then fail."""
        places = super().append(topic, items)
        if self.torn:
            raise ServiceError("torn", "killed here")
        return places


@pytest.mark.parametrize("what", ["frames", "orders", "clones", "dead"])
def test_a_kill_between_log_and_state_counts_nothing_twice(tmp_path: Path, truck: Truck, what: str) -> None:
    """The log has it, the state does not: given again, it is there once."""
    bench = Bench(tmp_path, truck)
    log = Torn(tmp_path / "log.sqlite")
    bench.log = log
    bench.ingest.close()
    bench.ingest = bench.open()
    order = (truck.order_topic, truck.order())
    messages = truck.messages(4)
    if what != "orders":
        bench.take(order)
        bench.take(*messages[:2], messages[3])
    batch = {
        "frames": [messages[2]],
        "orders": [order],
        "clones": [(truck.topic, resigned(truck, messages[0][1], sent_ms=5))],
        "dead": [(truck.topic, b"no frame")],
    }[what]
    log.torn = True
    with pytest.raises(ServiceError):
        bench.take(*batch)
    log.torn = False
    bench.ingest.close()
    bench.ingest = bench.open()
    bench.take(*batch)
    bench.take(*messages)
    if what in ("frames", "orders"):
        bench.take(*messages)
    for topic in topics.LOG_TOPICS:
        values = [record.value for record in bench.log.read(topic, {}, 100)]
        assert len(values) == len(set(values)), topic
    assert bench.seqs(truck) == [0, 1, 2, 3]
    assert bench.ingest.state.waiting_count() == 0


class Unasked(SqliteLog):
    """A log that counts how often it is asked for its ends."""

    asked = 0

    def ends(self, topics: Sequence[str]) -> dict[str, dict[int, int]]:
        """Count, then answer."""
        self.asked += 1
        return super().ends(topics)


@pytest.fixture
def owner(tmp_path: Path, truck: Truck) -> Iterator[Bench]:
    """An ingest that has its partition to itself, and asks once a second for what others wrote."""
    bench = Bench(tmp_path, truck, Truck("b", 2), follow_ms=1_000)
    bench.ingest.close()
    bench.log = Unasked(tmp_path / "log.sqlite")
    bench.ingest = bench.open()
    yield bench
    bench.ingest.close()


def test_an_owner_does_not_ask_what_others_wrote(owner: Bench, truck: Truck) -> None:
    """Turn after turn is taken by what the state knows; after a second the log is asked."""
    asked = owner.log.asked
    owner.begin(truck)
    for message in truck.messages(5):
        assert owner.take(message) == ["taken"]
    assert owner.log.asked == asked
    owner.now_ms += 1_000
    owner.take(*truck.messages(1))
    assert owner.log.asked == asked + 1


@pytest.mark.parametrize("passed_ms", [1_000, -1_000_000])
def test_an_owner_that_hung_asks_first(owner: Bench, truck: Truck, passed_ms: int) -> None:
    """What the next owner wrote meanwhile is not written again, also if the clock was set back."""
    owner.begin(truck)
    messages = truck.messages(4)
    owner.take(*messages[:2])
    other = owner.open("another.sqlite")
    assert [_text(outcome) for outcome in other.take(messages[2:])] == ["taken"] * 2
    other.close()
    owner.now_ms += passed_ms
    assert owner.take(*messages[2:]) == ["dropped duplicate"] * 2
    assert owner.seqs(truck) == [0, 1, 2, 3]


def test_an_owner_sees_by_its_own_append_that_another_wrote(owner: Bench, truck: Truck) -> None:
    """The next turn follows the log, however soon it comes."""
    rival = Truck("b", 2)
    owner.begin(truck)
    owner.begin(rival)
    foreign = rival.messages(1)
    owner.log.append(topics.FRAMES, [(rival.id, foreign[0][1])])
    owner.take(*truck.messages(1))
    assert owner.take(*foreign) == ["dropped duplicate"]
    assert owner.seqs(rival) == [0]


def test_an_owner_whose_append_failed_asks_first(tmp_path: Path, truck: Truck) -> None:
    """The records of an append that failed may be there all the same."""
    bench = Bench(tmp_path, truck, follow_ms=10_000)
    bench.ingest.close()
    log = bench.log = Torn(tmp_path / "log.sqlite")
    bench.ingest = bench.open()
    bench.begin(truck)
    messages = truck.messages(3)
    log.torn = True
    with pytest.raises(ServiceError):
        bench.take(*messages[:2])
    log.torn = False
    assert bench.take(*messages) == ["dropped duplicate"] * 2 + ["taken"]
    assert bench.seqs(truck) == [0, 1, 2]


def test_a_lost_state_is_made_again_from_the_log(bench: Bench, truck: Truck) -> None:
    """Without its state file, ingest takes what is new and nothing twice."""
    bench.begin(truck)
    messages = truck.messages(5)
    bench.take(*messages[:3], (truck.topic, b"bad"))
    bench.ingest.close()
    bench.ingest = bench.open("another.sqlite")
    assert bench.take(*messages, (truck.topic, b"bad")) == [
        *["dropped duplicate"] * 3,
        "taken",
        "taken",
        "refused frame_encoding",
    ]
    assert len(bench.dead()) == 1


def test_a_log_that_was_lost_is_not_taken_for_the_one_before(bench: Bench, truck: Truck) -> None:
    """A frame that only the lost log had would be dropped as a duplicate, and the gateway told that it is safe."""
    bench.begin(truck)
    messages = truck.messages(2)
    bench.take(messages[0])
    bench.ingest.close()
    bench.log = SqliteLog(bench.folder / "new.sqlite")
    with pytest.raises(ServiceError, match="log_lost"):
        bench.open()
    bench.ingest = bench.open("new state.sqlite")
    truck.order_seq = 0
    bench.begin(truck)
    assert bench.take(*messages) == ["taken"] * 2


@pytest.mark.parametrize("frame_seq", [2**63 - 1, 2**63, 2**64 - 1])
def test_great_frame_numbers_are_counted_once(bench: Bench, truck: Truck, frame_seq: int) -> None:
    """frame_seq is a u64 that the gateway chooses; after a restart too, a duplicate is one."""
    bench.begin(truck)
    bench.take(*truck.messages(2))
    truck.frame_seq = frame_seq
    (message,) = truck.messages(1)
    assert bench.take(message) == ["waiting gap"]
    bench.now_ms += 10**9
    bench.ingest.step()
    bench.ingest.close()
    bench.ingest = bench.open()
    assert bench.take(message) == ["dropped duplicate"]
    assert bench.seqs(truck) == [0, 1, frame_seq]


def test_a_beginning_is_refolded_without_the_frame_before(bench: Bench, truck: Truck) -> None:
    """Totals that count this frame's readings alone come from empty ones, whatever was before: a gap hides no lie."""
    bench.begin(truck)
    truck.frame(0)
    frame = truck.frame(2)
    lies = [
        replace(run, record=replace(run.record, totals=replace(run.record.totals, mkt_weight_sum=2**128 - 1)))
        for run in frame.runs
    ]
    header = frame.header
    leg = truck.leg
    lie = seal(truck.signer, leg, header.frame_seq, header.previous_hash, header.sent_ms, NO_ANCHOR, lies)
    assert bench.take((truck.topic, lie.encode())) == ["waiting gap"]
    bench.now_ms += 10**9
    bench.ingest.step()
    assert bench.frames(truck) == []
    assert [letter.code for letter in bench.dead()] == ["totals"]


def test_two_processes_take_turns(bench: Bench, truck: Truck) -> None:
    """Two ingests over one log and one state: each sees what the other took."""
    bench.begin(truck)
    other = bench.open()
    messages = truck.messages(6)
    bench.take(messages[0])
    assert [_text(o) for o in other.take([messages[1], messages[0]])] == ["taken", "dropped duplicate"]
    assert bench.take(messages[1], messages[2]) == ["dropped duplicate", "taken"]
    assert [_text(o) for o in other.take(messages[4:])] == ["waiting gap"] * 2
    assert bench.take(messages[3]) == ["taken"]
    assert bench.seqs(truck) == list(range(6))
    other.close()
