"""Clients of the broker: how they connect, how long they wait, and their errors in our tree."""

import gc
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka import errors as kafka_errors
from kafka.net.compat import KafkaNetClient

from lading.errors import ServiceError
from lading.kafka.transport import keep_last_words
from lading.log import RECORD_BYTES_MAX

BATCH_BYTES_MAX = RECORD_BYTES_MAX + 2 * 1024 * 1024
"""The broker's `message.max.bytes`: a longest record with its key and what a batch has around it."""
OPEN_S = 5.0
REQUEST_S = 10.0
"""An answer that takes longer counts as lost with its connection. The broker drops what it has seen before."""
RECONNECT_S_MAX = 0.5
RETRY_S = 0.05
DELIVERY_MS = 2**31 - 1
"""Longer than any outage: kafka-python's idempotent producer never sends again once it let a sent batch expire."""
FETCH_BYTES = 8 * 1024 * 1024
PARTITION_FETCH_BYTES = 4 * 1024 * 1024
FETCH_WAIT_MS = 5
"""Short: the broker answers a consumer in turn, so that waiting at one partition's end holds up what others have."""
_PRODUCE_BATCH_BYTES = 512 * 1024
_LINGER_MS = 1_000  # nothing waits for it: `flush` sends what is not full
_WORDS_MAX = 300
_LINES_MAX = 64
_TELLING = ("uthentication failed", "certificate")

T = TypeVar("T")

# By the broker's word: the records are not in the log, and would be refused again.
REFUSALS = (
    kafka_errors.MessageSizeTooLargeError,
    kafka_errors.RecordListTooLargeError,
    kafka_errors.InvalidRecordError,
    kafka_errors.InvalidTimestampError,
    kafka_errors.InvalidTopicError,
    kafka_errors.PolicyViolationError,
    kafka_errors.AuthorizationError,
    kafka_errors.UnsupportedForMessageFormatError,
)
_CODES: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((kafka_errors.MessageSizeTooLargeError, kafka_errors.RecordListTooLargeError), "log_record"),
    ((kafka_errors.InvalidRecordError, kafka_errors.InvalidTimestampError), "log_record"),
    ((kafka_errors.UnknownTopicOrPartitionError, kafka_errors.InvalidTopicError), "log_topic"),
    ((kafka_errors.TopicAuthorizationFailedError, kafka_errors.PolicyViolationError), "log_topic"),
    ((kafka_errors.InvalidReplicationFactorError, kafka_errors.InvalidPartitionsError), "log_topic"),
    ((kafka_errors.KafkaStorageError,), "log_full"),
    ((kafka_errors.LogTruncationError,), "log_lost"),
)


