"""Which user of the broker may do what in the log: the least that each stage needs (docs/security.md)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
    UserScramCredentialUpsertion,
)

from lading import topics
from lading.errors import ServiceError
from lading.kafka.clients import Broker, service_errors

PASSWORD_BYTES_MIN = 12
SCRAM_ITERATIONS = 8_192


@dataclass(frozen=True, slots=True)
class Rights:
    """Topics that a user reads and appends to; groups (by what their names begin with) that it commits for or sees.

    `asks`: topics whose partitions it compares, without seeing a record.
    """

    reads: tuple[str, ...]
    appends: tuple[str, ...] = ()
    commits: tuple[str, ...] = ()
    sees: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()


STAGES: dict[str, Rights] = {
    "ingest": Rights(
        (topics.RAW, topics.FRAMES, topics.ASSIGNMENTS, topics.CLONES, topics.DEAD, topics.BATCHES),
        (topics.RAW, topics.FRAMES, topics.ASSIGNMENTS, topics.CLONES, topics.DEAD),
        ("ingest", "archive"),
        asks=topics.OF_A_GATEWAY,
    ),
    "anomaly": Rights(
        (
            topics.FRAMES,
            topics.ASSIGNMENTS,
            topics.CLONES,
            topics.BATCHES,
            topics.ANCHORS,
            topics.VERDICTS,
            topics.ANOMALIES,
        ),
        (topics.VERDICTS, topics.ANOMALIES),
        ("anomaly",),
        asks=topics.OF_A_GATEWAY,
    ),
    "anchoring": Rights((topics.FRAMES, topics.BATCHES, topics.ANCHORS), (topics.BATCHES, topics.ANCHORS)),
    "settle": Rights(
        (topics.FRAMES, topics.BATCHES, topics.ANCHORS, topics.VERDICTS, topics.SETTLEMENTS),
        (topics.SETTLEMENTS,),
        ("settle",),
    ),
    "series": Rights(
        topics.LOG_TOPICS, (), ("series", "annotations"), ("ingest", "archive", "anomaly", "settle")
    ),
    "operator": Rights(
        topics.LOG_TOPICS, (), (), ("ingest", "archive", "anomaly", "settle", "series", "annotations")
    ),
}


@dataclass(frozen=True, slots=True)
class Grant:
    """One right of one user, as the broker keeps it."""

    user: str
    kind: str  # topic or group
    name: str
    operation: str  # READ, WRITE or DESCRIBE
    is_prefix: bool

    def binding(self) -> ACL:
        """For the broker."""
        pattern = ACLResourcePatternType.PREFIXED if self.is_prefix else ACLResourcePatternType.LITERAL
        resource = ResourcePattern(ResourceType[self.kind.upper()], self.name, pattern)
        return ACL(f"User:{self.user}", "*", ACLOperation[self.operation], ACLPermissionType.ALLOW, resource)


def grants(prefix: str, users: Iterable[str] = STAGES) -> Iterator[Grant]:
    """What the stages' users need, where every topic and group begins with `prefix`. The right to read or append
    brings that to describe with it."""
    for user in users:
        rights = STAGES[user]
        for names, kind, operation in (
            (rights.reads, "topic", "READ"),
            (rights.appends, "topic", "WRITE"),
            (rights.asks, "topic", "DESCRIBE"),
            (rights.commits, "group", "READ"),
            (rights.sees, "group", "DESCRIBE"),
        ):
            for name in dict.fromkeys(names):
                yield Grant(user, kind, prefix + name, operation, kind == "group")


def grant_all(broker: Broker, wanted: Iterable[Grant]) -> int:
    """Give rights; those that are there stay. How many. ServiceError where the broker refuses."""
    bindings = [grant.binding() for grant in wanted]
    with service_errors("granting rights"):
        admin = broker.admin()
        try:
            failed = admin.create_acls(bindings)["failed"]
        finally:
            admin.close()
    if failed:
        raise ServiceError("log_access", f"{len(failed)} of {len(bindings)} rights were refused: {failed[0]}")
    return len(bindings)


def set_password(broker: Broker, user: str, password: str, mechanism: str) -> None:
    """Make a SCRAM user, or change its password. ServiceError `log_access` for one that is short."""
    if len(password.encode()) < PASSWORD_BYTES_MIN:
        raise ServiceError(
            "log_access", f"password of {len(password.encode())} bytes, wanted {PASSWORD_BYTES_MIN} or more"
        )
    credential = UserScramCredentialUpsertion(user, mechanism, password, SCRAM_ITERATIONS)
    with service_errors(f"setting the password of {user}"):
        admin = broker.admin()
        try:
            refused = admin.alter_user_scram_credentials([credential])[user]
        finally:
            admin.close()
    if refused is not None:
        raise ServiceError("log_access", f"the password of {user} was not set: {refused}")
