"""Promises of `lading edge listen`: what is shown is what was said, bounded; the lines it offers are settings."""

import io
import tomllib

from rich.console import Console

from edge.hearing import DEVICES_MAX, NODES_MAX, SEEN_MAX, SenmlEar, SparkplugEar, toml_lines
from edge.listening import document, show
from edge.settings import GatewaySettings
from edge.sparkplug.values import Sensor
from tests.unit.edge.sparkplug_proto import bd_seq, message

NOW_MS = 1_750_032_000_000
GATEWAY = GatewaySettings.model_validate(
    {
        "name": "gw",
        "source": "sparkplug",
        "sensor": [
            {"name": "G/N/D/air", "unit": "Cel", "channel": 1},
            {"name": "G/N/D/gone", "unit": "Cel", "channel": 3},
        ],
    }
)


def hearing(*births: dict) -> SparkplugEar:
    """One node with one device, whose metrics are given."""
    ear = SparkplugEar([Sensor(one.name, one.unit, one.channel) for one in GATEWAY.sensor])
    say(
        ear,
        "NBIRTH",
        "N",
        bd_seq(0),
        {"name": "Node Control/Rebirth", "type": "Boolean", "value": False},
        seq=0,
    )
    say(ear, "DBIRTH", "N/D", *births, seq=1)
    return ear


def say(ear: SparkplugEar, kind: str, where: str, *metrics: dict, seq: int | None = None) -> None:
    node, *device = where.split("/")
    ear.take(
        "/".join(["spBv1.0", "G", kind, node, *device]),
        message(*metrics, seq=seq, time_ms=NOW_MS),
        False,
        NOW_MS,
    )


AIR = {"name": "air", "alias": 1, "value": 4.5, "timestamp": NOW_MS}
SUN = {"name": "sun", "type": "Float", "value": 21.3, "properties": {"engUnit": ("string_value", "lx")}}


def test_each_sensor_its_channel_or_why_not() -> None:
    """Mapped, not mapped, of a type that is no reading, in the settings and silent; the protocol's own left out."""
    ear = hearing(
        AIR,
        SUN,
        {"name": "door", "type": "Boolean", "value": True},
        {"name": "model", "type": "String", "value": "x"},
    )
    say(ear, "DDATA", "N/D", {"alias": 1, "value": 5.5, "is_born": False}, seq=2)
    said = document(GATEWAY, ear)
    shown = [
        (one["name"], one["kind"], one["value"], one["count"], one["channel"]) for one in said["sensors"]
    ]
    assert shown == [
        ("G/N/D/air", "Double", "5.5", 2, 1),
        ("G/N/D/sun", "Float", "21.3", 1, None),
        ("G/N/D/door", "Boolean", "true", 1, None),
        ("G/N/D/model", "String", "", 1, None),
    ]
    assert said["silent"] == ["G/N/D/gone"]
    assert [one["is_reading"] for one in said["sensors"]] == [True, True, True, False]


def test_the_lines_are_settings() -> None:
    """Pasted, they take the sensors: the publisher's units, free channels. A unit it does not say is asked for."""
    ear = hearing(
        AIR, SUN, {"name": "door", "type": "Boolean", "value": True}, {"name": 'a "b"\\/c', "value": 1}
    )
    text = document(GATEWAY, ear)["toml"]
    found = tomllib.loads(text.replace('"?"', '"V"'))["edge"]["gateways"]["sensor"]
    assert [(one["name"], one["unit"], one["channel"]) for one in found] == [
        ("G/N/D/sun", "lx", 2),
        ("G/N/D/door", "open", 4),
        ('G/N/D/a "b"\\/c', "V", 5),
    ]
    GatewaySettings.model_validate({"name": "gw", "source": "sparkplug", "sensor": found})
    assert text.count('"?"') == 1


def test_data_without_births_is_named() -> None:
    """Nobody can say what it means; the node is shown, and asked where that is wanted."""
    ear = SparkplugEar([])
    say(ear, "DDATA", "N/D", {"alias": 1, "value": 5.5, "is_born": False}, seq=2)
    assert document(GATEWAY, ear)["unborn"] == ["G/N"]
    configured = SparkplugEar([Sensor("G/N/D/air", "Cel", 1)])
    assert (configured.waiting, configured.unborn(NOW_MS)) == ([], [("G", "N")])
    assert ear.unborn(NOW_MS) == [("G", "N")]
    assert ear.unborn(NOW_MS + 1) == []


def test_bounds() -> None:
    """Whoever may publish cannot fill the memory: nodes, devices and sensors have limits; the rest is counted."""
    ear = SparkplugEar([])
    for n in range(NODES_MAX + 5):
        say(ear, "NBIRTH", f"N{n}", bd_seq(0), {"name": "a", "value": 1}, seq=0)
    assert len(ear.found.sensors) == NODES_MAX
    assert ear.found.left_out == 5
    for n in range(DEVICES_MAX + 5):
        say(ear, "DBIRTH", f"N0/D{n}", *({"name": f"a{m}", "value": 1} for m in range(10)), seq=(n + 1) % 256)
    assert len(ear.found.sensors) == SEEN_MAX
    assert ear.found.left_out > 5
    ear.take("spBv1.0/G/NDATA/N1", b"\xff", False, NOW_MS)
    assert ear.found.problems["sparkplug_payload"] == 1


def test_names_do_not_command_the_terminal() -> None:
    """Escape sequences and markup of a name are shown, not obeyed; such a name gets no settings."""
    ear = hearing(
        {"name": "a\x1b[2Jb", "value": 1}, {"name": "[red]c[/red]", "value": 1, "timestamp": 2**64 - 1}
    )
    out = io.StringIO()
    show(GATEWAY, ear, Console(file=out, width=200))
    assert "\x1b" not in out.getvalue()
    assert "[red]c[/red]" in out.getvalue()
    assert "not mapped" in out.getvalue()
    assert not any("2J" in line for line in toml_lines(ear.found, []))


def test_senml() -> None:
    """The same for packs."""
    ear = SenmlEar({("a:t", 1): 7})
    pack = b'[{"bn":"a:","n":"t","u":"Cel","v":23.1},{"n":"d","vb":true},{"n":"x","u":"mile","v":1},{"n":"s","vs":"x"}]'
    ear.take("t", pack, False, NOW_MS)
    ear.take("t", b"{", False, NOW_MS)
    said = document(GATEWAY.model_copy(update={"source": "senml", "sensor": ()}), ear)
    assert [(one["name"], one["kind"], one["channel"], one["problem"]) for one in said["sensors"]] == [
        ("a:t", "Cel", 7, ""),
        ("a:d", "open", None, ""),
        ("a:x", "mile", None, "senml_unit"),
        ("a:s", "no unit", None, "senml_value"),
    ]
    assert said["refused"] == {"senml_json": 1}
    assert tomllib.loads(said["toml"])["edge"]["gateways"]["sensor"] == [
        {"name": "a:d", "unit": "open", "channel": 1}
    ]
