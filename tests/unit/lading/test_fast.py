"""The batched check takes exactly the frames that the pure decoder and the pure fold take."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading import fast
from lading.cose import SIGNATURE_BYTES
from lading.decoding import decode_frame
from lading.errors import LadingError
from lading.frame import (
    CLOSED,
    IDLE,
    NO_ANCHOR,
    NO_LEG,
    OPEN,
    RECORD_BYTES,
    AnchorSeen,
    Frame,
    Header,
    LegRef,
    Reading,
    Run,
    make_run,
    readings_root,
    runs_root,
)
from lading.limits import HOLD_MS_MAX, ChannelLimits, Limits
from lading.totals import EMPTY, Totals, fold
from lading.tree import ZERO_HASH, leaf_hash, root, sha256

GATEWAY = b"\x77" * 32
BEGIN_MS = 1_700_000_000_000


def unsigned(
    leg: LegRef, seq: int, previous: bytes, runs: Sequence[Run], anchor: AnchorSeen = NO_ANCHOR
) -> Frame:
    """A frame whose signature is filler: the batched check leaves signatures to its caller."""
    frame_root = runs_root(run.record for run in runs)
    header = Header(GATEWAY, *leg, seq, previous, BEGIN_MS, *anchor, frame_root, len(runs))
    return Frame(header, b"\x55" * SIGNATURE_BYTES, tuple(runs))


def random_limits(randomness: random.Random, channels: Sequence[int]) -> Limits:
    return Limits(
        tuple(
            ChannelLimits(
                channel,
                randomness.choice([1, 1, 2, 9, 0x8000]),
                lower=randomness.choice([-(2**31), 2000, -25_000]),
                upper=randomness.choice([2**31 - 1, 8000, 2000]),
                hold_ms=randomness.choice([1, 60_000, 600_000, HOLD_MS_MAX]),
            )
            for channel in channels
        )
    )


def random_readings(randomness: random.Random, next_seq: int, after_ms: int, count: int) -> list[Reading]:
    readings = []
    for i in range(count):
        after_ms += randomness.choice([1, 999, 60_000, 90_000, 900_000])
        value = randomness.choice([2000, 8000, -110_000, 150_000, randomness.randint(-(2**31), 2**31 - 1)])
        value = randomness.choice([value, randomness.randint(-30_000, 30_000)])
        readings.append(Reading(next_seq + i, after_ms, value, randomness.choice([0, 0, 0, 0, 1, 2, 4, 5])))
    return readings


class Truck:
    """Makes one gateway's chain of frames, leg after leg."""

    def __init__(self, seed: int) -> None:
        self.randomness = random.Random(seed)
        self.frames: list[Frame] = []
        self.limits: dict[bytes, bytes] = {}
        self.next_seq: dict[int, int] = {}
        self.time_ms = BEGIN_MS

    def leg(self, frame_count: int) -> None:
        """A leg of open frames and a closed one."""
        channels = sorted(self.randomness.sample(range(1, 2**16), self.randomness.randint(1, 4)))
        limits = random_limits(self.randomness, channels)
        self.limits[limits.hash] = limits.encode()
        leg = LegRef(OPEN, self.randomness.randbytes(32), limits.hash)
        totals = dict.fromkeys(channels, EMPTY)
        for i in range(frame_count):
            runs = []
            for channel_limits in limits.channels:
                readings = self.readings(channel_limits.channel)
                totals[channel_limits.channel] = fold(
                    totals[channel_limits.channel], channel_limits, readings
                )
                runs.append(self.run(channel_limits.channel, channel_limits.quantity, readings, totals))
            self.cut(leg if i < frame_count - 1 else leg._replace(state=CLOSED), runs)

    def idle(self) -> None:
        """A frame outside any leg."""
        runs = [self.run(5, 1, self.readings(5), {5: EMPTY})] if self.randomness.random() < 0.5 else []
        self.cut(NO_LEG, runs)

    def readings(self, channel: int) -> list[Reading]:
        count = self.randomness.choice([0, 1, 2, 15, 16, 17, 40])
        return random_readings(self.randomness, self.next_seq.get(channel, 7), self.time_ms, count)

    def run(self, channel: int, quantity: int, readings: list[Reading], totals: dict[int, Totals]) -> Run:
        next_seq = self.next_seq.get(channel, 7)
        self.next_seq[channel] = next_seq + len(readings)
        salt = self.randomness.randbytes(16)
        return make_run(channel, quantity, next_seq, salt, readings, totals[channel])

    def cut(self, leg: LegRef, runs: Sequence[Run]) -> None:
        previous = self.frames[-1].header.hash if self.frames else ZERO_HASH
        anchor = self.randomness.choice([NO_ANCHOR, AnchorSeen(3, b"\x09" * 32)])
        self.frames.append(unsigned(leg, len(self.frames), previous, runs, anchor))
        self.time_ms += 40 * 900_000