class _LastWords(logging.Handler):
    """What the clients logged. The reason why a connection failed is there and in no exception."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said: deque[tuple[float, str]] = deque(maxlen=_LINES_MAX)

    def emit(self, record: logging.LogRecord) -> None:
        self._said.append((time.monotonic(), record.getMessage()[:_WORDS_MAX]))

    def since(self, from_s: float) -> str:
        """The last line that tells of passwords or certificates; where none does, the last."""
        said = [text for at_s, text in list(self._said) if at_s >= from_s]
        telling = [text for text in said if any(word in text for word in _TELLING)]
        return f"; the client said: {(telling or said)[-1]}" if said else ""


keep_last_words()
_last_words = _LastWords()
_client_log = logging.getLogger("kafka")
_client_log.addHandler(_last_words)
_client_log.propagate = False  # an outage is told once, by our error, and not at each try to connect


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is, who we are to it, how long one answer may take. `password` is kept out of every text."""

    bootstrap: str
    security_protocol: str = "PLAINTEXT"
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    user: str | None = None
    password: str | None = None
    sasl_mechanism: str = "SCRAM-SHA-256"
    request_s: float = REQUEST_S

    def __repr__(self) -> str:
        return f"Broker({self.bootstrap!r}, {self.security_protocol!r}, user={self.user!r})"

    def options(self) -> dict[str, Any]:
        """What all clients are given."""
        common: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap.split(","),
            "client_id": "lading",
            "security_protocol": self.security_protocol,
            "request_timeout_ms": int(self.request_s * 1000),
            "bootstrap_timeout_ms": int(min(OPEN_S, self.request_s) * 1000),
            "reconnect_backoff_max_ms": int(RECONNECT_S_MAX * 1000),
            "retry_backoff_ms": int(RETRY_S * 1000),
        }
        for option, path in (
            ("ssl_cafile", self.ca),
            ("ssl_certfile", self.certificate),
            ("ssl_keyfile", self.key),
        ):
            if path is not None:
                common[option] = str(path)
        if self.security_protocol.startswith("SASL"):
            common["sasl_mechanism"] = self.sasl_mechanism
            common["sasl_plain_username"] = self.user
            common["sasl_plain_password"] = self.password
        return common

    def admin(self) -> Any:
        """Asks and orders."""
        return opened(KafkaAdminClient, **self.options())

    def consumer(
        self,
        *,
        partition_bytes: int = PARTITION_FETCH_BYTES,
        fetch_bytes: int = FETCH_BYTES,
        wait_ms: int = FETCH_WAIT_MS,
    ) -> Any:
        """Reads where it is told to, in no group. A position outside the log is an error, never a jump."""
        return opened(
            KafkaConsumer,
            **self.options(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=wait_ms,
            fetch_max_bytes=fetch_bytes,
            max_partition_fetch_bytes=partition_bytes,
            metrics_enabled=False,
        )

    def producer(self, delivery_ms: int = DELIVERY_MS) -> "Producer":
        """Appends: each record once and in order, as long as this producer lives."""
        return opened(
            Producer,
            **self.options(),
            acks="all",
            enable_idempotence=True,
            delivery_timeout_ms=max(delivery_ms, _LINGER_MS + int(self.request_s * 1000)),
            max_block_ms=int(self.request_s * 1000),
            linger_ms=_LINGER_MS,
            batch_size=_PRODUCE_BATCH_BYTES,
            max_request_size=BATCH_BYTES_MAX,
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )


class Producer(KafkaProducer):  # type: ignore[misc]
    """kafka-python's producer, which can also be given up: its own `close` first flushes what is stuck, and fails."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._unregister_cleanup()  # at exit nobody waits: what was not acknowledged was not promised

    def __del__(self) -> None:
        """Nothing: `give_up` ends it, or the process does. The library would flush here, and fail."""

    def give_up(self, wait_s: float) -> None:
        """End its thread and connections; what is not sent stays unsent."""
        self._sender.force_close()
        self._sender.join(wait_s)
        with suppress(kafka_errors.KafkaError):
            self.close(0)


def opened(kind: Callable[..., T], **options: Any) -> T:
    """A client. One that finds no broker leaves a thread and sockets behind, which would add up over an outage."""
    made: list[KafkaNetClient] = []

    def net_client(**configs: Any) -> KafkaNetClient:
        made.append(KafkaNetClient(**configs))
        return made[-1]

    try:
        return kind(kafka_client=net_client, **options)
    except BaseException:
        for client in made:
            client.close()
        made.clear()
        gc.collect()  # its sockets are in reference cycles
        raise


@contextmanager
def service_errors(what: str) -> Iterator[None]:
    """kafka-python's errors as ServiceError. `what` was to be done."""
    from_s = time.monotonic()
    try:
        yield
    except kafka_errors.KafkaError as exc:
        raise as_service_error(exc, what, from_s) from exc
    except (
        OSError,
        RuntimeError,
        ValueError,
    ) as exc:  # a loop that ended, a host name without address, a key file
        raise ServiceError("log_failed", f"{what}: {exc}{_last_words.since(from_s)}") from exc


def as_service_error(exc: BaseException, what: str, from_s: float) -> ServiceError:
    """The error that a caller of the log knows. `from_s`: what clients said since then belongs to it."""
    code = next((code for kinds, code in _CODES if isinstance(exc, kinds)), "log_failed")
    return ServiceError(code, f"{what}: {exc}{_last_words.since(from_s)}")


def patiently(call: Callable[[], T], deadline_s: float) -> T:
    """`call`, again while its error may pass, until `deadline_s` of the monotonic clock."""
    while True:
        try:
            return call()
        except kafka_errors.RetriableError:
            if time.monotonic() >= deadline_s:
                raise
            time.sleep(RETRY_S)
