"""Promises of the simulated truck and cold room: physics first, then determinism, then the stories."""

import random
import statistics
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from edge.simulation import (
    Bump,
    Channel,
    ClockStep,
    ClockUnset,
    ColdRoom,
    CompressorFailure,
    DoorLeftOpen,
    Offline,
    Reefer,
    SensorFault,
    Stories,
)
from edge.simulation.box import STEP_S, Box, Outside
from edge.simulation.coldroom import coldroom_design
from edge.simulation.reefer import reefer_design
from edge.simulation.route import ROTTERDAM_MILAN, distance_km, itinerary
from edge.simulation.thermal import Masses, saturation_pa
from lading.quantities import FAULT

BEGIN_MS = 1_750_032_000_000  # Monday 2025-06-16 00:00 UTC
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000


def test_propagator_is_the_limit_of_small_euler_steps() -> None:
    """The exact step agrees with the differential equation integrated naively in milliseconds."""
    masses = Masses(air_j_k=6e5, load_j_k=1.2e7, wall_w_k=75.0, coupling_w_k=900.0)
    air, load, dt = 1.0, 0.3, 0.001
    for _ in range(10_000):
        d_air = (-75.0 * air + 900.0 * (load - air)) / 6e5
        d_load = 900.0 * (air - load) / 1.2e7
        air, load = air + dt * d_air, load + dt * d_load
    aa, al, la, ll = masses.propagator(10.0)
    assert aa * 1.0 + al * 0.3 == pytest.approx(air, abs=1e-7)
    assert la * 1.0 + ll * 0.3 == pytest.approx(load, abs=1e-7)


def test_tightly_coupled_masses_have_one_time_constant() -> None:
    """1000 + 9000 J/K behind 10 W/K: by hand, a distance from ambient falls to 1/e in 1000 s."""
    masses = Masses(air_j_k=1000.0, load_j_k=9000.0, wall_w_k=10.0, coupling_w_k=1e6)
    aa, al, _, _ = masses.propagator(1000.0)
    assert aa + al == pytest.approx(0.36788, abs=2e-4)
    assert 1 / masses.rates_s()[0] == pytest.approx(1000.0, rel=1e-3)


def test_saturation_pressure_of_water() -> None:
    """Known values: 611.2 Pa at 0 °C, 2339 Pa at 20 °C (steam tables, within half a per cent)."""
    assert saturation_pa(0.0) == pytest.approx(611.2)
    assert saturation_pa(20.0) == pytest.approx(2339, rel=0.005)


def run(
    box: Box, hours: float, celsius: float, *, able: bool = True, door_open: bool = False
) -> Iterator[Box]:
    for _ in range(round(hours * 3600 / STEP_S)):
        box.step(Outside(celsius, 0.6 * saturation_pa(celsius), door_open, able))
        yield box


def test_heat_flows_the_right_way() -> None:
    """With the compressor on the air gets colder; off, in a warmer surrounding, warmer; at every single step."""
    box = Box(reefer_design())
    before, seen = box.air_c, set()
    for _ in run(box, 5.0, 25.0):
        assert not box.defrosting
        assert (box.air_c < before) == box.cooling
        before = box.air_c
        seen.add(box.cooling)
    assert seen == {True, False}


@pytest.mark.parametrize("design", [reefer_design(), coldroom_design()])
def test_cycles_stay_within_the_hysteresis(design) -> None:
    """Doors shut and no defrost: the air stays within the band but for what one step of ten seconds overshoots."""
    box = Box(design)
    temperatures = [box.air_c for _ in run(box, 4.5, 22.0)]
    step_k = max(abs(a - b) for a, b in pairwise(temperatures))
    assert max(temperatures) <= design.set_c + design.band_k + step_k
    assert min(temperatures) >= design.set_c - design.band_k - step_k
    assert max(temperatures) > design.set_c + design.band_k - step_k
    assert min(temperatures) < design.set_c - design.band_k + step_k


