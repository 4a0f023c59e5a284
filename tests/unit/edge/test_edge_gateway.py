"""Promises of a gateway: no reading lost or twice, one unbroken chain, orders obeyed only from who may give them."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.readings import NewReading
from lading.assignment import decode_payload
from lading.batch import AnchorRecord
from lading.cose import KeySigner, decode_sign1
from lading.errors import LadingError, MalformedError, RejectedError
from lading.frame import CLOSED, IDLE, OPEN
from lading.limits import ChannelLimits, Limits
from lading.quantities import CLOCK, FAULT, Quantity
from lading.totals import EMPTY
from lading.tree import EMPTY_ROOT
from tests.gateways import KEY, T0_MS, check_chain, end_order, open_gateway, order, waiting_frames


def test_a_leg_from_begin_to_closing_frame(tmp_path: Path) -> None:
    """Idle frame, open frames with every channel, closing frame; totals as worked out by hand."""
    gateway = open_gateway(tmp_path)
    gateway.take(1, T0_MS, 5_000)
    assert gateway.obey(order(1), T0_MS + 1_000)
    gateway.take(1, T0_MS + 60_000, 5_000)
    gateway.cut(T0_MS + 61_000)
    gateway.take_all([NewReading(1, T0_MS + 120_000, 9_000), NewReading(2, T0_MS + 120_000, 1_000)])
    gateway.take(1, T0_MS + 180_000, 7_000)
    assert gateway.obey(end_order(2), T0_MS + 200_000)
    frames = waiting_frames(gateway)
    assert [frame.header.leg_state for frame in frames] == [IDLE, OPEN, CLOSED]
    assert [[run.record.channel for run in frame.runs] for frame in frames] == [[1], [1, 2], [1, 2]]
    assert frames[1].runs[1].record.readings_root == EMPTY_ROOT
    readings = check_chain(frames)
    assert [reading.value for reading in readings[1]] == [5_000, 5_000, 9_000, 7_000]
    closing = frames[2].runs[0].record.totals
    assert (closing.count, closing.known_ms, closing.above_ms, closing.max_value) == (
        3,
        120_000,
        60_000,
        9_000,
    )
    assert frames[0].runs[0].record.totals == EMPTY
    assert frames[2].header.sent_ms == T0_MS + 200_000
    assert gateway.leg is None


def test_begin_while_a_leg_is_open_closes_that_leg_first(tmp_path: Path) -> None:
    """The first leg's closing frame comes before the new leg's first, with what was waiting."""
    gateway = open_gateway(tmp_path)
    gateway.obey(order(1), T0_MS)
    gateway.take(1, T0_MS + 1, 5_000)
    gateway.obey(order(2, reference="leg-2"), T0_MS + 2)
    gateway.take(1, T0_MS + 3, 5_000)
    gateway.cut(T0_MS + 4)
    first, second = waiting_frames(gateway)
    assert (first.header.leg_state, second.header.leg_state) == (CLOSED, OPEN)
    assert first.header.leg_id != second.header.leg_id
    assert second.runs[0].record.totals.count == 1
    check_chain([first, second])


def test_readings_and_their_frame_in_one_transaction(tmp_path: Path) -> None:
    """Taken and cut at once: the frame holds them, what is refused is named, and a reopened gateway goes on."""
    gateway = open_gateway(tmp_path)
    gateway.obey(order(1), T0_MS)
    gateway.take(1, T0_MS, 4_000)
    refused = gateway.take_all([NewReading(1, T0_MS + 1, 1), NewReading(9, T0_MS, 1)], cut_ms=T0_MS + 2)
    assert [r.error.code for r in refused] == ["channel_unknown"]
    assert (gateway.pending_count, gateway.frame_seq) == (0, 1)
    gateway.outbox.close()
    again = open_gateway(tmp_path)
    again.take_all([NewReading(1, T0_MS + 3, 1)], cut_ms=T0_MS + 4)
    assert [frame.reading_count for frame in waiting_frames(again)] == [2, 1]
    check_chain(waiting_frames(again))


def test_a_leg_may_be_silent(tmp_path: Path) -> None:
    """Begin, a frame without a reading, end: empty runs with empty totals, all decodable."""
    gateway = open_gateway(tmp_path)
    assert gateway.cut(T0_MS) is None
    gateway.obey(order(1), T0_MS)
    gateway.cut(T0_MS + 1)
    gateway.obey(end_order(2), T0_MS + 2)
    frames = waiting_frames(gateway)
    assert [run.record.totals for frame in frames for run in frame.runs] == [EMPTY] * 4


def test_a_closed_leg_is_not_begun_again(tmp_path: Path) -> None:
    """One leg has one closing frame, whoever gives orders: after a restart, and where the next leg closed it."""
    gateway = open_gateway(tmp_path)
    gateway.obey(order(1), T0_MS)
    gateway.obey(order(2, reference="leg-2"), T0_MS + 1)
    gateway.obey(end_order(3, "leg-2"), T0_MS + 2)
    gateway.outbox.close()
    again = open_gateway(tmp_path)
    for message in (order(4), order(4, reference="leg-2")):
        with pytest.raises(RejectedError, match=r"order_leg.* was closed before"):
            again.obey(message, T0_MS + 3)
    assert (again.order_seq, again.leg, again.frame_seq) == (3, None, 2)
    assert again.obey(order(4, reference="leg-3"), T0_MS + 4)


def test_the_oldest_closed_leg_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a gateway remembers is bounded: the newest that it closed."""
    monkeypatch.setattr("edge.outbox.CLOSED_LEGS_MAX", 2)
    gateway = open_gateway(tmp_path)
    for seq in range(1, 5):
        gateway.obey(order(seq, reference=f"leg-{seq}"), T0_MS + seq)
    known = [
        gateway.outbox.has_closed(decode_payload(decode_sign1(order(9, reference=f"leg-{seq}"))[0]).leg_id)
        for seq in range(1, 5)
    ]
    assert known == [False, True, True, False]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (order(2, signer=KeySigner.from_seed(b"mallory")), "signature"),
        (order(2, gateway=bytes(32)), "order_gateway"),
        (order(2, tenant="other"), "order_tenant"),
        (order(1, reference="another"), "order_old"),
        (end_order(2, "not-this-leg"), "order_leg"),
        (order(2, limits=Limits((ChannelLimits(1, Quantity.HUMIDITY),))), "order_quantity"),
        (order(2)[:-1], "envelope"),
        (order(2) + b"\0", "envelope"),
        (b"", "envelope"),
        (order(2)[:-70] + bytes([order(2)[-70] ^ 1]) + order(2)[-69:], "signature"),
    ],
)
def test_orders_that_are_not_obeyed(tmp_path: Path, message: bytes, code: str) -> None:
    """Unsigned, changed, older, for another gateway or tenant, for another leg: refused by name, nothing changes."""
    gateway = open_gateway(tmp_path)
    gateway.obey(order(1), T0_MS)
    before = (gateway.order_seq, gateway.frame_seq, gateway.leg)
    with pytest.raises((RejectedError, MalformedError)) as caught:
        gateway.obey(message, T0_MS)
    assert caught.value.code == code
    assert (gateway.order_seq, gateway.frame_seq, gateway.leg) == before


