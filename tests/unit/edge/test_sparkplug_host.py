"""Promises of the Sparkplug host: readings mean what the births said; what is in doubt is a gap, named, never a value.

Messages are written by Google's implementation of protocol buffers.
"""

import math
from collections import Counter
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.readings import NewReading
from edge.sparkplug.host import BIRTH_WAIT_MS_MAX, BIRTH_WAIT_MS_MIN, Host, SensorName
from edge.sparkplug.node import AHEAD_MAX, TWINS_MS
from edge.sparkplug.settling import HELD_MS_MAX, Taken
from edge.sparkplug.values import Sensor
from edge.units import shortest
from lading.quantities import DERIVED, FAULT
from tests.unit.edge.sparkplug_proto import bd_seq, message

NOW_MS = 1_750_032_000_000
LATEST_MS = NOW_MS + 600_000
SENSORS = (
    Sensor("G/N/D/air", "Cel", 1),
    Sensor("G/N/D/door", "open", 2),
    Sensor("G/N//supply", "mV", 3),
    Sensor("G/N/D/in/lat", "lat", 4),
)


class Hearing:
    """A host, its clock, and what came of what it heard."""

    def __init__(self, *, history_ms: int = 0, reorder_ms: int = 2_000) -> None:
        self.now_ms = NOW_MS
        self.taken = Taken([], [])
        self.past: dict[int, int] = {}
        self.host = Host(
            SENSORS, lambda channel: self.past.get(channel, -1), reorder_ms=reorder_ms, history_ms=history_ms
        )

    def hear(
        self, kind: str, *metrics: dict, seq: int | None = None, device: str = "D", **more: object
    ) -> None:
        topic = f"spBv1.0/G/{kind}/N" + (f"/{device}" if kind[0] == "D" else "")
        self.raw(topic, message(*metrics, seq=seq, time_ms=NOW_MS), **more)

    def raw(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        self.host.take(topic, payload, retained, self.now_ms, LATEST_MS, self.taken)

    def born(self, session: int = 0, seq: int = 0) -> "Hearing":
        """Both births, with values of 0 ms, which are known to the gateway already."""
        self.past = dict.fromkeys(range(1, 5), max(self.past.get(1, 0), 0))
        self.hear(
            "NBIRTH",
            bd_seq(session),
            {"name": "supply", "type": "Int32", "value": 1, "timestamp": 0},
            seq=seq,
        )
        self.hear("DBIRTH", *AIR, seq=(seq + 1) % 256)
        return self

    @property
    def values(self) -> list[tuple[int, int, int]]:
        return [(one.channel, one.time_ms, one.value_milli) for one in self.taken.readings]

    @property
    def codes(self) -> Counter[str]:
        return Counter(problem.code for problem in self.taken.problems)


def air(value: float, time_ms: int = NOW_MS, **more: object) -> dict:
    return {"alias": 1, "value": value, "timestamp": time_ms, "is_born": False, **more}


AIR = (
    air(0, 0, name="air", is_born=True),
    {"name": "door", "alias": 2, "type": "Boolean", "value": False, "timestamp": 0},
    {"name": "in/lat", "alias": 3, "type": "Float", "value": 0, "timestamp": 0},
    {"name": "model", "alias": 4, "type": "String", "value": "x"},
)


def test_aliases_names_and_devices() -> None:
    """By alias or by name; the node's own metrics and a device's; a metric's name may have slashes."""
    hearing = Hearing().born()
    hearing.hear("DDATA", air(4.5), seq=2)
    hearing.hear("NDATA", {"name": "supply", "type": "Int32", "value": 11_900, "timestamp": NOW_MS}, seq=3)
    hearing.hear("DDATA", {"name": "in/lat", "type": "Float", "value": 52.123455, "timestamp": NOW_MS}, seq=4)
    assert hearing.values == [(1, NOW_MS, 4_500), (3, NOW_MS, 11_900), (4, NOW_MS, 52_123_455)]
    assert {reading.flags for reading in hearing.taken.readings} == {DERIVED}
    assert not hearing.taken.problems


def test_a_metric_without_time_has_its_messages() -> None:
    """And is refused where neither says one."""
    hearing = Hearing().born()
    hearing.hear("DDATA", {"alias": 1, "value": 4.5}, seq=2)
    hearing.raw("spBv1.0/G/DDATA/N/D", message({"alias": 1, "value": 4.5}, seq=3, time_ms=None))
    assert hearing.values == [(1, NOW_MS, 4_500)]
    assert hearing.codes == {"sparkplug_time": 1}


@pytest.mark.parametrize("time_ms", [LATEST_MS + 1, 2**63, 2**64 - 1])
def test_a_time_far_ahead_is_refused(time_ms: int) -> None:
    """One reading from the future would put every later one behind its channel's past."""
    hearing = Hearing().born()
    hearing.hear("DDATA", air(4.5, time_ms), air(5.5, LATEST_MS), seq=2)
    assert hearing.values == [(1, LATEST_MS, 5_500)]
    assert hearing.codes == {"sparkplug_time": 1}


@pytest.mark.parametrize(
    ("code", "quality", "flags"),
    [
        ("", ("int_value", 192), DERIVED),
        ("", ("int_value", 0), DERIVED | FAULT),
        ("", ("int_value", 2**31 + 512), DERIVED | FAULT),
        ("sparkplug_stale", ("int_value", 500), None),
        ("sparkplug_quality", ("string_value", "Good"), None),
    ],
)
def test_quality(code: str, quality: tuple, flags: int | None) -> None:
    """6.4.9.1: good; bad, or a code we do not know, is a fault; stale is no reading; any other type is refused."""
    hearing = Hearing().born()
    hearing.hear("DDATA", air(4.5, properties={"Quality": quality}), seq=2)
    assert [reading.flags for reading in hearing.taken.readings] == ([] if flags is None else [flags])
    assert hearing.codes == (Counter([code]) if code else Counter())


@pytest.mark.parametrize(
    ("metric", "code"),
    [
        (air(math.nan), "sparkplug_value"),
        (air(math.inf), "sparkplug_value"),
        (air(1e300), "value"),
        (air(4.5, field="float_value"), "sparkplug_type"),
        (air(4, field="int_value"), "sparkplug_type"),
        (air(0, is_null=True), "sparkplug_null"),
        (air(4.5, type="Double", is_born=True, name="air"), ""),
        (air(4, type="Int32", is_born=True), "sparkplug_type"),
        ({"alias": 1, "timestamp": NOW_MS}, "sparkplug_type"),
        ({"alias": 1, "type": "String", "value": "4.5", "timestamp": NOW_MS}, "sparkplug_type"),
        ({"alias": 2, "type": "Int32", "value": 1, "timestamp": NOW_MS}, "sparkplug_type"),
        (air(4.5, properties={"engUnit": ("string_value", "°F")}), "sparkplug_unit"),
        ({"alias": 99, "value": 1, "timestamp": NOW_MS}, "sparkplug_metric"),
        ({"name": "nothing", "value": 1, "timestamp": NOW_MS}, "sparkplug_metric"),
        ({"value": 1, "timestamp": NOW_MS}, "sparkplug_metric"),
        (air(4.5, name="door"), "sparkplug_metric"),
    ],
)
def test_what_gives_no_reading(metric: dict, code: str) -> None:
    """Each by its name, and the rest of its message counts. One that repeats name and datatype is none of them."""
    hearing = Hearing().born()
    hearing.hear("DDATA", metric, {"alias": 2, "type": "Boolean", "value": True, "timestamp": NOW_MS}, seq=2)
    assert hearing.values[-1:] == [(2, NOW_MS, 1_000)]
    assert hearing.codes == (Counter([code]) if code else Counter())
    assert len(hearing.values) == (1 if code else 2)


def test_a_type_that_no_reading_has_is_refused_by_name() -> None:
    """A configured metric that is born as text."""
    hearing = Hearing()
    hearing.hear("NBIRTH", bd_seq(0), {"name": "supply", "type": "String", "value": "x"}, seq=0)
    assert hearing.codes == {"sparkplug_type": 1}
    assert "String" in str(hearing.taken.problems[0])


@pytest.mark.parametrize(
    ("datatype", "field", "sent", "value"),
    [
        ("Int8", "int_value", 127, 127), ("Int8", "int_value", 0xFF, -1), ("Int8", "int_value", 0xFFFFFF80, -128),
        ("Int8", "long_value", 2**64 - 1, -1), ("Int8", "int_value", 0x100, None), ("Int16", "int_value", 0xFED4, -300),
        ("Int16", "int_value", 0xFFFF7FFF, None), ("Int32", "int_value", 2**32 - 70_000, -70_000),
        ("Int32", "long_value", 2**64 - 70_000, -70_000), ("Int32", "long_value", 2**33, None),
        ("Int64", "long_value", 2**64 - 5, -5), ("UInt8", "int_value", 255, 255), ("UInt8", "int_value", 256, None),
        ("UInt32", "long_value", 2**20, 2**20), ("UInt32", "long_value", 2**32, None), ("UInt64", "long_value", 7, 7),
    ],
)  # fmt: skip
def test_integers(datatype: str, field: str, sent: int, value: int | None) -> None:
    """Two's complement of the type's own width (pysparkplug), or of the field's (Tahu); out of range is refused."""
    hearing = Hearing()
    born = {"name": "supply", "type": datatype, "field": field, "value": sent, "timestamp": NOW_MS}
    hearing.hear("NBIRTH", bd_seq(0), born, seq=0)
    assert hearing.values == ([] if value is None else [(3, NOW_MS, value)])
    assert hearing.codes == (Counter(["sparkplug_value"]) if value is None else Counter())


def test_an_integer_may_be_a_doors_state() -> None:
    """1 and 0, as many controllers have it; nothing else."""
    hearing = Hearing()
    hearing.hear("NBIRTH", bd_seq(0), seq=0)
    for seq, value in enumerate((1, 0, 2)):
        door = {"name": "door", "type": "UInt8", "value": value, "timestamp": NOW_MS + seq}
        hearing.hear("DBIRTH", door, seq=seq + 1)
    assert hearing.values == [(2, NOW_MS, 1_000), (2, NOW_MS + 1, 0)]
    assert hearing.codes == {"sparkplug_value": 1}


def test_data_before_a_birth_asks_for_one() -> None:
    """An alias means nothing yet. One request at once, then ever more rarely."""
    hearing = Hearing()
    hearing.hear("DDATA", air(4.5), seq=7)
    assert (hearing.values, hearing.codes) == ([], {"sparkplug_unborn": 1})
    assert hearing.host.unborn(NOW_MS) == [("G", "N")]
    asked = [ms for ms in range(NOW_MS, NOW_MS + 3_600_000, 1_000) if hearing.host.unborn(ms)]
    waits = [later - earlier for earlier, later in pairwise(asked)]
    assert waits[0] == 2 * BIRTH_WAIT_MS_MIN
    assert waits[-1] == BIRTH_WAIT_MS_MAX
    assert len(asked) < 15


def test_data_of_a_device_before_its_birth() -> None:
    """The node is there, the device is not."""
    hearing = Hearing()
    hearing.hear("NBIRTH", bd_seq(0), seq=0)
    assert not hearing.host.unborn(NOW_MS)
    hearing.hear("DDATA", air(4.5), seq=1)
    assert (hearing.values, hearing.codes) == ([], {"sparkplug_unborn": 1})
    assert hearing.host.unborn(NOW_MS)


def test_the_sequence_goes_round() -> None:
    """0 follows 255, over three rounds."""
    hearing = Hearing().born()
    for n in range(700):
        hearing.hear("DDATA", air(n, NOW_MS - 1_000 + n), seq=(n + 2) % 256)
    assert len(hearing.values) == 700
    assert not hearing.taken.problems


def test_a_message_that_was_overtaken_keeps_its_place() -> None:
    """Within the reorder timeout (5.9) nothing is lost and nothing is asked."""
    hearing = Hearing().born()
    for seq in (4, 3, 5, 2, 6):
        hearing.hear("DDATA", air(seq, NOW_MS + seq), seq=seq)
    assert [value for _, _, value in hearing.values] == [2_000, 3_000, 4_000, 5_000, 6_000]
    hearing.host.settle(NOW_MS + 10_000, hearing.taken)
    assert not hearing.taken.problems
    assert not hearing.host.unborn(NOW_MS)


def test_a_message_that_does_not_come_ends_the_session() -> None:
    """After the timeout what had overtaken it does not count, nor what follows, until the next birth."""
    hearing = Hearing().born()
    hearing.hear("DDATA", air(9), seq=3)
    hearing.host.settle(NOW_MS + 1_999, hearing.taken)
    assert not hearing.taken.problems
    hearing.host.settle(NOW_MS + 2_000, hearing.taken)
    assert hearing.codes == {"sparkplug_seq": 1}
    assert hearing.host.unborn(NOW_MS + 2_000)
    hearing.hear("DDATA", air(9), seq=4)
    assert (hearing.values, hearing.codes["sparkplug_unborn"]) == ([], 1)
    hearing.born()
    hearing.hear("DDATA", air(5), seq=2)
    assert hearing.values == [(1, NOW_MS, 5_000)]


@pytest.mark.parametrize("seq", [2 + AHEAD_MAX + 1, 1, 0, 255, 256, 2**63])
def test_a_jump_of_the_sequence_ends_the_session(seq: int) -> None:
    """Too far ahead, or behind: at once. No number of a message is refused without ending it."""
    hearing = Hearing().born()
    hearing.hear("DDATA", air(9), seq=seq)
    hearing.hear("DDATA", air(9, NOW_MS + 1), seq=2)
    assert hearing.codes["sparkplug_seq"] == 1
    assert hearing.values == ([(1, NOW_MS + 1, 9_000)] if seq > 255 else [])


def test_a_message_that_comes_twice_counts_once() -> None:
    """QoS 1, which some publishers use, may deliver again."""
    hearing = Hearing().born()
    for _ in range(3):
        hearing.hear("DDATA", air(9), seq=2)
    hearing.hear("DDATA", air(8, NOW_MS + 1), seq=3)
    assert [value for _, _, value in hearing.values] == [9_000, 8_000]
    assert not hearing.taken.problems


def test_waiting_messages_are_bounded() -> None:
    """A flood of overtaking messages ends the session instead of filling memory."""
    hearing = Hearing().born()
    many = [{"name": "door", "type": "Boolean", "value": True}] * 4_000
    for seq in range(3, 7):
        hearing.hear("DDATA", *many, seq=seq)
    assert hearing.codes["sparkplug_seq"] == 1
    assert hearing.values == []


def test_deaths() -> None:
    """DDEATH is the device's, NDEATH all's; what is said after without a birth is no value."""
    hearing = Hearing().born(session=3)
    hearing.hear("DDEATH", seq=2)
    hearing.hear("DDATA", air(9), seq=3)
    hearing.hear("NDATA", {"name": "supply", "type": "Int32", "value": 7, "timestamp": NOW_MS}, seq=4)
    assert hearing.values == [(3, NOW_MS, 7)]
    hearing.hear("NDEATH", bd_seq(3))
    hearing.hear("NDATA", {"name": "supply", "type": "Int32", "value": 8, "timestamp": NOW_MS}, seq=5)
    assert hearing.values == [(3, NOW_MS, 7)]
    assert hearing.codes == {"sparkplug_unborn": 2, "sparkplug_dead": 2}


def test_a_death_of_an_earlier_session_changes_nothing() -> None:
    """5.4: a will may come after the next birth; bdSeq tells them apart."""
    hearing = Hearing().born(session=3).born(session=4)
    hearing.hear("NDEATH", bd_seq(3))
    hearing.hear("DDATA", air(9), seq=2)
    assert hearing.values == [(1, NOW_MS, 9_000)]
    assert hearing.codes == {"sparkplug_death": 1}


def test_a_retained_birth_is_not_believed() -> None:
    """NBIRTH must not be retained (6.4.19). One that a broker kept says nothing of now; a true one is asked for."""
    hearing = Hearing()
    birth = message(bd_seq(0), {"name": "supply", "type": "Int32", "value": 1, "timestamp": NOW_MS}, seq=0)
    hearing.raw("spBv1.0/G/NBIRTH/N", birth, retained=True)
    assert (hearing.values, hearing.codes) == ([], {"sparkplug_retained": 1})
    assert hearing.host.unborn(NOW_MS) == [("G", "N")]


def test_two_nodes_of_one_name_give_no_readings() -> None:
    """A session that is back after another began: nobody can tell whose values these are, for a while."""
    hearing = Hearing().born(session=3).born(session=9)
    hearing.hear("DDATA", air(1), seq=2)
    assert len(hearing.values) == 1
    hearing.born(session=3)
    hearing.hear("DDATA", air(2, NOW_MS + 1), seq=2)
    assert len(hearing.values) == 1
    assert hearing.codes["sparkplug_twins"] >= 2
    hearing.now_ms += TWINS_MS
    hearing.hear("DDATA", air(3, NOW_MS + 2), seq=3)
    assert hearing.values[1:] == [(1, NOW_MS + 2, 3_000)]


@pytest.mark.parametrize("sessions", [range(300), [0] * 5, [0, 1, 0, 1]])
def test_one_node_that_reconnects_is_no_twin(sessions: list[int]) -> None:
    """Numbers that go round, that stand still, or that begin anew after their deaths were heard."""
    hearing = Hearing()
    for session in sessions:
        hearing.born(session % 256)
        if len(sessions) == 4:
            hearing.hear("NDEATH", bd_seq(session))
    assert hearing.codes["sparkplug_twins"] == 0


@pytest.mark.parametrize(
    "metrics",
    [
        pytest.param([{"name": "supply", "type": "Int32", "value": 1}], id="no bdSeq"),
        pytest.param([bd_seq(256)], id="bdSeq 256"),
        pytest.param([{"name": "bdSeq", "type": "Double", "value": 1.0}], id="bdSeq a float"),
        pytest.param([bd_seq(0), bd_seq(0)], id="bdSeq twice"),
        pytest.param([bd_seq(0), {"name": "supply", "value": 1, "is_born": False}], id="no datatype"),
        pytest.param([bd_seq(0), {"alias": 4, "value": 1}], id="no name"),
        pytest.param(
            [bd_seq(0), {"name": "a", "alias": 4}, {"name": "b", "alias": 4}], id="one alias for two"
        ),
        pytest.param([bd_seq(0), {"name": "a"}, {"name": "a", "type": "Int8"}], id="one name for two"),
    ],
)
def test_births_that_are_refused(metrics: list[dict]) -> None:
    """And the session before does not go on: its aliases may mean something else now."""
    hearing = Hearing().born()
    hearing.hear("NBIRTH", *metrics, seq=0)
    hearing.hear("DDATA", air(9), seq=2)
    assert (hearing.values, hearing.codes) == ([], {"sparkplug_birth": 1, "sparkplug_unborn": 1})


def test_a_birth_storm_costs_little() -> None:
    """A thousand births with the same values: no reading twice, no state that grows."""
    hearing = Hearing()
    for _ in range(1_000):
        hearing.hear(
            "NBIRTH", bd_seq(0), {"name": "supply", "type": "Int32", "value": 5, "timestamp": NOW_MS}, seq=0
        )
    assert hearing.values == [(3, NOW_MS, 5)]
    assert not hearing.taken.problems


def test_births_do_not_repeat_what_the_gateway_has() -> None:
    """After a restart the births say the last values again; only what is newer counts."""
    hearing = Hearing()
    hearing.past = {3: NOW_MS}
    for time_ms, value in ((NOW_MS, 5), (NOW_MS + 1, 6)):
        hearing.hear(
            "NBIRTH",
            bd_seq(0),
            {"name": "supply", "type": "Int32", "value": value, "timestamp": time_ms},
            seq=0,
        )
    assert hearing.values == [(3, NOW_MS + 1, 6)]


def test_history_finds_its_place_before_the_birth() -> None:
    """A node that was away is born with values of now, then sends what it stored: all in order of time."""
    hearing = Hearing(history_ms=10_000)
    hearing.hear("NBIRTH", bd_seq(0), seq=0)
    hearing.hear("DBIRTH", air(9, NOW_MS, name="air", is_born=True), seq=1)
    for n in range(5):
        hearing.now_ms += 8_000
        hearing.host.settle(hearing.now_ms, hearing.taken)
        hearing.hear("DDATA", air(n, NOW_MS - 5_000 + 1_000 * n, is_historical=True), seq=n + 2)
    assert hearing.values == []
    hearing.now_ms += 10_000
    hearing.host.settle(hearing.now_ms, hearing.taken)
    assert [time_ms - NOW_MS for _, time_ms, _ in hearing.values] == [
        -5_000,
        -4_000,
        -3_000,
        -2_000,
        -1_000,
        0,
    ]
    hearing.hear("DDATA", air(7, NOW_MS - 500, is_historical=True), seq=7)
    hearing.hear("DDATA", air(8, NOW_MS + 500), seq=8)
    assert hearing.values[-1] == (1, NOW_MS + 500, 8_000)
    assert hearing.codes == {"sparkplug_late": 1}


def test_births_cannot_hold_readings_for_ever() -> None:
    """Each birth lets its node's readings wait anew, up to a limit in all."""
    hearing = Hearing(history_ms=10_000)
    released_ms = []
    for n in range(HELD_MS_MAX // 1_000 + 20):
        hearing.now_ms = NOW_MS + 1_000 * n
        before = len(hearing.values)
        hearing.host.settle(hearing.now_ms, hearing.taken)
        released_ms += [1_000 * n] * (len(hearing.values) > before)
        supply = {"name": "supply", "type": "Int32", "value": n, "timestamp": NOW_MS + n}
        hearing.hear("NBIRTH", bd_seq(0), supply, seq=0)
    assert released_ms == [HELD_MS_MAX]


def test_what_nobody_configured_is_not_heard() -> None:
    """Other nodes, groups, devices and message types cost nothing, and keep no state; the sequence counts on."""
    hearing = Hearing().born()
    for topic in (
        "spBv1.0/G/NBIRTH/other", "spBv1.0/H/NDATA/N", "spBv1.0/G/NCMD/N", "spBv1.0/G/DCMD/N/D", "spAv1.0/G/NDATA/N",
        "spBv1.0/G/NDATA/N/D", "spBv1.0/G/DDATA/N", "spBv1.0/G/NDATA", "spBv1.0/G/DDATA/N/D/E", "spBv1.0/G/NDATA/",
        "spBv1.0/STATE/h", "", "/", "spBv1.0//NBIRTH/N",
    ):  # fmt: skip
        hearing.raw(topic, b"\xff")
    hearing.hear("DBIRTH", {"name": "x", "alias": 1}, seq=2, device="other")
    hearing.hear("DDATA", air(4.5), seq=3)
    assert hearing.values == [(1, NOW_MS, 4_500)]
    assert not hearing.taken.problems


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["NBIRTH", "NDEATH", "NDATA", "DBIRTH", "DDEATH", "DDATA"]),
            st.integers(0, 4),
            st.lists(
                st.sampled_from(
                    [
                        bd_seq(0),
                        bd_seq(1),
                        air(1),
                        air(2, NOW_MS + 5, name="air", is_born=True),
                        *AIR,
                        air(3, 0),
                    ]
                ),
                max_size=4,
            ),
            st.booleans(),
        ),
        max_size=20,
    )
)
def test_any_conversation_gives_readings_or_reasons(talk: list[tuple]) -> None:
    """Never an error of another kind, and never a reading of a device that is not born."""
    hearing = Hearing()
    for kind, seq, metrics, retained in talk:
        hearing.hear(kind, *metrics, seq=seq, retained=retained)
        hearing.now_ms += 700
        hearing.host.settle(hearing.now_ms, hearing.taken)
    births = {kind for kind, *_ in talk} & {"NBIRTH", "DBIRTH"}
    assert not hearing.values or births
    assert all(isinstance(reading, NewReading) for reading in hearing.taken.readings)


