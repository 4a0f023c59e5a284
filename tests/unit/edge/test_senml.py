"""Promises of the SenML reader: the RFC's own examples mean what the RFC says, and nothing else is guessed."""

import json
import struct
from decimal import Decimal

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.readings import NewReading
from edge.senml import PACK_BYTES_MAX, RECORDS_MAX, decode, readings
from edge.units import UNITS, to_milli
from lading.errors import MalformedError
from lading.quantities import DERIVED, Quantity

NOW_MS = 1_750_032_000_000


def resolved(pack: str) -> list[tuple]:
    return [(r.name, r.unit, r.time_ms, r.value) for r in decode(pack.encode(), NOW_MS)]


def test_rfc_8428_single_datapoint() -> None:
    """Section 5.1.1: no time means now."""
    pack = '[{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1}]'
    assert resolved(pack) == [("urn:dev:ow:10e2073a01080063", "Cel", NOW_MS, Decimal("23.1"))]


def test_rfc_8428_multiple_datapoints() -> None:
    """Section 5.1.2: base name, base time and base unit apply until they change; `u` wins over `bu`."""
    pack = """[
        {"bn":"urn:dev:ow:10e2073a0108006:","bt":1.276020076001e+09,"bu":"A","bver":5,
         "n":"voltage","u":"V","v":120.1},
        {"n":"current","t":-5,"v":1.2},
        {"n":"current","t":-4,"v":1.3},
        {"n":"current","v":1.7}]"""
    name = "urn:dev:ow:10e2073a0108006:"
    assert resolved(pack) == [
        (name + "voltage", "V", 1_276_020_076_001, Decimal("120.1")),
        (name + "current", "A", 1_276_020_071_001, Decimal("1.2")),
        (name + "current", "A", 1_276_020_072_001, Decimal("1.3")),
        (name + "current", "A", 1_276_020_076_001, Decimal("1.7")),
    ]


MOVING = """[
    {"bn":"urn:dev:ow:10e2073a01080063","bt":1.320067464e+09,"bu":"%RH","v":20},
    {"u":"lon","v":24.30621},
    {"u":"lat","v":60.07965},
    {"t":60,"v":20.3},
    {"u":"lon","t":60,"v":24.30622},
    {"u":"%EL","t":150,"v":98}]"""


def test_rfc_8428_one_name_with_several_units() -> None:
    """Section 5.1.3: a moving sensor; name and quantity together say which channel; %EL is reported, not guessed."""
    name = "urn:dev:ow:10e2073a01080063"
    sensors = {(name, Quantity.HUMIDITY): 3, (name, Quantity.LONGITUDE): 8}
    found, problems = readings(decode(MOVING.encode(), NOW_MS), sensors, NOW_MS)
    assert found == [
        NewReading(3, 1_320_067_464_000, 20_000, DERIVED),
        NewReading(8, 1_320_067_464_000, 24_306_210, DERIVED),
        NewReading(3, 1_320_067_524_000, 20_300, DERIVED),
        NewReading(8, 1_320_067_524_000, 24_306_220, DERIVED),
    ]
    assert [problem.code for problem in problems] == ["senml_sensor", "senml_unit"]


def test_rfc_8428_different_data_types() -> None:
    """Section 5.1.6: a boolean is a state; text and data are no readings and are reported."""
    pack = b"""[
        {"bn":"urn:dev:ow:10e2073a01080063:","n":"temp","u":"Cel","v":23.1},
        {"n":"label","vs":"Machine Room"},
        {"n":"open","vb":true},
        {"n":"nfc-reader","vd":"aGkgCg"}]"""
    base = "urn:dev:ow:10e2073a01080063:"
    sensors = {(base + "temp", Quantity.TEMPERATURE): 1, (base + "open", Quantity.DOOR): 4}
    found, problems = readings(decode(pack, NOW_MS), sensors, NOW_MS)
    assert [(r.channel, r.value_milli) for r in found] == [(1, 23_100), (4, 1_000)]
    assert [problem.code for problem in problems] == ["senml_value", "senml_value"]


