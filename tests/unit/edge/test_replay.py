"""Promises of replay: recordings become readings in order; of every line not taken it is said which and why."""

import gzip
import os
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from edge.mapping import Mapping, load_mapping
from edge.replay import LINE_BYTES_MAX, LineRefused, Replay, ReplayReading, detect, find_files
from lading.errors import ServiceError
from lading.limits import OFF_HIGH, OFF_U32
from lading.quantities import FAULT, Quantity

REPOSITORY = Path(__file__).parents[3]
EXAMPLE = REPOSITORY / "docs" / "examples" / "coldroom.toml"
RAW = Path(os.environ.get("LADING_BENCH", REPOSITORY.parent / "shared" / "bench")) / "coldroom" / "raw"
T0_MS = 1_618_876_800_000  # 2021-04-20T00:00:00Z

LONG = """
[csv]
sensor = "id"
faults = [-127, 327.67, "ERR"]
[[gateway]]
name = "a"
[[gateway.channel]]
channel = 1
sensor = "s1"
unit = "°C"
[[gateway.channel]]
channel = 2
sensor = "s2"
quantity = 32768
[[gateway]]
name = "b"
[[gateway.channel]]
channel = 1
sensor = "s3"
unit = "°F"
"""


def mapping(folder: Path, text: str) -> Mapping:
    path = folder / "map.toml"
    path.write_text(text, "utf-8")
    return load_mapping(path)


def replay(folder: Path, text: str, **files: bytes) -> tuple[list[ReplayReading], list[LineRefused]]:
    paths = []
    for name, data in files.items():
        paths.append(folder / f"{name}.csv")
        paths[-1].write_bytes(data)
    items = list(Replay(paths, mapping(folder, text)))
    readings = [item for item in items if isinstance(item, ReplayReading)]
    return readings, [item for item in items if isinstance(item, LineRefused)]


def values(readings: list[ReplayReading]) -> list[tuple]:
    return [(r.gateway, r.channel, r.time_ms - T0_MS, r.value_milli, r.flags) for r in readings]


HEAD = b"timestamp,value,id\r\n"


def test_a_long_recording(tmp_path: Path) -> None:
    """Sensors go to their devices' gateways, units to thousandths, error codes to faults, fractions are exact."""
    data = HEAD + (
        b"2021-04-20 00:00:01.500000,4.0625,s1\r\n"
        b"2021-04-20 00:00:01.500000,-127.0,s1\n"
        b"2021-04-20T00:00:02Z,327.67,s2\n"
        b"2021-04-20T02:00:03+02:00,41,s3\n"
        b"2021-04-20 00:00:04,ERR,s2\n"
        b'"2021-04-20 00:00:05","1.5e1","s2"'
    )
    readings, refused = replay(tmp_path, LONG, data=data)
    assert refused == []
    assert values(readings) == [
        ("a", 1, 1_500, 4_062, 0),
        ("a", 1, 1_500, -127_000, FAULT),
        ("a", 2, 2_000, 327_670, FAULT),
        ("b", 1, 3_000, 5_000, 0),
        ("a", 2, 4_000, 0, FAULT),
        ("a", 2, 5_000, 15_000, 0),
    ]
    assert [r.behind for r in readings] == [False, True, False, False, False, False]
    assert readings[2].origin == "data.csv:4"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"\0\0\0002021-04-20 00:00:01,1,s1", "line_nul"),
        (b"", "line_empty"),
        (b"2021-04-20 00:00:01,1", "line_columns"),
        (b"2021-04-20 00:00:01,1,s1,x", "line_columns"),
        (b"2021-04-20 00:00:01,\xff,s1", "line_encoding"),
        (b'2021-04-20 00:00:01,"1"x,s1', "line_quotes"),
        (b"yesterday,1,s1", "row_time"),
        (b"1960-01-01 00:00:00,1,s1", "row_time"),
        (b"2021-04-20 00:00:01,,s1", "row_value"),
        (b"2021-04-20 00:00:01,NaN,s1", "row_value"),
        (b"2021-04-20 00:00:01,inf,s1", "row_value"),
        (b"2021-04-20 00:00:01,1e99,s1", "row_value"),
        (b"2021-04-20 00:00:01,3000000,s1", "row_value"),
        (b"2021-04-20 00:00:01,0x10,s1", "row_value"),
        (b"2021-04-20 00:00:01,1,s9", "row_sensor"),
        (b"2021-04-20 00:00:00,7,s1", "row_duplicate"),
        (b"x" * (3 * LINE_BYTES_MAX), "line_long"),
    ],
)
def test_a_line_that_is_not_taken_is_named_with_its_bytes(tmp_path: Path, line: bytes, code: str) -> None:
    """Which line, where, why, and its bytes; the lines around it are taken."""
    data = HEAD + b"2021-04-20 00:00:00,7,s1\n" + line + b"\n2021-04-20 00:00:09,8,s1\n"
    readings, (refused,) = replay(tmp_path, LONG, data=data)
    assert [r.value_milli for r in readings] == [7_000, 8_000]
    assert (refused.code, refused.origin, refused.data) == (code, "data.csv:3", line[:LINE_BYTES_MAX])
    assert refused.reason