def test_an_order_that_comes_again_changes_nothing(tmp_path: Path) -> None:
    """A retained order is delivered with every connection, after a restart too; it counts once."""
    gateway = open_gateway(tmp_path)
    assert gateway.obey(order(3), T0_MS)
    assert not gateway.obey(order(3), T0_MS)
    gateway.outbox.close()
    again = open_gateway(tmp_path)
    assert not again.obey(order(3), T0_MS)
    with pytest.raises(RejectedError, match="order_old"):
        again.obey(order(2), T0_MS)
    assert again.leg is not None
    assert again.frame_seq == 0


def test_a_begin_sent_again_does_not_cut_its_open_leg_in_two(tmp_path: Path) -> None:
    """An order lost and given anew, under a new number, is for the leg that is open: a closing frame would end it for
    good, and ingest refuses what a gateway signs for a closed leg."""
    gateway = open_gateway(tmp_path)
    gateway.obey(order(1), T0_MS)
    gateway.take(1, T0_MS + 1, 5_000)
    with pytest.raises(RejectedError, match="order_leg"):
        gateway.obey(order(2), T0_MS + 2)
    gateway.take(1, T0_MS + 3, 5_000)
    assert gateway.obey(end_order(3), T0_MS + 4)
    (closing,) = waiting_frames(gateway)
    assert closing.header.leg_state == CLOSED
    assert closing.runs[0].record.totals.count == 2