def test_rfc_8428_collection_of_resources() -> None:
    """Section 5.1.7: a second base name replaces the first."""
    pack = """[
        {"bn":"2001:db8::2/","bt":1.320078429e+09,"n":"temperature","u":"Cel","v":25.2},
        {"n":"humidity","u":"%RH","v":30},
        {"bn":"2001:db8::1/","n":"temperature","u":"Cel","v":12.3}]"""
    assert [row[0] for row in resolved(pack)] == [
        "2001:db8::2/temperature",
        "2001:db8::2/humidity",
        "2001:db8::1/temperature",
    ]


def test_base_value_base_only_records_and_relative_times() -> None:
    """`bv` adds to `v`; a record of base fields alone is none; times below 2^28 s count from now."""
    pack = '[{"bn":"a","bv":20,"bt":-60},{"v":1.5,"u":"Cel"},{"v":2,"u":"Cel","t":30},{"n":"b","s":3}]'
    assert resolved(pack) == [
        ("a", "Cel", NOW_MS - 60_000, Decimal("21.5")),
        ("a", "Cel", NOW_MS - 30_000, Decimal(22)),
        ("ab", "", NOW_MS - 60_000, None),
    ]


@pytest.mark.parametrize(
    ("pack", "code"),
    [
        (b"", "senml_json"),
        (b"\xff", "senml_json"),
        (b"[" * 50_000, "senml_json"),
        (b"{}", "senml_pack"),
        (b"[]", "senml_pack"),
        (b"[1]", "senml_record"),
        (b'[{"n":"a","v":1,"v":2}]', "senml_json"),
        (b'[{"n":"a","v":NaN}]', "senml_number"),
        (b'[{"n":"a","v":1e99}]', "senml_number"),
        (b'[{"n":"a","v":1e1000000000000000000}]', "senml_number"),
        (b'[{"n":"a","t":-1e-9999999999999999999}]', "senml_number"),
        (b'[{"n":"a","v":' + b"1" * 41 + b"}]", "senml_number"),
        (b'[{"n":"a","v":"1"}]', "senml_field"),
        (b'[{"n":1,"v":1}]', "senml_field"),
        (b'[{"n":"a","v":true}]', "senml_field"),
        (b'[{"n":"a","vb":1}]', "senml_field"),
        (b'[{"n":"a","v":1,"vb":true}]', "senml_value"),
        (b'[{"n":"a","v":1,"future_":1}]', "senml_field"),
        (b'[{"v":1}]', "senml_name"),
        (b'[{"n":" a","v":1}]', "senml_name"),
        (b'[{"n":"-a","v":1}]', "senml_name"),
        (b'[{"n":"a\\n","v":1}]', "senml_name"),
        (b'[{"n":"' + b"a" * 256 + b'","v":1}]', "senml_name"),
        (b'[{"n":"a","v":1,"bver":11}]', "senml_version"),
        (b'[{"n":"a","v":1,"bver":10},{"bver":9}]', "senml_version"),
        (b'[{"n":"a","v":1,"bver":"x"}]', "senml_version"),
        (b'[{"n":"a","v":1,"t":1e20}]', "senml_time"),
        (b'[{"n":"a","v":1,"t":-300000000}]', "senml_time"),
        (b"[" + b"{}," * RECORDS_MAX + b"{}]", "senml_pack"),
        (b" " * (PACK_BYTES_MAX + 1), "senml_size"),
    ],
)
def test_packs_that_are_refused(pack: bytes, code: str) -> None:
    """Each rule of the RFC and each limit of ours, by name."""
    with pytest.raises(MalformedError) as caught:
        decode(pack, NOW_MS)
    assert caught.value.code == code


def test_a_time_too_far_ahead_is_refused() -> None:
    """One reading from the year 9999 would put every later one behind its channel's past."""
    records = decode(b'[{"n":"a","u":"Cel","v":1,"t":60},{"n":"a","u":"Cel","v":1,"t":200000000}]', NOW_MS)
    found, (problem,) = readings(records, {("a", 1): 1}, NOW_MS + 60_000)
    assert [reading.time_ms for reading in found] == [NOW_MS + 60_000]
    assert problem.code == "senml_time"


