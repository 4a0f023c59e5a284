"""Table `edge` of lading.toml: the gateways that one process runs, their sensors and their link."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, Field, SecretStr, model_validator

from edge.publisher import KeepUntil
from edge.simulation import (
    CHANNELS,
    Bump,
    ClockStep,
    ClockUnset,
    CompressorFailure,
    DoorLeftOpen,
    Offline,
    SensorFault,
)
from edge.simulation.coldroom import ROOM_CHANNELS
from edge.simulation.stories import TIME_MS_END, Story
from edge.sparkplug.host import SensorName
from edge.units import UNITS
from lading.mqtt import Protocol
from lading.settings import Settings, StageSettings

Source = Literal["reefer", "cold-room", "replay", "senml", "sparkplug"]
SENSING = ("senml", "sparkplug")  # sources with third-party sensors


def milliseconds(time: datetime) -> int:
    """Milliseconds UTC."""
    return int((time.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)


class StorySettings(Settings):
    """Something that happens to a simulated gateway."""

    kind: Literal[
        "compressor-failure", "door-left-open", "offline", "clock-unset", "clock-step", "sensor-fault", "bump"
    ]
    begin: AwareDatetime
    end: AwareDatetime | None = None
    channel: int = Field(1, ge=0, le=65535, description="sensor-fault: which channel fails")
    code: float = Field(-127.0, description="sensor-fault: the error code it reports")
    shift_s: float = Field(-3600.0, description="clock-step: how far the clock is off, s")
    peak_g: float = Field(6.0, ge=0, le=1000, description="bump: greatest acceleration, g")

    def story(self) -> Story:
        """As the simulation wants it."""
        span = (milliseconds(self.begin), TIME_MS_END if self.end is None else milliseconds(self.end))
        match self.kind:
            case "compressor-failure":
                return CompressorFailure(*span)
            case "door-left-open":
                return DoorLeftOpen(*span)
            case "offline":
                return Offline(*span)
            case "clock-unset":
                return ClockUnset(*span)
            case "clock-step":
                return ClockStep(*span, shift_ms=round(self.shift_s * 1000))
            case "sensor-fault":
                return SensorFault(*span, channel=self.channel, code_milli=round(self.code * 1000))
            case "bump":
                return Bump(*span, peak_g=self.peak_g)


class SensorSettings(Settings):
    """A third-party sensor: its full name, its unit, and the channel that its readings get."""

    name: str = Field(
        min_length=1,
        max_length=255,
        description="senml: its full name; sparkplug: GROUP/NODE/DEVICE/METRIC, GROUP/NODE//METRIC for a node's own",
    )
    unit: str = Field(description="a unit of RFC 8428, or `open` for true and false")
    channel: int = Field(ge=0, le=65535)

    @model_validator(mode="after")
    def _known_unit(self) -> "SensorSettings":
        if self.unit not in UNITS:
            raise ValueError(f"unit {self.unit!r}, wanted one of {', '.join(UNITS)}")
        return self


class SparkplugSettings(Settings):
    """How a gateway listens to Sparkplug B."""

    host_id: str | None = Field(
        None,
        max_length=64,
        pattern=r"^[^/+#]+$",
        description="host application's id; none: lading- and 16 hex digits of the gateway's id",
    )
    reorder_s: float = Field(2.0, ge=0, le=60, description="how long an overtaken message may take, s")
    history_s: float = Field(
        10.0,
        ge=0,
        le=60,
        description="how long readings wait after a birth for stored ones that are older, s",
    )
    rebirth: bool = Field(True, description="ask edge nodes for their births where they are not known")


class GatewaySettings(Settings):
    """One gateway and where its readings come from."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    key: Path | None = Field(None, description="key file; by default keys/NAME.pem below `data`")
    source: Source = "reefer"
    sample_s: float = Field(60.0, gt=0, le=86_400, description="simulated: time between samples, s")
    set_c: float | None = Field(None, ge=-40, le=30, description="simulated: set point, °C")
    load_t: float = Field(4.0, gt=0, le=30, description="reefer: load, t")
    story: tuple[StorySettings, ...] = ()
    sensor: tuple[SensorSettings, ...] = Field((), description="senml, sparkplug: the sensors that are taken")
    sparkplug: SparkplugSettings = SparkplugSettings()

    @model_validator(mode="after")
    def _sensors_when_wanted(self) -> "GatewaySettings":
        if self.sensor and self.source not in SENSING:
            raise ValueError("sensors are for the sources senml and sparkplug alone")
        if self.source == "sparkplug":
            names = [SensorName.parse(sensor.name) for sensor in self.sensor]
            if len(set(names)) != len(names):
                raise ValueError("a metric occurs twice")
            if len({sensor.channel for sensor in self.sensor}) != len(names):
                raise ValueError("two metrics have one channel")
        return self

    def channels(self) -> dict[int, int]:
        """Channel to quantity, for every source but a replay, which has its own mapping."""
        if self.source in SENSING:
            return {sensor.channel: int(UNITS[sensor.unit].quantity) for sensor in self.sensor}
        numbers = ROOM_CHANNELS if self.source == "cold-room" else tuple(CHANNELS)
        return {int(number): int(CHANNELS[number]) for number in numbers}