def test_files_are_merged_by_time_and_keep_their_own_order(tmp_path: Path) -> None:
    """Two devices' files interleave; a time that runs back keeps its place and is marked."""
    one = (
        HEAD
        + b"2021-04-20 00:00:01,1,s1\n2021-04-20 00:00:05,5,s1\n2021-04-20 00:00:02,2,s1\n2021-04-20 00:00:09,9,s1\n"
    )
    two = HEAD + b"2021-04-20 00:00:03,3,s3\n2021-04-20 00:00:07,7,s3\n"
    readings, refused = replay(tmp_path, LONG, one=one, two=two)
    assert refused == []
    assert [(r.time_ms - T0_MS) // 1000 for r in readings] == [1, 3, 5, 2, 7, 9]
    assert [r.behind for r in readings] == [False, False, False, True, False, False]


WIDE = """
[csv]
layout = "wide"
time = "t"
delimiter = ";"
decimal = ","
time_format = "unix_s"
[[gateway]]
name = "a"
[[gateway.channel]]
channel = 1
sensor = "in"
unit = "K"
limits = { upper = 281.15, hold_s = 90, above_stretch_max_s = 0.5, rate_max = 2 }
[[gateway.channel]]
channel = 2
sensor = "out"
unit = "°C"
"""


def test_a_wide_recording(tmp_path: Path) -> None:
    """A column a sensor; empty cells are no readings, bad ones are named, unmapped columns are left alone."""
    data = b"\xef\xbb\xbft;in;out;note\n1618876800;273,15;;x\n1618876801.25;bad;-3,5;\n"
    readings, (refused,) = replay(tmp_path, WIDE, data=data)
    assert values(readings) == [("a", 1, 0, 0, 0), ("a", 2, 1_250, -3_500, 0)]
    assert (refused.code, refused.origin) == ("row_value", "data.csv:3")


def test_limits_come_from_the_mapping(tmp_path: Path) -> None:
    """Limits are in the channel's unit: 281.15 K is 8 °C, 2 K a minute is 2 °C a minute; what is left out is off."""
    first, second = mapping(tmp_path, WIDE).gateway[0].limits.channels
    assert (first.quantity, first.upper, first.hold_ms) == (Quantity.TEMPERATURE, 8_000, 90_000)
    assert (first.above_stretch_max_ms, first.rate_max, first.gap_max_ms) == (500, 2_000, OFF_U32)
    assert second.upper == OFF_HIGH


def test_other_files(tmp_path: Path) -> None:
    """A file with another header and one that is cut off are named; the rest is taken. Without any, it is an error."""
    good = HEAD + b"2021-04-20 00:00:01,1,s1\n" * 1
    whole = gzip.compress(
        HEAD + b"".join(b"2021-04-20 00:%02d:%02d,%d,s1\n" % (k // 60, k % 60, k) for k in range(2, 2000))
    )
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "good.csv").write_bytes(good)
    (tmp_path / "other.csv").write_bytes(b"a,b\n1,2\n")
    (tmp_path / "noise.csv.gz").write_bytes(b"no gzip")
    files = find_files([tmp_path])
    items = list(Replay(files, mapping(tmp_path, LONG)))
    refused = {item.origin: item.code for item in items if isinstance(item, LineRefused)}
    assert refused.pop("other.csv:1") == "file_header"
    assert refused.pop("noise.csv.gz") == refused.pop("cut.csv.gz") == "file_damaged"
    assert refused == {} or set(refused.values()) <= {"line_columns", "row_time", "row_sensor"}
    with pytest.raises(ServiceError, match="replay_file"):
        list(Replay([tmp_path / "other.csv"], mapping(tmp_path, LONG)))
    with pytest.raises(ServiceError, match="replay_file"):
        find_files([tmp_path / "absent"])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[[gateway]]\nname='a'\nchannel=[{channel=1,sensor='s',unit='furlong'}]", "furlong"),
        ("[[gateway]]\nname='a'\nchannel=[{channel=1,sensor='s'}]", "either a unit"),
        (
            "[[gateway]]\nname='a'\nchannel=[{channel=1,sensor='s',unit='C'},{channel=1,sensor='r',unit='C'}]",
            "ascending",
        ),
        (
            "[[gateway]]\nname='a'\nchannel=[{channel=1,sensor='s',unit='C'},{channel=2,sensor='s',unit='C'}]",
            "twice",
        ),
        (
            "[csv]\nzone='Mars/Olympus'\n[[gateway]]\nname='a'\nchannel=[{channel=1,sensor='s',unit='C'}]",
            "zone",
        ),
        ("[csv]\ntimes='x'\n[[gateway]]\nname='a'\nchannel=[{channel=1,sensor='s',unit='C'}]", "times"),
        ("[csv", "map.toml"),
        ("", "gateway"),
    ],
)
def test_a_mapping_that_is_wrong_says_where(tmp_path: Path, text: str, wanted: str) -> None:
    """ServiceError `mapping` names the key or what was wanted."""
    with pytest.raises(ServiceError) as caught:
        mapping(tmp_path, text)
    assert caught.value.code == "mapping"
    assert wanted in str(caught.value)


