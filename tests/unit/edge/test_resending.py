"""Which frames are sent again, and when: from receipts and time alone."""

from itertools import pairwise
from pathlib import Path

import pytest

from edge.outbox import Outbox
from edge.resending import PAUSE_S_MAX, Resending
from tests.gateways import T0_MS, open_gateway


class Time:
    """Seconds, as the test says."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    """Ten frames, all of which the broker has taken."""
    gateway = open_gateway(tmp_path)
    for n in range(10):
        gateway.take(1, T0_MS + 1_000 * n, 4_000)
        gateway.cut(T0_MS + 1_000 * n)
    return gateway.outbox


def again(resending: Resending, sent_seq: int = 9) -> list[int]:
    """Numbers that are sent again now."""
    resending.look(sent_seq)
    found = []
    while chosen := resending.frames(3):
        for seq, _ in chosen:
            found.append(seq)
            resending.sent(seq)
    return found


def receive(resending: Resending, outbox: Outbox, *frame_seqs: int) -> None:
    """Receipts came."""
    outbox.remove(frame_seqs)
    for seq in frame_seqs:
        resending.hear(seq)


def test_what_a_later_receipt_overtook_is_sent_again(outbox: Outbox, time: Time) -> None:
    """After a pause, and only what is below; what has its receipt by then is not."""
    resending = Resending(outbox, time)
    assert again(resending) == []
    receive(resending, outbox, 0, 1, 6)
    time.now_s = 5.0
    assert again(resending) == [], "it may only be late"
    receive(resending, outbox, 2)
    time.now_s = 9.9
    assert again(resending) == []
    time.now_s = 10.0
    assert again(resending) == [3, 4, 5]
    receive(resending, outbox, 3, 4, 5)
    time.now_s = 15.0
    assert again(resending) == []


def test_without_any_receipt_one_frame_probes(outbox: Outbox, time: Time) -> None:
    """The newest that was sent, after pauses that double up to their bound."""
    resending = Resending(outbox, time)
    assert again(resending, 7) == []
    times = []
    while time.now_s < 5_000:
        time.now_s += 1
        if found := again(resending, 7):
            assert found == [7]
            times.append(time.now_s)
    gaps = [b - a for a, b in pairwise(times)]
    assert gaps[:4] == [10.0, 20.0, 40.0, 80.0]
    assert max(gaps) == PAUSE_S_MAX


def test_a_new_connection_is_asked_soon(outbox: Outbox, time: Time) -> None:
    """The broker may have been killed: the pause starts anew."""
    resending = Resending(outbox, time)
    for _ in range(5_000):
        time.now_s += 1
        again(resending)
    resending.begin()
    time.now_s += 4.9
    assert again(resending) == []
    time.now_s += 10.2
    assert again(resending) == [9]


def test_what_was_never_sent_is_not_sent_again(outbox: Outbox, time: Time) -> None:
    """Nor is anything when all have their receipts."""
    resending = Resending(outbox, time)
    for _ in range(100):
        time.now_s += 1
        assert again(resending, -1) == []
    receive(resending, outbox, *range(10))
    for _ in range(100):
        time.now_s += 1
        assert again(resending) == []
