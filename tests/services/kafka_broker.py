"""Starts the real Apache Kafka from the jars in the cache, with the settings that deploy/kafka ships."""

import os
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.waiting import LIMIT_S, until

ROOT = Path(__file__).parents[2]
PROPERTIES = ROOT / "deploy/kafka/server.properties"
POM = Path(__file__).parent / "real/kafka/pom.xml"
CLUSTER_ID = "lzfYvXwOR9SNRcWxHedS9Q"
START_S_MAX = 300.0  # on a busy machine
# Small and quick to start: a broker for tests is no faster with more.
JVM = ("-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=WARN")


def servers() -> Path:
    """The cache that tests/services/real/install.sh fills."""
    own = os.environ.get("LADING_SERVERS")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(own) if own else cache / "lading/servers"


def kafka_jars() -> Path:
    """The folder of Kafka's jars; without it the test is skipped, and fails where CI=true."""
    home = servers() / f"kafka-{sha256(POM.read_bytes()).hexdigest()[:16]}"
    if (home / ".complete").exists() and shutil.which("java"):
        return home / "libs"
    reason = "Kafka is not installed: tests/services/real/install.sh (it needs java and mvn)"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def read_properties(path: Path) -> dict[str, str]:
    """A properties file: key=value lines and comments."""
    lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    pairs = [line.split("=", 1) for line in lines if line and not line.startswith("#")]
    return {key.strip(): value.strip() for key, value in pairs}


class KafkaBroker:
    """One broker over one folder: killed and started again it keeps its data and its port.

    `extra` are properties beside or instead of the file's.
    """

    def __init__(self, folder: Path, extra: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self._jars = kafka_jars()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.properties = {**read_properties(PROPERTIES), **self._places(free_port()), **(extra or {})}
        self._write()
        self._run("kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", CLUSTER_ID, "-c")

    def _places(self, controller_port: int) -> dict[str, str]:
        return {
            "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "log.dirs": str(self._folder / "data"),
        }

    @property
    def data(self) -> Path:
        """Where the broker keeps its topics."""
        return Path(self.properties["log.dirs"])

    @property
    def log_path(self) -> Path:
        """What the broker said."""
        return self._folder / "broker.log"

    @property
    def pid(self) -> int:
        """The running broker."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> "KafkaBroker":
        """Start, or start again; ready on return."""
        assert self._process is None, "it runs"
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command("kafka.Kafka", str(self._config)), stdout=log, stderr=log, cwd=self._folder
            )
        try:
            until(self._is_ready, START_S_MAX)
        except AssertionError:
            self.kill()
            pytest.fail(f"Kafka did not start: {self.log_path.read_text()[-3000:]}")
        return self

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """SIGTERM: the broker writes out what it has."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def fill_up(self, file_bytes_max: int) -> None:
        """From now on no file gets longer: as on a full disk. Starting again gives room again."""
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (file_bytes_max, resource.RLIM_INFINITY))

    def wait_ended(self) -> int:
        """Until the broker ends by itself; its exit status."""
        assert self._process is not None
        status = self._process.wait(START_S_MAX)
        self._process = None
        return status

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "Kafka ended"
        time.sleep(0.05)
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                pass
        except OSError:
            return False
        return self._answers()

    def _answers(self) -> bool:
        from kafka import KafkaAdminClient
        from kafka.errors import KafkaError

        try:
            admin = KafkaAdminClient(bootstrap_servers=self.bootstrap, bootstrap_timeout_ms=10_000)
        except KafkaError:
            return False
        admin.close()
        return True

    @property
    def _config(self) -> Path:
        return self._folder / "server.properties"

    def _write(self) -> None:
        self._config.write_text(
            "".join(f"{key}={value}\n" for key, value in self.properties.items()), "utf-8"
        )

    def _command(self, main: str, *arguments: str) -> list[str]:
        return ["java", *JVM, "-cp", f"{self._jars}/*", main, *arguments]

    def _run(self, main: str, *arguments: str) -> None:
        done = subprocess.run(
            self._command(main, *arguments, str(self._config)), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def fresh_prefix() -> str:
    """Before topics and groups of one test on a shared broker."""
    return f"test-{secrets.token_hex(6)}."