def a_truck(seed: int) -> Truck:
    truck = Truck(seed)
    truck.idle()
    for frames in (3, 1, 4):
        truck.leg(frames)
    truck.idle()
    return truck


def takes(data: bytes) -> bool:
    try:
        decode_frame(data)
    except LadingError:
        return False
    return True


def head_of(frame: Frame) -> fast.Head:
    return fast.Head(frame.header.encoded, b"".join(run.record.encode() for run in frame.runs))


@pytest.mark.parametrize("seed", range(8))
def test_a_sound_chain_is_taken_in_any_order_and_cut(seed: int) -> None:
    """Every frame of a sound chain is whole and follows: shuffled, or in two calls with the head between them."""
    truck = a_truck(seed)
    frames = list(truck.frames)
    cut = seed + 1
    random.Random(seed).shuffle(frames)
    checked = fast.check_frames([frame.encode() for frame in frames], (), truck.limits)
    assert checked.whole.all()
    assert checked.follows.all()
    assert [row.tobytes() for row in checked.hashes] == [frame.header.hash for frame in frames]
    assert [row.tobytes() for row in checked.digests] == [sha256(frame.header.signed) for frame in frames]
    first = fast.check_frames([frame.encode() for frame in truck.frames[:cut]], (), truck.limits)
    assert first.head(cut - 1) == head_of(truck.frames[cut - 1])
    rest = fast.check_frames(
        [frame.encode() for frame in truck.frames[cut:]], [first.head(cut - 1)], truck.limits
    )
    assert rest.follows.all()


def test_columns_are_the_readings() -> None:
    """Columns, records, ids and signatures are the decoded frames', frame by frame and run by run."""
    frames = [frame for seed in range(4) for frame in a_truck(seed).frames]
    checked = fast.check_frames([frame.encode() for frame in frames])
    for i, frame in enumerate(frames):
        assert checked.gateway_id(i) == GATEWAY
        assert checked.headers[i].tobytes() == frame.header.encoded
        assert checked.signatures[i].tobytes() == frame.signature
        assert checked.head(i) == head_of(frame)
        at = checked.readings(i)
        found = zip(*(column[at].tolist() for column in checked.columns), strict=True)
        wanted = [(run.record.channel, *reading) for run in frame.runs for reading in run.readings]
        assert list(found) == wanted


def test_broken_frames_do_not_touch_their_neighbours() -> None:
    """Whatever stands between sound frames, they are judged as if alone."""
    truck = a_truck(1)
    sound = [frame.encode() for frame in truck.frames]
    junk = [b"", b"\x82", sound[1][:-1], sound[2] + b"\x00", bytes(5000), sound[3][:400]]
    mixed = [item for pair in zip(sound, junk * 2, strict=False) for item in pair]
    checked = fast.check_frames(mixed, (), truck.limits)
    assert checked.whole.tolist() == [item in sound for item in mixed]
    assert checked.follows.tolist() == checked.whole.tolist()


def test_nothing_gives_nothing() -> None:
    """No frames, no rows."""
    assert fast.check_frames([]).whole.shape == (0,)