def test_unknown_fields_are_ignored() -> None:
    """Section 4.4: extensions may be there."""
    assert len(decode(b'[{"n":"a","v":1,"foo":{"bar":[1]},"ut":5}]', NOW_MS)) == 1


def outcome(data: bytes) -> None:
    """Read, or refused by a name of ours; values fit."""
    try:
        found, _ = readings(decode(data, NOW_MS), {("a", 1): 1, ("aa", 1): 1}, NOW_MS)
    except MalformedError as exc:
        code, found = exc.code, []
    else:
        code = "senml_read"
    assert code.startswith("senml_")
    assert all(-(2**31) <= reading.value_milli < 2**31 for reading in found)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_by_name_or_read(data: bytes) -> None:
    """No input crashes the reader."""
    outcome(data)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(
                ["bn", "bt", "bu", "bv", "bver", "n", "u", "v", "vs", "vb", "vd", "s", "t", "x", "y_"]
            ),
            st.one_of(
                st.floats(),
                st.integers(),
                st.booleans(),
                st.none(),
                st.sampled_from(["a", "Cel", "K", "lat"]),
            ),
        ),
        max_size=4,
    )
)
def test_any_pack_is_refused_by_name_or_read(pack: list[dict]) -> None:
    """The same for what looks like SenML."""
    outcome(json.dumps(pack).encode())


# RFC 8428 section 5.1.2's last example with the labels of section 6, encoded by hand; one number has 16 bits.
RFC_IN_CBOR = bytes.fromhex("""
    87a721781b75726e3a6465763a6f773a3130653230373361303130383030363a
    22fb41d303a15b00106223614120050067766f6c7461676501615602fb405e066666666666
    a3006763757272656e74062402fb3ff3333333333333
    a3006763757272656e74062302fb3ff4cccccccccccd
    a3006763757272656e74062202fb3ff6666666666666
    a3006763757272656e74062102f93e00
    a3006763757272656e74062002fb3ff999999999999a
    a3006763757272656e74060002fb3ffb333333333333
""")


def test_rfc_8428_cbor() -> None:
    """Section 6: labels are integers, numbers of any kind; the pack means what its JSON means."""
    name = "urn:dev:ow:10e2073a0108006:"
    found = [(r.name, r.unit, r.time_ms, r.value) for r in decode(RFC_IN_CBOR, NOW_MS)]
    assert found[0] == (name + "voltage", "V", 1_276_020_076_001, Decimal("120.1"))
    assert [(time_ms, value) for _, _, time_ms, value in found[1:]] == [
        (1_276_020_071_001 + 1_000 * n, Decimal(f"1.{2 + n}")) for n in range(6)
    ]
    assert {(row[0], row[1]) for row in found[1:]} == {(name + "current", "A")}


LABELS = {
    "bver": -1,
    "bn": -2,
    "bt": -3,
    "bu": -4,
    "bv": -5,
    "n": 0,
    "u": 1,
    "v": 2,
    "vs": 3,
    "vb": 4,
    "t": 6,
}
RECORDS = st.fixed_dictionaries(
    {"n": st.sampled_from(["a", "b"])},
    optional={
        "u": st.sampled_from(["Cel", "%RH"]),
        "bt": st.integers(0, 2**31),
        "bv": st.floats(-1e6, 1e6),
        "t": st.floats(-1e6, 1e6),
        "v": st.floats(-1e9, 1e9) | st.integers(-(2**40), 2**40),
    },
)


@given(st.lists(RECORDS, min_size=1, max_size=4), st.booleans())
def test_cbor_means_what_json_means(pack: list[dict], is_canonical: bool) -> None:
    """The same pack by two other implementations: Python's json and cbor2, whose shortest floats are of 16 bits too."""
    labelled = [{LABELS[key]: value for key, value in record.items()} for record in pack]

    def outcome(data: bytes) -> object:
        try:
            return decode(data, NOW_MS)
        except MalformedError as exc:
            return exc.code

    assert outcome(cbor2.dumps(labelled, canonical=is_canonical)) == outcome(json.dumps(pack).encode())


