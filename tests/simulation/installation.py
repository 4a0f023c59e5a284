"""One installation in a folder: settings, keys, what it runs on, and the stages as processes that can be killed."""

import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lading.account import Account
from lading.chain import Chain, connect
from lading.cose import KeySigner
from lading.errors import ServiceError
from lading.gateways import GatewayEntry, save_gateways
from lading.log import OpenLog
from lading.opening import open_log
from lading.settings import load_shared
from lading.supervise import lading_command
from tests.simulation.parts import CommandPart, DrillError, Part
from tests.simulation.services import Embedded, Process, Real, Services

ACCOUNTS = ("deployer", "anchor", "settle", "carrier", "shipper")
TENANT = "drill"
HOUR_MS = 3_600_000
BEGIN_MS = 1_750_032_000_000  # 2025-06-16
LEG_MS = 3 * HOUR_MS
SAMPLE_MS = 120_000
WINDOW_S = 3  # from an anchor to its finality in the registry
START_LIMIT_S = 300.0

_SETTINGS = """
[lading]
tenant = "{tenant}"
data = "data"
{services}
[anomaly]
poll_s = 0.1
[anchoring]
interval_s = 1
poll_s = 0.2
resend_s = 2
[settle]
poll_s = 0.3
resend_s = 2
[edge]
seed = {seed}
speed = {speed}
begin = {begin}
end = {end}
flush_s = 240
drill_salts = true
link = {{ protocol = "{protocol}" }}
"""
_GATEWAY = '[[edge.gateways]]\nname = "{name}"\nsource = "{source}"\nsample_s = {sample_s}\nset_c = {set_c}\n'
_STORY = '[[edge.gateways.story]]\nkind = "{kind}"\nbegin = {begin}\nend = {end}\n'


@dataclass(frozen=True)
class Happening:
    """What a gateway goes through in each leg, as a part of the leg's time."""

    kind: str
    begin: float
    end: float


@dataclass(frozen=True)
class Member:
    """One gateway of the drill."""

    name: str
    source: str
    set_c: float
    channels: tuple[int, ...]
    happenings: tuple[Happening, ...] = ()


_WARMING = (Happening("door-left-open", 0.2, 0.9), Happening("compressor-failure", 0.2, 0.9))
MEMBERS = (
    Member("warm", "reefer", 6.5, tuple(range(1, 10)), _WARMING),
    Member("cool", "reefer", 5.0, tuple(range(1, 10))),
    Member("away", "cold-room", 3.5, (1, 2, 3, 4, 5, 9), (Happening("offline", 0.2, 0.7),)),
)  # fmt: skip