class ReplaySettings(Settings):
    """Recorded data for gateways whose source is `replay`; gateway names are those of the mapping."""

    paths: tuple[Path, ...] = ()
    map: Path | None = Field(None, description="mapping (docs/replay.md); none: told from the header")


class BrokerSettings(Settings):
    """How a broker is spoken to. `{name}` in a path is the gateway's name."""

    protocol: Protocol = "auto"
    ca: Path | None = Field(None, description="certificate authority of the broker")
    certificate: Path | None = Field(None, description="certs/{name}.crt: each gateway has its own")
    key: Path | None = Field(None, description="certs/{name}.key")
    user: str | None = None
    password: SecretStr | None = None


class LinkSettings(BrokerSettings):
    """How gateways speak to the broker of table `mqtt`, where otherwise than that says."""

    keep_until: KeepUntil = Field(
        "receipt",
        description="a frame stays until ingest has it (receipt) or the broker (puback: one that forgets nothing)",
    )
    in_flight_max: int = Field(8, ge=1, le=64, description="frames sent and not yet acknowledged")

    @model_validator(mode="after")
    def _denials_are_told(self) -> "LinkSettings":
        if self.keep_until == "puback" and self.certificate is not None and self.protocol != "5":
            raise ValueError(
                'keep_until "puback" with a certificate wants protocol "5": with MQTT 3.1.1 a broker says PUBACK to'
                " what its access list denies, and drops it"
            )
        return self


class LocalSettings(BrokerSettings):
    """The broker on which third-party sensors publish."""

    host: str | None = Field(None, description="none: the broker of table `mqtt`, as edge.link speaks to it")
    port: int = Field(1883, ge=1, le=65535)

    @model_validator(mode="after")
    def _host_first(self) -> "LocalSettings":
        """Without a host nothing of this table is used: whoever says a user means one."""
        if self.host is None and self.model_fields_set - {"host"}:
            raise ValueError("host is wanted with the rest")
        return self


class EdgeSettings(StageSettings):
    """What one edge process runs."""

    folder: Path = Field(Path("edge"), description="outboxes, below `data` unless absolute")
    operator: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{128}$",
        description="operator's public key, x then y in hex; none: that of the operator's key file",
    )
    gateways: tuple[GatewaySettings, ...] = ()
    replay: ReplaySettings = ReplaySettings()
    link: LinkSettings = LinkSettings()
    local: LocalSettings = LocalSettings()
    flush_s: float = Field(
        600.0, ge=1, le=86_400, description="longest time between two frames, s of event time"
    )
    outbox_bytes_max: int = Field(
        256 * 2**20, ge=2**20, le=2**40, description="frames that wait for the broker, bytes a gateway"
    )
    clock_floor: AwareDatetime = Field(
        datetime(2020, 1, 1, tzinfo=UTC), description="a clock that shows less was never set"
    )
    seed: int = Field(1, description="simulated: one seed gives the same readings")
    begin: AwareDatetime | None = Field(
        None, description="simulated: event time of the first start; none: now"
    )
    end: AwareDatetime | None = Field(None, description="simulated: stop sampling then")
    speed: float = Field(
        1.0, ge=0, le=1e6, description="event seconds a second; 0: as fast as frames are acknowledged"
    )
    drill_salts: bool = Field(
        False,
        description="salts from the seed, so that two runs give the same frames: for drills, hides nothing",
    )

    @model_validator(mode="after")
    def _unique_names(self) -> "EdgeSettings":
        names = [gateway.name for gateway in self.gateways]
        if len(set(names)) != len(names):
            raise ValueError(f"a gateway's name occurs twice among {names}")
        return self