@pytest.mark.parametrize("seed", [0, 3])
def test_every_byte_changed_cut_or_added_agrees_with_the_decoder(seed: int) -> None:
    """Each byte of some frames changed in three ways, each prefix and a byte more: whole is what decode_frame takes."""
    for frame in a_truck(seed).frames[:4]:
        data = frame.encode()
        variants = [data + b"\x00", data + b"\xf6", *(data[:end] for end in range(len(data)))]
        for at in range(len(data)):
            for change in (0x01, 0x80, 0xFF):
                variants.append(data[:at] + bytes([data[at] ^ change]) + data[at + 1 :])
        whole = fast.check_frames(variants).whole
        assert whole.tolist() == [takes(variant) for variant in variants]


def resealed(frame: Frame, index: int, record: bytes) -> bytes:
    """The wire bytes with one record replaced and the runs root made to fit, so that deeper checks are reached."""
    records = [run.record.encode() for run in frame.runs]
    data = frame.encode().replace(records[index], record)
    records[index] = record
    return data.replace(frame.header.runs_root, root([leaf_hash(record) for record in records]))


@pytest.mark.parametrize("seed", range(4))
def test_every_record_byte_changed_under_a_fitting_root_agrees(seed: int) -> None:
    """Records changed under a root that fits: whole is the decoder's answer, and only the true totals follow."""
    truck = a_truck(seed)
    for number, frame in enumerate(truck.frames[:5]):
        for index, run in enumerate(frame.runs[:2]):
            record = run.record.encode()
            variants = []
            for at in range(1, RECORD_BYTES):
                for change in (0x01, 0x7F, 0x80):
                    mutant = record[:at] + bytes([record[at] ^ change]) + record[at + 1 :]
                    variants.append(resealed(frame, index, mutant))
            heads = [head_of(truck.frames[number - 1])] if number else []
            checked = fast.check_frames(variants, heads, truck.limits)
            assert checked.whole.tolist() == [takes(variant) for variant in variants]
            # Nothing binds the next sequence number of a channel that has no reading yet.
            free = frame.header.leg_state == IDLE or run.record.totals == EMPTY
            assert free or not checked.follows.any()


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_random_fields_agree_with_the_decoder(data: st.DataObject) -> None:
    """Fields set to chosen edges under roots that fit: whole is the decoder's answer."""
    frame = data.draw(st.sampled_from(a_truck(data.draw(st.integers(0, 5))).frames))
    if not frame.runs:
        return
    edges = st.sampled_from([0, 1, 2, 5, 2**16 - 1, 2**31, 2**32 - 1, 2**63, 253402300799999, 2**64 - 1])
    index = data.draw(st.integers(0, len(frame.runs) - 1))
    run = frame.runs[index]
    record = run.record
    names = data.draw(st.lists(st.sampled_from(["first_seq", "first_time_ms", "last_time_ms"]), max_size=2))
    fields = {name: data.draw(edges) for name in names}
    totals_names = [name for name in Totals.__slots__ if name.endswith(("seq", "ms"))]
    changed = data.draw(st.lists(st.sampled_from(totals_names), max_size=3))
    totals = replace(record.totals, **{name: data.draw(edges) for name in changed})
    shift_seq = fields.get("first_seq", record.first_seq) - record.first_seq
    shift_ms = fields.get("first_time_ms", record.first_time_ms) - record.first_time_ms
    readings = [r._replace(seq=r.seq + shift_seq, time_ms=r.time_ms + shift_ms) for r in run.readings]
    if all(reading.seq < 2**64 > reading.time_ms for reading in readings):
        fields["readings_root"] = readings_root(run.salt, record.channel, readings)
    variant = resealed(frame, index, replace(record, **fields, totals=totals).encode())
    assert fast.check_frames([variant]).whole.tolist() == [takes(variant)]


def calmed(randomness: random.Random, limits: ChannelLimits, reading: Reading) -> Reading:
    """The reading made valid and put inside the limits, at their edges if it was beyond."""
    value = min(max(reading.value, limits.lower), limits.upper)
    return reading._replace(value=value, flags=randomness.choice([0, 4]))