@pytest.mark.parametrize(
    "name", ["", "a", "a/b/c", "/b/c/d", "a//c/d", "a/b/c/", "a+/b/c/d", "a/b#/c/d", "a/b/c/d\n"]
)
def test_names_that_are_no_sensor(name: str) -> None:
    """Four parts, of which only the device may be empty; no wildcards, nothing invisible."""
    with pytest.raises(ValueError, match=r"wanted|have no"):
        SensorName.parse(name)


def test_names() -> None:
    """What is after the device is the metric's name, slashes and all."""
    assert SensorName.parse("G/N/D/a/b") == ("G", "N", "D", "a/b")
    assert SensorName.parse("G/N//a") == ("G", "N", "", "a")


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_single_floats_read_back(value: float) -> None:
    """The decimal is another float's neither in 32 bits nor longer than it must be."""
    found = shortest(value, is_single=True)
    assert math.isclose(float(found), value, rel_tol=2**-24, abs_tol=2**-150)
    assert len(found.normalize().as_tuple().digits) <= 9


def test_shortest() -> None:
    """4.1 in 32 bits is 4.099999904632568; its sender meant 4.1."""
    assert shortest(4.099999904632568, is_single=True) == Decimal("4.1")
    assert shortest(4.1, is_single=False) == Decimal("4.1")
