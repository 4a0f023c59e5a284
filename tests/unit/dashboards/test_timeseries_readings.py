"""Readings as lines: the kernel says what the twin says, digit by digit, however they are cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboards.timeseries.names import Names, OfLeg
from dashboards.timeseries.readings import Block, Points, Run, Window, position_lines
from lading.fields import I32_MAX, I32_MIN, TIME_MS_MAX
from lading.gateways import GatewayEntry
from lading.log import Record
from lading.quantities import Quantity
from lading.totals import Reading
from tests import naive
from tests.legs import GATEWAY, TENANT
from tests.series import T0_MS, a_leg

EVER = Window(0, TIME_MS_MAX)
VALUES = st.integers(I32_MIN, I32_MAX) | st.sampled_from(
    [0, -1, 1, 999, -999, 1_000, -1_000, 10, -50, I32_MIN]
)
READINGS = st.lists(
    st.builds(Reading, st.just(0), st.integers(0, TIME_MS_MAX), VALUES, st.integers(0, 7)), max_size=30
)


class Fleet:
    """A gateway list of one."""

    def find(self, gateway_id: bytes) -> GatewayEntry | None:
        is_known = gateway_id == GATEWAY.public.gateway_id
        return GatewayEntry(GATEWAY.public, TENANT, name="truck 1") if is_known else None


def names(reference: str | None = None) -> Names:
    return Names(Fleet(), {"truck 1": {1: "air"}}, lambda leg: reference)


def block_of(runs: list[tuple[Run, list[Reading]]]) -> Block:
    readings = [reading for _, some in runs for reading in some]
    starts = np.cumsum([0, *(len(some) for _, some in runs)])
    return Block(
        [run for run, _ in runs],
        starts.astype(np.int64),
        np.array([r.time_ms for r in readings], np.int64),
        np.array([r.value for r in readings], np.int32),
        np.array([r.flags for r in readings], np.uint16),
    )


@settings(deadline=None)  # the first call compiles
@given(st.lists(READINGS, max_size=5), st.integers(1, 7))
def test_the_kernel_is_its_twin(runs: list[list[Reading]], lines_a_chunk: int) -> None:
    """Any value, time and flags, cut into requests of any size."""
    of = OfLeg("demo", "truck 1", "leg")
    block = block_of([(Run(of, i, 1, 0), readings) for i, readings in enumerate(runs)])
    chunks = list(Points(names(), lines_a_chunk).of_block(block, EVER))
    expected = [
        naive.reading_line(
            "reading,tenant=demo,gateway=truck\\ 1,leg=leg,"
            f"channel={i}{',part=air' if i == 1 else ''},quantity=temperature",
            reading,
        )
        for i, readings in enumerate(runs)
        for reading in readings
    ]
    assert b"".join(chunk.body for chunk in chunks).decode() == "".join(expected)
    assert [chunk.points for chunk in chunks] == [
        min(lines_a_chunk, len(expected) - at) for at in range(0, len(expected), lines_a_chunk)
    ]
    assert all(chunk.body.count(b"\n") == chunk.points for chunk in chunks)


def test_times_that_cannot_be_are_left_out_and_counted() -> None:
    """A reading before 2000, or more than a day after its frame came, is no point."""
    readings = [
        Reading(0, 946_684_799_999, 1),
        Reading(1, 946_684_800_000, 2),
        Reading(2, T0_MS + 86_400_001, 3),
    ]
    points = Points(names())
    chunks = list(points.of_block(block_of([(Run(OfLeg("", "g"), 1, 1, 0), readings)]), Window.until(T0_MS)))
    assert [chunk.body.decode().split(" ")[1] for chunk in chunks] == ["value=0.002"]
    assert points.left_out == 2


def test_a_frame_that_is_none_is_passed_over() -> None:
    """Among good frames, bytes that are no frame cost nothing but themselves."""
    leg = a_leg()
    values = [leg.frames[0].encode(), b"no frame", leg.frames[1].encode()]
    records = [Record(0, at, b"", value, T0_MS + 86_400_000) for at, value in enumerate(values)]
    lines = b"".join(chunk.body for chunk in Points(names()).of_frames(records)).decode().splitlines()
    expected = sum(frame.reading_count for frame in leg.frames[:2])
    assert sum(line.startswith("reading,") for line in lines) == expected
    assert sum(line.startswith("gateway,") for line in lines) == 2


@pytest.mark.parametrize(
    ("reference", "leg"), [("PO 77", "PO\\ 77"), (None, a_leg().begin.leg_id.hex()[:16])]
)
def test_a_leg_goes_by_its_reference_or_its_id(reference: str | None, leg: str) -> None:
    """The reference where the order is known, else the first 16 digits of the id."""
    record = Record(0, 0, b"", a_leg().frames[0].encode(), T0_MS + 86_400_000)
    (first, *_) = Points(names(reference)).of_frames([record])
    assert first.body.startswith(
        f"reading,tenant=demo,gateway=truck\\ 1,leg={leg},channel=1,part=air,".encode()
    )


def test_a_position_needs_both_valid_at_one_time() -> None:
    """Of another time, flagged, or of another frame's runs: no position."""
    north = [Reading(0, T0_MS, 1), Reading(1, T0_MS + 1, 2, 1), Reading(2, T0_MS + 2, 3)]
    east = [Reading(0, T0_MS, -1), Reading(1, T0_MS + 1, -2), Reading(2, T0_MS + 3, -3)]
    of = OfLeg("demo", "g")
    runs = [(Run(of, 7, Quantity.LATITUDE, 0), north), (Run(of, 8, Quantity.LONGITUDE, 0), east)]
    lines = list(position_lines(block_of(runs), EVER))
    assert lines == [
        b"position,tenant=demo,gateway=g latitude=1e-06,longitude=-1e-06 %d\n" % (T0_MS * 1_000_000)
    ]
    apart = [runs[0], (runs[1][0]._replace(frame=1), east)]
    assert not list(position_lines(block_of(apart), EVER))