def test_cbor_of_any_encoding() -> None:
    """Indefinite lengths, chunked text, decimal fractions, data as bytes, extensions: all well-formed."""
    pack = bytes.fromhex(
        "9f bf 00 7f 61 61 61 62 ff 01 63 43656c 02 c4 82 20 18 e7 61 78 d9 0102 81 f6 ff a2 00 61 63 08 42 0102 ff"
    )
    assert [(r.name, r.value) for r in decode(pack, NOW_MS)] == [("ab", Decimal("23.1")), ("c", None)]


@pytest.mark.parametrize(
    ("pack", "code"),
    [
        ("80", "senml_pack"),
        ("81 01", "senml_record"),
        ("81 a1 00", "senml_cbor"),
        ("81 a1 00 61 61 00", "senml_cbor"),
        ("81 a2 00 61 61 00 61 62", "senml_cbor"),
        ("81 a2 00 61 61 61 6e 61 62", "senml_cbor"),
        ("81 a2 00 61 61 02 f9 7c00", "senml_number"),
        ("81 a2 00 61 61 02 fb 7ff8000000000000", "senml_number"),
        ("81 a2 00 61 61 02 fb 7e37e43c8800759c", "senml_number"),
        ("81 a2 00 61 61 02 c4 82 18 29 01", "senml_number"),
        ("81 a2 00 61 61 02 c4 81 01", "senml_cbor"),
        ("81 a2 00 61 61 02 c2 41 01", "senml_field"),
        ("81 a2 00 61 61 02 61 31", "senml_field"),
        ("81 a2 00 61 61 08 61 31", "senml_cbor"),
        ("81 a1 f9 0000 61 61", "senml_cbor"),
        ("81 a1 41 00 61 61", "senml_cbor"),
        ("81 a1 00 61 ff", "senml_cbor"),
        ("81 a1 00 7f 41 61 ff", "senml_cbor"),
        ("81 a1 00 7f 61 61", "senml_cbor"),
        ("81 1c", "senml_cbor"),
        ("81 f8 20", "senml_cbor"),
        ("81 1f", "senml_cbor"),
        ("9a ffffffff", "senml_cbor"),
        ("9b ffffffffffffffff a0", "senml_cbor"),
        ("81 bb ffffffffffffffff", "senml_cbor"),
        ("81 a1 00 7b ffffffffffffffff", "senml_cbor"),
        ("9f" * 60, "senml_cbor"),
        ("81" * 60, "senml_cbor"),
        ("81 a3 00 61 61 02 01 67 6675747572655f 01", "senml_field"),
        ("81 a3 00 61 61 02 01 20 0b", "senml_version"),
    ],
)
def test_cbor_packs_that_are_refused(pack: str, code: str) -> None:
    """Each by its name, none by a crash; lengths beyond the end cost nothing."""
    with pytest.raises(MalformedError) as caught:
        decode(bytes.fromhex(pack), NOW_MS)
    assert caught.value.code == code


@given(st.sampled_from(range(0x80, 0xA0)), st.binary(max_size=200))
def test_any_cbor_is_refused_by_name_or_read(head: int, rest: bytes) -> None:
    """No input crashes the reader."""
    outcome(bytes([head]) + rest)


def test_half_precision() -> None:
    """1.5 in 16 bits, which sensors choose where it is exact."""
    (record,) = decode(b"\x81\xa2\x00\x61a\x02\xf9" + struct.pack(">e", 1.5), NOW_MS)
    assert record.value == Decimal("1.5")


@pytest.mark.parametrize(
    ("unit", "value", "milli"),
    [
        ("Cel", "23.1", 23_100),
        ("K", "273.15", 0),
        ("°F", "41", 5_000),
        ("m/s2", "9.80665", 1_000),
        ("lat", "60.07965", 60_079_650),
        ("Pa", "101325", 1_013_250),
        ("hPa", "1013.25", 1_013_250),
        ("mV", "3300", 3_300),
        ("%RH", "0.0005", 0),
        ("%RH", "0.0015", 2),
    ],
)
def test_units(unit: str, value: str, milli: int) -> None:
    """Worked by hand: thousandths of Lading's unit, halves to even."""
    _, scale, offset = UNITS[unit]
    assert to_milli(Decimal(value), scale, offset) == milli