@pytest.mark.parametrize(
    ("reading", "code"),
    [
        (NewReading(9, T0_MS, 1), "channel_unknown"),
        (NewReading(1, -1, 1), "reading_time"),
        (NewReading(1, 253402300800000, 1), "reading_time"),
        (NewReading(1, T0_MS, 2**31), "reading_value"),
        (NewReading(1, T0_MS, -(2**31) - 1), "reading_value"),
        (NewReading(1, T0_MS, 1, 8), "reading_flags"),
    ],
)
def test_readings_that_are_not_taken(tmp_path: Path, reading: NewReading, code: str) -> None:
    """Outside what a frame can say: refused by name, by place, and the others of the call are taken."""
    gateway = open_gateway(tmp_path)
    refused = gateway.take_all([NewReading(1, T0_MS, 1), reading, NewReading(2, T0_MS, 0)])
    assert [(r.index, r.error.code) for r in refused] == [(1, code)]
    assert gateway.pending_count == 2
    with pytest.raises(LadingError):
        gateway.take(*reading)
    assert gateway.refused_count == 2


def test_a_channel_outside_the_legs_limits_is_refused(tmp_path: Path) -> None:
    """A leg's frames carry exactly its limits' channels, so other readings have no place in them."""
    gateway = open_gateway(tmp_path)
    gateway.obey(order(1, limits=Limits((ChannelLimits(1, Quantity.TEMPERATURE),))), T0_MS)
    with pytest.raises(RejectedError, match="channel_leg"):
        gateway.take(2, T0_MS, 0)


def test_a_clock_behind_its_past_is_flagged(tmp_path: Path) -> None:
    """Times keep increasing by 1 ms under the flag CLOCK, other flags stay, until the clock is ahead again."""
    gateway = open_gateway(tmp_path)
    gateway.obey(order(1), T0_MS)
    for time_ms, flags in [(1_000, 0), (400, FAULT), (1_000, 0), (1_002, 0), (5_000, 0)]:
        gateway.take(1, T0_MS + time_ms, 4_000, flags)
    gateway.cut(T0_MS + 6_000)
    (frame,) = waiting_frames(gateway)
    found = [(r.time_ms - T0_MS, r.flags) for r in frame.runs[0].readings]
    assert found == [(1_000, 0), (1_001, FAULT | CLOCK), (1_002, CLOCK), (1_003, CLOCK), (5_000, 0)]
    totals = frame.runs[0].record.totals
    assert (totals.known_ms, totals.unknown_ms) == (1, 3_999)
    check_chain([frame])


def test_an_unset_clock_is_flagged_from_the_first_reading(tmp_path: Path) -> None:
    """Below the floor, times are placeholders from when the leg's order was issued; a set clock is taken again."""
    gateway = open_gateway(tmp_path, clock_floor_ms=1_577_836_800_000)
    gateway.obey(order(1), 946_684_800_000)
    gateway.take(1, 946_684_805_000, 4_000)
    gateway.take(1, 946_684_865_000, 4_000)
    gateway.take(1, T0_MS + 90_000, 4_000)
    frame = gateway.cut(T0_MS + 90_000)
    assert frame is not None
    found = [(r.time_ms - T0_MS, r.flags) for r in frame.runs[0].readings]
    assert found == [(0, CLOCK), (1, CLOCK), (90_000, 0)]
    assert frame.runs[0].record.totals.unknown_ms == 90_000


def test_frames_are_cut_before_they_overflow(tmp_path: Path) -> None:
    """A run spans at most 2^32 − 1 ms and a frame holds 65 536 readings: one is cut when the next does not fit."""
    gateway = open_gateway(tmp_path)
    gateway.obey(order(1), T0_MS)
    gateway.take(1, T0_MS, 4_000)
    gateway.take(1, T0_MS + 2**32 - 1, 4_000)
    gateway.take(1, T0_MS + 2**32, 4_000)
    assert gateway.frame_seq == 1
    start_ms = T0_MS + 2**32 + 1
    assert not gateway.take_all([NewReading(1, start_ms + k, 4_000) for k in range(65_536)])
    gateway.cut(start_ms + 10**6)
    frames = waiting_frames(gateway)
    assert [frame.reading_count for frame in frames] == [2, 65_536, 1]
    assert len(check_chain(frames)[1]) == 65_539