def test_a_failed_compressor_drifts_to_ambient_with_the_boxes_time_constant() -> None:
    """By hand: the box's two time constants add up to ((75 + 900)·12e6 + 900·0.6e6) / (75·900) = 181 333 s, of which
    air against load is 0.6e6·12e6 / (75·900) / 181 333 = 588 s, so the slow one is 180 745 s; fans hold the box
    150/75 = 2 K above 21 °C ambient. After one slow time constant the load has come from 5 °C to 23 − 18/e = 16.38 °C.
    """
    box = Box(reefer_design(set_c=5.0, load_t=4.0))
    for _ in run(box, 180_745 / 3600, 21.0, able=False):
        pass
    assert box.load_c == pytest.approx(16.38, abs=0.07)
    for _ in run(box, 500, 21.0, able=False):
        pass
    assert box.load_c == pytest.approx(23.0, abs=0.01)
    assert box.air_c == pytest.approx(23.0, abs=0.01)


def test_an_open_door_warms_and_moistens() -> None:
    """Ten minutes of open door lift air temperature and vapour; the load hardly notices."""
    shut, opened = Box(reefer_design()), Box(reefer_design())
    for _ in run(shut, 1 / 6, 30.0, able=False):
        pass
    for _ in run(opened, 1 / 6, 30.0, able=False, door_open=True):
        pass
    assert opened.air_c > shut.air_c + 1.0
    assert opened.vapour_pa > shut.vapour_pa
    assert opened.load_c - shut.load_c < 0.1


def coldroom_trace(days: int) -> list[tuple[int, bool, bool, float]]:
    room = ColdRoom(random.Random(3), BEGIN_MS)
    trace = []
    for time_ms in range(BEGIN_MS, BEGIN_MS + days * DAY_MS, 10_000):
        door = room.sample(time_ms)[3].value_milli
        trace.append((time_ms, room.box.cooling, room.box.defrosting, door))
    return trace


def test_a_cold_room_cycles_defrosts_and_works_like_the_recorded_one() -> None:
    """Seven to ten minutes a cycle, four to five defrosts a day, doors on working days only."""
    trace = coldroom_trace(7)
    starts = [b[0] for a, b in pairwise(trace) if b[1] and not a[1]]
    cycle_min = statistics.median(b - a for a, b in pairwise(starts)) / MINUTE_MS
    assert 7 <= cycle_min <= 10
    defrosts = sum(b[2] and not a[2] for a, b in pairwise(trace))
    assert 4 * 7 - 1 <= defrosts <= 5 * 7
    open_days = {datetime.fromtimestamp(t / 1000, UTC).weekday() for t, _, _, door in trace if door}
    assert open_days == {0, 1, 2, 3, 4}


def rows(machine, minutes: int, every_ms: int = MINUTE_MS) -> list[tuple]:
    return [tuple(machine.sample(BEGIN_MS + k * every_ms)) for k in range(minutes)]


@pytest.mark.parametrize("kind", [Reefer, ColdRoom])
def test_one_seed_gives_the_same_samples(kind) -> None:
    """Same seed, same values; another seed, others."""
    first = rows(kind(random.Random(7), BEGIN_MS), 600)
    assert first == rows(kind(random.Random(7), BEGIN_MS), 600)
    assert first != rows(kind(random.Random(8), BEGIN_MS), 600)


@pytest.mark.parametrize("kind", [Reefer, ColdRoom])
def test_the_truth_does_not_depend_on_how_often_it_is_sampled(kind) -> None:
    """Sampling every 7 s or every hour, the box is in the same state afterwards."""
    often, seldom = kind(random.Random(5), BEGIN_MS), kind(random.Random(5), BEGIN_MS)
    for time_ms in range(BEGIN_MS, BEGIN_MS + 6 * HOUR_MS, 7_000):
        often.sample(time_ms)
    often.sample(BEGIN_MS + 6 * HOUR_MS)
    for hour in range(7):
        seldom.sample(BEGIN_MS + hour * HOUR_MS)
    assert (often.box.air_c, often.box.load_c) == (seldom.box.air_c, seldom.box.load_c)


def test_time_does_not_go_back() -> None:
    """A sample before the last one is refused."""
    truck = Reefer(random.Random(1), BEGIN_MS)
    truck.sample(BEGIN_MS + 10)
    with pytest.raises(ValueError, match="wanted at least"):
        truck.sample(BEGIN_MS + 9)