class Installation:
    """Settings and keys from a seed, and all parts by name. Gateways' readings follow from the seed alone."""

    def __init__(
        self, folder: Path, seed: int, speed: float, is_real: bool, sample_ms: int = SAMPLE_MS
    ) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.config = folder / "lading.toml"
        self._seed = seed
        self._speed = speed
        self.sample_ms = sample_ms
        self.resting: set[str] = set()  # parts that are away on purpose
        (self.data / "keys").mkdir(parents=True)
        self.services: Services = (Real if is_real else Embedded)(folder, self.config)
        self.stages = {name: self._stage(name, one) for name, one in self.services.processes.items()}
        self.parts: dict[str, Part] = {**self.services.parts, **self.stages}
        self.operator = self._key("operator")
        self.operator.save(self.data / "operator.pem")
        self.signers = {member.name: self._key(member.name) for member in MEMBERS}
        for name, signer in self.signers.items():
            signer.save(self.data / "keys" / f"{name}.pem")
        entries = [GatewayEntry(signer.public, TENANT, name=name) for name, signer in self.signers.items()]
        save_gateways(self.data / "gateways.json", entries)
        for name in ACCOUNTS:
            self.account(name).save(self.data / f"{name}.key")
        self.write_settings(0, BEGIN_MS - 1)

    def account(self, name: str) -> Account:
        """A chain account of this machine."""
        return Account.from_seed(f"drill {self._seed} {name}".encode())

    def gateway_id(self, name: str) -> bytes:
        """Hash of a gateway's key."""
        return self.signers[name].public.gateway_id

    def write_settings(self, legs: int, end_ms: int) -> None:
        """Gateways sample until `end_ms`; stories of so many legs. Whoever starts next reads it."""
        text = _SETTINGS.format(
            tenant=TENANT,
            services=self.services.tables,
            protocol=self.services.protocol,
            seed=self._seed,
            speed=self._speed,
            begin=_toml_time(BEGIN_MS),
            end=_toml_time(end_ms),
        )
        for member in MEMBERS:
            text += _GATEWAY.format(
                name=member.name, source=member.source, sample_s=self.sample_ms // 1000, set_c=member.set_c
            )
            for leg in range(legs):
                for one in member.happenings:
                    begin_ms, end_of_it_ms = (
                        round(leg_begin_ms(leg) + part * LEG_MS) for part in (one.begin, one.end)
                    )
                    text += _STORY.format(
                        kind=one.kind, begin=_toml_time(begin_ms), end=_toml_time(end_of_it_ms)
                    )
        draft = self.config.with_suffix(".new")
        draft.write_text(text, encoding="utf-8")
        draft.replace(self.config)

    def open_log(self) -> OpenLog:
        """The log that joins the stages, as the settings have it. To be closed."""
        return open_log(load_shared(self.config))

    def chain(self) -> Chain:
        """The chain."""
        return connect(self.services.chain_url)

    # Parts

    def start_services(self) -> None:
        """Services, and contracts on the chain."""
        for part in self.services.parts.values():
            part.start()
        self.until_ready(self.services.parts)
        self.services.fund(self.account(name).address for name in ACCOUNTS)
        self.command("anchoring", "deploy", "--window-s", str(WINDOW_S))

    def start(self) -> None:
        """Services, then the stages."""
        self.start_services()
        for stage in self.stages.values():
            stage.start()

    def until_ready(self, names: Iterable[str]) -> None:
        """Wait until these parts work."""
        self.until("parts start", lambda: all(self.parts[name].is_ready() for name in names), START_LIMIT_S)

    def command(self, *arguments: str) -> str:
        """Run a command to its end; what it printed."""
        done = subprocess.run(
            [*lading_command(*arguments), "--config", str(self.config)],
            capture_output=True,
            text=True,
            timeout=START_LIMIT_S,
            check=False,
        )
        if done.returncode:
            raise DrillError(f"lading {' '.join(arguments)}: {done.returncode}\n{done.stderr[-3_000:]}")
        return done.stdout

    def until(self, what: str, condition: Callable[[], bool], limit_s: float, poll_s: float = 0.05) -> None:
        """Wait for a condition; DrillError when it does not come in time, or a part has ended as it may not.

        A condition that asks a service which is away just now does not hold.
        """
        deadline_s = time.monotonic() + limit_s
        while not _holds(condition):
            for part in self._begun():
                part.tend()
            if time.monotonic() > deadline_s:
                tails = "\n".join(f"--- {name}\n{part.log_tail()}" for name, part in self.parts.items())
                raise DrillError(f"{what}: not within {limit_s:.0f} s\n{tails}")
            time.sleep(poll_s)

    def stop(self) -> None:
        """End everything, however it stands; stages first."""
        for part in reversed(self._begun()):
            part.stop()

    def _begun(self) -> list[Part]:
        return [part for name, part in self.parts.items() if part.started_s and name not in self.resting]

    def _stage(self, name: str, one: Process) -> CommandPart:
        command = [*lading_command(one.stage, "run"), "--config", str(self.config)]
        ready = f"{one.stage}_started".encode()
        return CommandPart(command, self.folder / f"{name}.log", ready, one.environment)

    def _key(self, name: str) -> KeySigner:
        return KeySigner.from_seed(f"drill {self._seed} {name}".encode())


def leg_begin_ms(leg: int) -> int:
    """When a leg's readings begin; they end when the next leg's begin."""
    return BEGIN_MS + leg * LEG_MS


def _toml_time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except ServiceError:
        return False
