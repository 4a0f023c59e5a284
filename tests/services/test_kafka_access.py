"""Passwords, encryption and rights on the real Kafka: what a stage needs is open to it, each other path is denied."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from lading import topics
from lading.certs import Authority, utc_now
from lading.cose import KeySigner
from lading.errors import ServiceError
from lading.gateways import GatewayEntry, save_gateways
from lading.kafka.access import STAGES, Grant, grant_all, grants, set_password
from lading.kafka.clients import Broker
from lading.kafka.log import KafkaLog
from tests.ports import free_port
from tests.services.kafka_broker import PROPERTIES, ROOT, KafkaBroker, read_properties
from tests.services.mosquitto import Mosquitto
from tests.waiting import LIMIT_S, until

SECURE = ROOT / "deploy/kafka/secure.properties"
SCRAM = "SCRAM-SHA-256"
ADMIN = "the admin's password"
PARTS = ("air", "temperature", "humidity", "door", "light", "shock", "latitude", "longitude", "battery")
CHANNELS = "".join(f'{number} = "{part}"\n' for number, part in enumerate(PARTS, 1))


class SecureKafka(KafkaBroker):
    """The broker as deploy/kafka/secure.properties sets it up."""

    def __init__(self, folder: Path) -> None:
        self.certs = folder / "certs"
        authority = Authority.create(self.certs, utc_now())
        authority.issue_server("kafka", ("localhost", "127.0.0.1"), utc_now(), is_peer=True)
        authority.issue_client("stranger", "stranger", utc_now())
        Authority.create(folder / "foreign", utc_now())
        super().__init__(folder)

    def _places(self, controller_port: int) -> dict[str, str]:
        self.broker_port = free_port()
        path = self.certs / "secure.properties"
        path.write_text(SECURE.read_text("utf-8").replace("/etc/lading/certs", str(self.certs)), "utf-8")
        listeners = f"SASL_SSL://127.0.0.1:{self.port},BROKER://localhost:{self.broker_port}"
        self._here = {
            **super()._places(controller_port),
            "controller.quorum.voters": f"1@localhost:{controller_port}",
            "listeners": f"{listeners},CONTROLLER://localhost:{controller_port}",
            "advertised.listeners": listeners,
        }
        return {**read_properties(path), **self._here}

    def _write(self) -> None:
        """As docs/security.md says: one file after the other, then what is of this place alone."""
        files = (PROPERTIES, self.certs / "secure.properties")
        own = "".join(f"{key}={value}\n" for key, value in self._here.items())
        self._config.write_text("\n".join([*(path.read_text("utf-8") for path in files), own]), "utf-8")

    def client(self, user: str, password: str = "") -> Broker:
        """Who may show a password."""
        password = password or f"the password of {user}"
        ca = self.certs / "ca.crt"
        return Broker(self.bootstrap, "SASL_SSL", ca, user=user, password=password, request_s=15)

    def _run(self, main: str, *arguments: str) -> None:
        admin = f"{SCRAM}=[name=admin,iterations=8192,password={ADMIN}]"
        super()._run(main, *arguments[:-1], "--add-scram", admin, arguments[-1])

    def _answers(self) -> bool:
        try:
            self.client("admin", ADMIN).admin().close()
        except Exception:  # noqa: BLE001 (not yet)
            return False
        return True


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """With a user for each stage, their rights, and the topics."""
    broker = SecureKafka(tmp_path_factory.mktemp("secure"))
    broker.start()
    try:
        admin = broker.client("admin", ADMIN)
        for user in (*STAGES, "stranger"):
            set_password(admin, user, f"the password of {user}", SCRAM)
        assert grant_all(admin, grants("")) == len(list(grants("")))
        with closing(KafkaLog(admin)) as log:
            for topic in topics.LOG_TOPICS:
                log.create(topic)
                log.append(
                    topic, [(b"key", b"value")]
                )  # who may only ask after an empty one could read it to its end
        yield broker
    finally:
        broker.stop()


def log_of(broker: Broker) -> KafkaLog:
    """Its log, which waits no longer than a test wants to."""
    return KafkaLog(broker, create_topics=False, append_s=8, answer_s=4)


def is_allowed(broker: SecureKafka, user: str, what: str, topic: str) -> bool:
    """Whether a user can append to, read, or commit in a topic. What is denied must be said to be."""
    with closing(log_of(broker.client(user))) as log:
        try:
            if what == "append":
                log.append(topic, [(b"key", b"value")])
            elif what == "read":
                log.read(topic, {}, 1)
            else:
                log.commit(what, topic, {0: 0})
        except ServiceError as exc:
            if "uthoriz" in str(exc):
                return False
            raise
    return True


@pytest.mark.parametrize("user", STAGES)
def test_a_stage_can_do_its_work(secure: SecureKafka, user: str) -> None:
    """It appends, reads, commits for its groups and asks about those it watches."""
    rights = STAGES[user]
    there = set(topics.LOG_TOPICS)
    with closing(log_of(secure.client(user))) as log:
        for topic in there.intersection(rights.appends):
            assert log.append(topic, [(b"key", b"value")])[0][0] == 0
        for topic in there.intersection(rights.reads):
            log.read(topic, {}, 1)
            assert log.end(topic)[0] >= 0
            for group in rights.commits:
                log.commit(group, topic, {0: 0})
                assert log.committed(group, topic) == {0: 0}
            for group in rights.sees:
                log.committed(group, topic)


@pytest.mark.parametrize(
    ("user", "what", "topic"),
    [
        *[(user, "append", topics.FRAMES) for user in STAGES if user != "ingest"],
        *[(user, "append", topics.VERDICTS) for user in STAGES if user != "anomaly"],
        *[(user, "append", topics.BATCHES) for user in STAGES if user != "anchoring"],
        *[(user, "append", topics.ANCHORS) for user in STAGES if user != "anchoring"],
        *[(user, "append", topics.SETTLEMENTS) for user in STAGES if user != "settle"],
        ("anomaly", "append", topics.ASSIGNMENTS),
        ("ingest", "read", topics.SETTLEMENTS),
        ("anomaly", "read", topics.DEAD),
        ("anchoring", "read", topics.VERDICTS),
        ("stranger", "read", topics.FRAMES),
        ("stranger", "append", topics.FRAMES),
        ("series", "anomaly", topics.FRAMES),
        ("anomaly", "archive", topics.BATCHES),
    ],
)
def test_other_paths_are_denied(secure: SecureKafka, user: str, what: str, topic: str) -> None:
    """By topic, by operation, and by group (another's position cannot be moved)."""
    assert not is_allowed(secure, user, what, topic)


def test_stages_neither_make_topics_nor_grant(secure: SecureKafka) -> None:
    """That is the administrator's."""
    with closing(log_of(secure.client("ingest"))) as log, pytest.raises(ServiceError, match="uthoriz"):
        log.create("lading.other.v1")
    with pytest.raises(ServiceError):
        grant_all(secure.client("ingest"), grants("", ["ingest"]))
    with pytest.raises(ServiceError):
        set_password(secure.client("ingest"), "admin", "another password", SCRAM)


def test_a_right_that_is_given_later_is_used(secure: SecureKafka) -> None:
    """Who may append nowhere is told so at once, and goes on with the same log when it may."""
    set_password(secure.client("admin", ADMIN), "late", "the password of late", SCRAM)
    right = Grant("late", "topic", topics.DEAD, "WRITE", False)
    with closing(log_of(secure.client("late"))) as log:
        grant_all(secure.client("admin", ADMIN), [replace(right, operation="READ")])
        with pytest.raises(ServiceError, match="uthoriz"):
            log.append(topics.DEAD, [(b"key", b"value")])
        grant_all(secure.client("admin", ADMIN), [right])
        assert log.append(topics.DEAD, [(b"key", b"value")])


def refusal(broker: Broker) -> str:
    """What a log says that cannot be opened."""
    with closing(log_of(broker)) as log, pytest.raises(ServiceError) as refused:
        log.append(topics.FRAMES, [(b"key", b"value")])
    return str(refused.value)


def test_who_is_not_let_in_is_told_why(secure: SecureKafka) -> None:
    """A wrong password, no user of that name, no encryption, a broker of another authority."""
    ingest = secure.client("ingest")
    assert "uthentication" in refusal(replace(ingest, password="wrong"))
    assert "uthentication" in refusal(secure.client("nobody"))
    assert refusal(Broker(secure.bootstrap, request_s=5))
    assert "certificate verify failed" in refusal(
        replace(ingest, ca=secure.certs.parent / "foreign" / "ca.crt")
    )
    with pytest.raises(ServiceError):
        set_password(secure.client("admin", ADMIN), "ingest", "short", SCRAM)
    assert is_allowed(secure, "ingest", "append", topics.FRAMES)


def test_a_strangers_certificate_is_no_brokers(secure: SecureKafka) -> None:
    """The brokers' own listener takes the authority's certificates, and gives a stranger no right."""
    crt, key = (secure.certs / f"stranger.{suffix}" for suffix in ("crt", "key"))
    stranger = Broker(
        f"localhost:{secure.broker_port}", "SSL", secure.certs / "ca.crt", crt, key, request_s=5
    )
    assert "uthoriz" in refusal(stranger)
    assert refusal(replace(stranger, certificate=None, key=None))


def test_by_command_line(secure: SecureKafka, tmp_path: Path) -> None:
    """`lading log user` and `grant` by the administrator, then a stage with its own user works."""
    (tmp_path / "admin").write_text(ADMIN)
    (tmp_path / "new").write_text("a password that is long")
    (tmp_path / "lading.toml").write_text(
        f'[log]\nkind = "kafka"\nbootstrap = "{secure.bootstrap}"\nsecurity_protocol = "SASL_SSL"\n'
        f'ca = "{secure.certs}/ca.crt"\nuser = "admin"\npassword_file = "{tmp_path}/admin"\nprefix = "site."\n'
    )

    def run(*arguments: str) -> str:
        call = "from lading.cli import main; main()"
        command = [sys.executable, "-c", call, "log", *arguments, "--config", str(tmp_path / "lading.toml")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("init")
    assert f"{'ingest':10} {'WRITE':9} topic  site.{topics.FRAMES}" in run("grant")
    run("user", "ingest", "--password-file", str(tmp_path / "new"))
    changed = secure.client("ingest", "a password that is long")
    with closing(KafkaLog(changed, prefix="site.", create_topics=False)) as log:
        log.append(topics.FRAMES, [(b"key", b"value")])
    set_password(secure.client("admin", ADMIN), "ingest", "the password of ingest", SCRAM)


def test_stages_run_with_their_own_users(secure: SecureKafka, tmp_path: Path) -> None:
    """Processes, each with its user and its rights alone: from frames to a verdict, an anchor and the archive."""
    admin = secure.client("admin", ADMIN)
    grant_all(admin, grants("whole."))
    with closing(KafkaLog(admin, prefix="whole.", partitions=2)) as log:
        for topic in topics.LOG_TOPICS:
            log.create(topic)
    broker = Mosquitto(tmp_path).start()
    site = Installation(tmp_path, secure, broker.port)
    try:
        site.start("chain", "anchoring", "chain", "--port", str(site.chain_port))
        until(lambda: is_open(site.chain_port))
        site.run("operator", "anchoring", "deploy", "--window-s", "2")
        for stage in ("ingest", "anomaly", "anchoring", "settle", "edge"):
            site.start(stage, stage, "run")
        site.run("operator", "leg", "begin", "PO 77", "truck-1", "--wait-s", "90")
        with closing(KafkaLog(secure.client("operator"), prefix="whole.", partitions=2)) as log:
            for topic in (topics.VERDICTS, topics.BATCHES, topics.ANCHORS):
                until(lambda topic=topic: sum(log.end(topic).values()) > 0, 120)
            until(lambda: {"ingest", "archive", "anomaly"} <= set(log.groups()))
            assert sum(log.end(topics.DEAD).values()) == 0
        site.run("operator", "log", "list")
        assert "uthoriz" not in site.said()
    finally:
        site.stop()
        broker.stop()


def is_open(port: int) -> bool:
    """Whether something listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Installation:
    """Settings that all share, and each process's user by its environment."""

    def __init__(self, folder: Path, kafka: SecureKafka, port: int) -> None:
        self.folder = folder
        self.chain_port = free_port()
        self._processes: list[subprocess.Popen[bytes]] = []
        self.config = folder / "lading.toml"
        self.config.write_text(
            f'[lading]\ndata = "data"\n[lading.channels.truck-1]\n{CHANNELS}[mqtt]\nport = {port}\nprotocol = "5"\n'
            f'[log]\nkind = "kafka"\nbootstrap = "{kafka.bootstrap}"\nsecurity_protocol = "SASL_SSL"\n'
            f'ca = "{kafka.certs}/ca.crt"\nprefix = "whole."\npartitions = 2\ncreate_topics = false\n'
            f'[chain]\nrpc = "http://127.0.0.1:{self.chain_port}"\n[anchoring]\ninterval_s = 2\npoll_s = 0.2\n'
            '[edge]\nflush_s = 1\n[[edge.gateways]]\nname = "truck-1"\nsource = "reefer"\nsample_s = 1\n',
            "utf-8",
        )
        signer = KeySigner.generate()
        (folder / "data" / "keys").mkdir(parents=True)
        signer.save(folder / "data" / "keys" / "truck-1.pem")
        KeySigner.generate().save(folder / "data" / "operator.pem")
        save_gateways(
            folder / "data" / "gateways.json", [GatewayEntry(signer.public, "demo", name="truck-1")]
        )

    def said(self) -> str:
        """What the processes logged."""
        return "".join(path.read_text() for path in self.folder.glob("*.txt"))

    def start(self, user: str, *arguments: str) -> None:
        """A process as a user of the log."""
        with (self.folder / f"{user}.txt").open("ab") as output:
            command, environment = self._command(*arguments), self._environment(user)
            process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        self._processes.append(process)

    def run(self, user: str, *arguments: str) -> None:
        """A command to its end."""
        command, environment = self._command(*arguments), self._environment(user)
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, env=environment
        )
        assert done.returncode == 0, done.stderr

    def stop(self) -> None:
        """End all."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(LIMIT_S)

    def _command(self, *arguments: str) -> list[str]:
        call = "from lading.cli import main; main()"
        return [sys.executable, "-c", call, *arguments, "--config", str(self.config)]

    def _environment(self, user: str) -> dict[str, str]:
        path = self.folder / f"{user}.password"
        path.write_text(f"the password of {user}")
        return {**os.environ, "LADING_LOG_USER": user, "LADING_LOG_PASSWORD_FILE": str(path)}