def test_local_times(tmp_path: Path) -> None:
    """Times without a zone are in the mapping's zone."""
    text = LONG.replace(
        'sensor = "id"', 'sensor = "id"\nzone = "+02:00"\ntime_format = "%d.%m.%Y %H:%M:%S"', 1
    )
    readings, _ = replay(tmp_path, text, data=HEAD + b"20.04.2021 02:00:05,1,s1\n")
    assert readings[0].time_ms == T0_MS + 5_000


def test_detection_of_common_layouts(tmp_path: Path) -> None:
    """Long, wide and one file a sensor are told from the header; a quantity only where a name says it."""
    (tmp_path / "long.csv").write_text(
        "timestamp,value,sensor_id\n2021-04-20 00:00:00,1,10\n2021-04-20 00:00:00,2,9\n"
    )
    (tmp_path / "wide.csv").write_text("Time;temp_in;door\n2021-04-20 00:00:00;1;0\n")
    (tmp_path / "probe.csv").write_text("timestamp,value\n2021-04-20 00:00:00,1\n")
    found = {}
    for name in ("long", "wide", "probe"):
        files = [tmp_path / f"{name}.csv"]
        guessed = detect(files)
        assert not [item for item in Replay(files, guessed) if isinstance(item, LineRefused)]
        found[name] = (guessed.csv.layout, [(c.sensor, c.code) for c in guessed.gateway[0].channel])
    assert found == {
        "long": ("long", [("9", 32768), ("10", 32768)]),
        "wide": ("wide", [("door", 32768), ("temp_in", Quantity.TEMPERATURE)]),
        "probe": ("file", [("probe", 32768)]),
    }
    (tmp_path / "none.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ServiceError, match="mapping would help"):
        detect([tmp_path / "none.csv"])


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Streaming: 10 000 lines take no more memory than a few hundred do."""
    row = b"2021-04-%02d %02d:%02d:%02d,%d,s1\n"
    lines = (row % (1 + k // 86_400, k // 3600 % 24, k // 60 % 60, k % 60, k % 100) for k in range(10_000))
    (tmp_path / "data.csv").write_bytes(HEAD + b"".join(lines))
    made = mapping(tmp_path, LONG)
    tracemalloc.start()
    count = sum(1 for _ in Replay([tmp_path / "data.csv"], made))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 10_000
    assert peak < 500_000


@pytest.mark.skipif(not RAW.is_dir(), reason="the recorded cold rooms are not beside the checkout")
def test_the_recorded_cold_rooms() -> None:
    """All lines of three days accounted for: the figures are counted apart, with wc and grep over the raw files."""
    replayed = Replay(find_files([RAW]), load_mapping(EXAMPLE))
    items = list(replayed)
    refused = Counter(item.code for item in items if isinstance(item, LineRefused))
    assert refused == {"line_nul": 4, "file_header": 1}
    readings = [item for item in items if isinstance(item, ReplayReading)]
    assert (
        len(readings) == 80_824 - 1 - 4
    )  # lines with a header each for three files taken off, less those refused
    assert not [r for r in readings if r.value_milli in (-127_000, 327_670) and not r.flags]
    assert sum(1 for r in readings if r.flags) == 8_981
    assert {r.gateway for r in readings} == {"new-and-wip-room", "rooms", "power"}
    assert {r.flags for r in readings if (r.gateway, r.channel) == ("rooms", 6)} == {FAULT}