def anchor(interval: int, block: int, time_ms: int, state: str = "mined") -> bytes:
    pending = state == "pending"
    return AnchorRecord(
        interval,
        bytes(32),
        1,
        31337,
        bytes(20),
        bytes(32),
        0 if pending else block,
        bytes(32) if pending else bytes([block]) * 32,
        0 if pending else time_ms,
        0 if pending else 50_000,
        state,  # type: ignore[arg-type]
    ).encode()


def test_the_newest_anchor_seen_is_in_the_header(tmp_path: Path) -> None:
    """A mined anchor is named; not an older or pending one, nor one whose block is ahead of the gateway's clock."""
    gateway = open_gateway(tmp_path)
    gateway.obey(order(1), T0_MS)
    assert not gateway.see_anchor(anchor(4, 0, 0, "pending"))
    assert gateway.see_anchor(anchor(5, 7, T0_MS + 10))
    assert not gateway.see_anchor(anchor(4, 6, T0_MS + 5))
    with pytest.raises(MalformedError):
        gateway.see_anchor(b"\x80")
    with pytest.raises(RejectedError, match="without a hash"):  # no frame could name it
        gateway.see_anchor(anchor(6, 0, T0_MS + 5))
    early, late = gateway.cut(T0_MS + 9), gateway.cut(T0_MS + 10)
    assert early is not None
    assert late is not None
    assert (early.header.anchor_interval, early.header.anchor_block_hash) == (0, bytes(32))
    assert (late.header.anchor_interval, late.header.anchor_block_hash) == (5, bytes([7]) * 32)
    gateway.outbox.close()
    assert open_gateway(tmp_path).anchor_interval == 5


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("take"),
            st.integers(1, 2),
            st.integers(-20_000, 200_000),
            st.integers(-5_000, 15_000),
            st.sampled_from([0, FAULT]),
        ),
        st.tuples(st.sampled_from(["cut", "begin", "end", "reopen"])),
    ),
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_any_course_of_events_gives_one_unbroken_chain(
    tmp_path_factory: pytest.TempPathFactory, steps
) -> None:
    """Takes, cuts, orders and restarts in any order: every reading taken is in one frame, and every total refolds."""
    folder = tmp_path_factory.mktemp("outbox")
    gateway, now_ms, seq, taken = open_gateway(folder), T0_MS, 0, 0
    for step in steps:
        if step[0] == "take":
            now_ms = max(0, now_ms + step[2])
            gateway.take(step[1], now_ms, step[3], step[4])
            taken += 1
        elif step[0] == "cut":
            gateway.cut(now_ms)
        elif step[0] == "begin":
            seq += 1
            gateway.obey(order(seq, reference=f"leg-{seq}"), now_ms)
        elif step[0] == "end" and gateway.leg:
            seq += 1
            gateway.obey(end_order(seq, gateway.leg.order.reference), now_ms)
        elif step[0] == "reopen":
            gateway.outbox.close()
            gateway = open_gateway(folder)
    gateway.cut(now_ms)
    readings = check_chain(waiting_frames(gateway))
    assert sum(map(len, readings.values())) == taken
    gateway.outbox.close()


@settings(max_examples=25, deadline=None)
@given(
    values=st.lists(st.integers(-5_000, 15_000), min_size=1, max_size=40), cuts=st.sets(st.integers(0, 39))
)
def test_cutting_changes_no_total(
    tmp_path_factory: pytest.TempPathFactory, values: list[int], cuts: set[int]
) -> None:
    """The closing frame's totals are the same however the leg was cut into frames."""
    closing = []
    for where in (cuts, set()):
        gateway = open_gateway(tmp_path_factory.mktemp("outbox"))
        gateway.obey(order(1), T0_MS)
        for k, value in enumerate(values):
            gateway.take(1, T0_MS + 50_000 * k, value)
            if k in where:
                gateway.cut(T0_MS + 50_000 * k)
        gateway.obey(end_order(2), T0_MS + 10**7)
        closing.append([run.record.totals for run in waiting_frames(gateway)[-1].runs])
        gateway.outbox.close()
    assert closing[0] == closing[1]


def test_the_gateway_is_the_keys(tmp_path: Path) -> None:
    """The id in every header is the hash of the signer's key."""
    gateway = open_gateway(tmp_path)
    gateway.take(1, T0_MS, 1)
    frame = gateway.cut(T0_MS)
    assert frame is not None
    assert frame.header.gateway_id == KEY.public.gateway_id == gateway.gateway_id
