"""One installation in a folder: settings, keys, two services, and the five stages as processes that can be killed."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from anchoring.keys import OPERATORS
from lading.account import Account
from lading.cose import KeySigner
from lading.gateways import GatewayEntry, save_gateways
from lading.supervise import lading_command
from tests.ports import free_port

STAGES = ("edge", "ingest", "anomaly", "anchoring", "settle")
TENANT = "drill"
HOUR_MS = 3_600_000
BEGIN_MS = 1_750_032_000_000  # 2025-06-16
LEG_MS = 3 * HOUR_MS
SAMPLE_MS = 120_000
WINDOW_S = 3  # from an anchor to its finality in the registry
START_LIMIT_S = 90.0
LOG_TAIL_CHARS = 3_000

_SETTINGS = """
[lading]
tenant = "{tenant}"
data = "data"
[mqtt]
port = {mqtt_port}
[chain]
rpc = "http://127.0.0.1:{chain_port}"
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
link = {{ protocol = "3.1.1" }}
"""
_GATEWAY = '[[edge.gateways]]\nname = "{name}"\nsource = "{source}"\nsample_s = {sample_s}\nset_c = {set_c}\n'
_STORY = '[[edge.gateways.story]]\nkind = "{kind}"\nbegin = {begin}\nend = {end}\n'


class DrillError(AssertionError):
    """A promise is broken, or something did not come in time."""


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


@dataclass
class Running:
    """One process: `is_ready` once its own log says that it has started."""

    process: "subprocess.Popen[bytes]"
    log: Path
    log_from: int
    started_s: float
    ready_s: float | None = None


class Installation:
    """Settings and keys from a seed, and the processes. Gateways' readings follow from the seed alone."""

    def __init__(self, folder: Path, seed: int, speed: float) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.config = folder / "lading.toml"
        self.mqtt_port, self.chain_port = free_port(), free_port()
        self._seed = seed
        self._speed = speed
        self.running: dict[str, Running] = {}
        (self.data / "keys").mkdir(parents=True)
        self.operator = self._key("operator")
        self.operator.save(self.data / "operator.pem")
        self.signers = {member.name: self._key(member.name) for member in MEMBERS}
        for name, signer in self.signers.items():
            signer.save(self.data / "keys" / f"{name}.pem")
        entries = [GatewayEntry(signer.public, TENANT, name=name) for name, signer in self.signers.items()]
        save_gateways(self.data / "gateways.json", entries)
        for name in (*OPERATORS, "anchor", "settle"):
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
            mqtt_port=self.mqtt_port,
            chain_port=self.chain_port,
            seed=self._seed,
            speed=self._speed,
            begin=_toml_time(BEGIN_MS),
            end=_toml_time(end_ms),
        )
        for member in MEMBERS:
            text += _GATEWAY.format(
                name=member.name, source=member.source, sample_s=SAMPLE_MS // 1000, set_c=member.set_c
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

    # Processes

    def start_services(self) -> None:
        """Broker and chain, with the contracts on it: these are not killed."""
        self._spawn("broker", "ingest", "broker")
        self._spawn("chain", "anchoring", "chain", "--port", str(self.chain_port))
        self.until("broker", lambda: _listens(self.mqtt_port), START_LIMIT_S)
        self.until("chain", lambda: _listens(self.chain_port), START_LIMIT_S)
        self.command("anchoring", "deploy", "--window-s", str(WINDOW_S))

    def start(self, stage: str) -> None:
        """Start a stage."""
        self._spawn(stage, stage, "run")

    def kill(self, stage: str) -> None:
        """SIGKILL."""
        self._end(stage, signal.SIGKILL)

    def terminate(self, stage: str) -> None:
        """SIGTERM, and wait."""
        self._end(stage, signal.SIGTERM)

    def is_ready(self, name: str) -> bool:
        """Whether a process has said that it has started."""
        running = self.running[name]
        if running.ready_s is None:
            with running.log.open("rb") as file:
                file.seek(running.log_from)
                if b"_started" in file.read():
                    running.ready_s = time.monotonic()
        return running.ready_s is not None

    def check_alive(self) -> None:
        """DrillError when a process has ended by itself."""
        for name, running in self.running.items():
            if running.process.poll() is not None:
                raise DrillError(f"{name} ended with {running.process.returncode}\n{self.log_tail(name)}")

    def log_tail(self, name: str) -> str:
        """The end of what a process wrote."""
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace")[-LOG_TAIL_CHARS:] if path.exists() else "no log"

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
            raise DrillError(
                f"lading {' '.join(arguments)}: {done.returncode}\n{done.stderr[-LOG_TAIL_CHARS:]}"
            )
        return done.stdout

    def until(self, what: str, condition: Callable[[], bool], limit_s: float, poll_s: float = 0.05) -> None:
        """Wait for a condition; DrillError when it does not come in time, or a process ends meanwhile."""
        deadline_s = time.monotonic() + limit_s
        while not condition():
            self.check_alive()
            if time.monotonic() > deadline_s:
                tails = "\n".join(f"--- {name}\n{self.log_tail(name)}" for name in self.running)
                raise DrillError(f"{what}: not within {limit_s:.0f} s\n{tails}")
            time.sleep(poll_s)

    def stop(self) -> None:
        """End everything, however it stands."""
        for running in self.running.values():
            running.process.kill()
            running.process.wait()
        self.running.clear()

    def _spawn(self, name: str, *arguments: str) -> None:
        path = self.folder / f"{name}.log"
        with path.open("ab") as output:
            log_from = output.tell()
            process = subprocess.Popen(
                [*lading_command(*arguments), "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        self.running[name] = Running(process, path, log_from, time.monotonic())

    def _end(self, name: str, number: int) -> None:
        running = self.running[name]
        self.check_alive()
        running.process.send_signal(number)
        code = running.process.wait(START_LIMIT_S)
        if code not in (0, -number):
            raise DrillError(f"{name} ended with {code} on signal {number}\n{self.log_tail(name)}")

    def _key(self, name: str) -> KeySigner:
        return KeySigner.from_seed(f"drill {self._seed} {name}".encode())


def leg_begin_ms(leg: int) -> int:
    """When a leg's readings begin; they end when the next leg's begin."""
    return BEGIN_MS + leg * LEG_MS


def _toml_time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