def test_a_truck_keeps_its_load_and_moves_like_one() -> None:
    """Two days: product stays near the set point, speed stays below 110 km/h, the door opens, humidity is possible."""
    samples = rows(Reefer(random.Random(2), BEGIN_MS), 2 * 24 * 60)
    product = [row[Channel.PRODUCT - 1].value_milli for row in samples]
    assert min(product) > 3_000
    assert max(product) < 7_000
    places = [(row[6].value_milli / 1e6, row[7].value_milli / 1e6) for row in samples]
    speeds_km_h = [distance_km(a, b) * 60 for a, b in pairwise(places)]
    assert 60 < max(speeds_km_h) < 110
    assert {row[Channel.DOOR - 1].value_milli for row in samples} == {0, 1000}
    assert all(0 <= row[Channel.HUMIDITY - 1].value_milli <= 100_000 for row in samples)


def test_drivers_rest() -> None:
    """Never more than 4 h 30 of driving without a stop of 45 minutes, nor 9 h without one of 11 h."""
    since_break = since_rest = 0
    journey = itinerary(random.Random(4), BEGIN_MS, ROTTERDAM_MILAN, 72.0)
    for segment in (next(journey) for _ in range(200)):
        span_ms = segment.end_ms - segment.begin_ms
        if segment.here != segment.there:
            since_break, since_rest = since_break + span_ms, since_rest + span_ms
        elif span_ms >= 45 * MINUTE_MS:
            since_break = 0
            since_rest = 0 if span_ms >= 11 * HOUR_MS else since_rest
        assert since_break <= 4.5 * HOUR_MS
        assert since_rest <= 9 * HOUR_MS


def test_compressor_failure_is_a_story() -> None:
    """From the failure on the product only warms; before it, nothing differs from the undisturbed run."""
    at_ms = BEGIN_MS + 6 * HOUR_MS
    failing = rows(Reefer(random.Random(9), BEGIN_MS, stories=Stories([CompressorFailure(at_ms)])), 24 * 60)
    sound = rows(Reefer(random.Random(9), BEGIN_MS), 24 * 60)
    assert failing[:360] == sound[:360]
    product = [row[1].value_milli for row in failing[400::60]]
    assert all(a <= b + 63 for a, b in pairwise(product))
    assert product[-1] > 8_000


def test_other_stories() -> None:
    """Sensor fault, open door, bump, link and clock do what their names say, when they say it."""
    at_ms, end_ms = BEGIN_MS + HOUR_MS, BEGIN_MS + 2 * HOUR_MS
    stories = Stories(
        [
            SensorFault(at_ms, end_ms, channel=Channel.AIR, code_milli=-127_000),
            DoorLeftOpen(at_ms, end_ms),
            Bump(at_ms, peak_g=6.0),
            Offline(at_ms, end_ms),
        ]
    )
    samples = rows(Reefer(random.Random(1), BEGIN_MS, stories=stories), 180)
    assert [row[0][1:] for row in samples[60:120]] == [(-127_000, FAULT)] * 60
    assert all(row[0].flags == 0 for row in samples[:60] + samples[120:])
    assert all(row[3].value_milli == 1000 for row in samples[62:120])
    assert max(row[5].value_milli for row in samples) == samples[60][5].value_milli == 6_000
    assert [stories.online(t) for t in (at_ms - 1, at_ms, end_ms - 1, end_ms)] == [True, False, False, True]


def test_clock_stories() -> None:
    """An unset clock runs from 2000-01-01; a stepped one is off by its step; afterwards both are right."""
    unset = Stories([ClockUnset(BEGIN_MS, BEGIN_MS + HOUR_MS)])
    assert unset.clock_ms(BEGIN_MS + 5_000) == 946_684_805_000
    assert unset.clock_ms(BEGIN_MS + HOUR_MS) == BEGIN_MS + HOUR_MS
    stepped = Stories([ClockStep(BEGIN_MS, BEGIN_MS + HOUR_MS, shift_ms=-90_000)])
    assert stepped.clock_ms(BEGIN_MS + 100_000) == BEGIN_MS + 10_000