@settings(deadline=None, max_examples=250)
@given(st.integers(0, 2**32), st.integers(0, 60), st.integers(0, 60))
def test_the_fold_is_the_twins(seed: int, before: int, count: int) -> None:
    """Random limits, past and readings: the pure fold's totals follow, and one changed field does not."""
    randomness = random.Random(seed)
    limits = random_limits(randomness, [3])
    channel = limits.channels[0]
    leg = LegRef(OPEN, b"\x01" * 32, limits.hash)
    earlier = random_readings(randomness, 9, BEGIN_MS, before)
    later = random_readings(randomness, 9 + before, BEGIN_MS + 10**8, count)
    if randomness.random() < 0.5:  # a calm stretch, after any past
        later = [calmed(randomness, channel, reading) for reading in later]
        earlier[-1:] = [calmed(randomness, channel, reading) for reading in earlier[-1:]]
    past = fold(EMPTY, channel, earlier)
    first = unsigned(leg, 0, ZERO_HASH, [make_run(3, channel.quantity, 9, b"\x05" * 16, earlier, past)])
    totals = fold(past, channel, later)
    run = make_run(3, channel.quantity, 9 + before, b"\x06" * 16, later, totals)
    second = unsigned(leg, 1, first.header.hash, [run])
    checked = fast.check_frames([first.encode(), second.encode()], (), {limits.hash: limits.encode()})
    assert checked.follows.tolist() == [True, True]
    name = randomness.choice(Totals.__slots__)
    false = replace(totals, **{name: getattr(totals, name) ^ 1})
    wrong = unsigned(leg, 1, first.header.hash, [replace(run, record=replace(run.record, totals=false))])
    data = wrong.encode()
    checked = fast.check_frames([first.encode(), data], (), {limits.hash: limits.encode()})
    assert not checked.follows[1]


def test_what_does_not_follow() -> None:
    """A gap, another gateway's past, unknown limits, other channels, a leg left open or reopened: looked at closer."""
    truck = a_truck(2)
    wire = [frame.encode() for frame in truck.frames]
    assert truck.frames[1].header.leg_state == OPEN
    assert not fast.check_frames([wire[2]], (), truck.limits).follows[0]
    assert not fast.check_frames([wire[2]], [head_of(truck.frames[0])], truck.limits).follows[0]
    assert not fast.check_frames([wire[2]], [head_of(truck.frames[1])], {}).follows[0]
    assert fast.check_frames([wire[2]], [head_of(truck.frames[1])], truck.limits).follows[0]
    opened, closed = truck.frames[2], truck.frames[3]
    leg = LegRef(OPEN, closed.header.leg_id, closed.header.limits_hash)
    for past, leg_after in ((opened, NO_LEG), (opened, leg._replace(leg_id=b"\x99" * 32)), (closed, leg)):
        runs = closed.runs if leg_after.state else ()
        after = unsigned(leg_after, past.header.frame_seq + 1, past.header.hash, runs)
        checked = fast.check_frames([after.encode()], [head_of(past)], truck.limits)
        assert (checked.whole[0], checked.follows[0]) == (True, False)
    other = replace(truck.frames[1].header, gateway_id=b"\x78" * 32)
    after = replace(truck.frames[2].header, previous_hash=other.hash)
    stolen = Frame(after, truck.frames[2].signature, truck.frames[2].runs)
    head = fast.Head(other.encoded, head_of(truck.frames[1]).records)
    assert not fast.check_frames([stolen.encode()], [head], truck.limits).follows[0]


def test_hashes_and_times_without_the_check() -> None:
    """What batches need of frames is what the decoded frames say: hash, and the span of their readings."""
    frames = [frame for seed in range(4) for frame in a_truck(seed).frames]
    walked = fast.walk_frames([frame.encode() for frame in frames])
    assert [row.tobytes() for row in fast.frame_hashes(walked)] == [frame.header.hash for frame in frames]
    times = [
        [r.time_ms for run in frame.runs for r in run.readings] or [frame.header.sent_ms] for frame in frames
    ]
    first_ms, last_ms = fast.event_times(walked)
    assert first_ms.tolist() == [min(found) for found in times]
    assert last_ms.tolist() == [max(found) for found in times]
