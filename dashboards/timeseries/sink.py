"""InfluxDB through influxdb-client: lines in, acknowledged on return; what it refuses is found line by line.

InfluxDB refuses a request as a whole where a line does not parse (400), and drops single points where a field's type
differs from what is there, or a point is older than the bucket keeps (422: the others are written). A request is tried
again in halves until the bad line stands alone: writing a good line twice changes nothing.
"""

import json
import re
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

from dashboards.timeseries.lines import Chunk
from dashboards.timeseries.state import Refused
from lading import metrics
from lading.errors import ServiceError

TIMEOUT_S = 30.0
THREADS = 2
TOKEN_BYTES_MAX = 4_096
REASON_CHARS_MAX = 400
REFUSED_OF_CHUNK_MAX = 100
"""More bad lines than this in one request are no accident of data: nothing is given up, and the writer waits."""

UNPARSABLE, CONFLICT, TOO_OLD, TOO_LARGE = "unparsable", "type_conflict", "too_old", "too_large"

_STATES = {401: "series_token", 403: "series_token", 404: "series_missing"}
_DROPPED = re.compile(r"dropped (\d+) points? outside retention policy")


class Sink:
    """One bucket. ServiceError `series_…` when nothing is acknowledged of what was given: give it again."""

    def __init__(
        self,
        url: str,
        org: str,
        bucket: str,
        token_file: Path,
        *,
        timeout_s: float = TIMEOUT_S,
        threads: int = THREADS,
        gzip: bool = False,
        ca_file: Path | None = None,
    ) -> None:
        self._org, self._bucket, self._token_file = org, bucket, token_file
        self._options: dict[str, Any] = {
            "url": url,
            "org": org,
            "timeout": int(timeout_s * 1000),
            "enable_gzip": gzip,
            "connection_pool_maxsize": threads,
        }
        if ca_file is not None:
            self._options["ssl_ca_cert"] = str(ca_file)
        self._client: Any = None
        self._write_api: Any = None
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, "series")

    def close(self) -> None:
        """End the threads and the connections."""
        self._pool.shutdown(cancel_futures=True)
        self._disconnect()

    def write(self, chunks: Iterable[Chunk], *, in_order: bool) -> tuple[int, list[Refused]]:
        """Write everything: how many points, and those that will never be taken.

        `in_order`: where lines of several chunks may be of one point; else a few requests are under way at once.
        """
        self._connect()
        at_once = 1 if in_order else self._threads + 1
        points = 0
        refused: list[Refused] = []
        under_way: deque[tuple[Chunk, Future[list[Refused]]]] = deque()

        def settle() -> int:
            chunk, future = under_way.popleft()
            found = future.result()
            refused.extend(found)
            return chunk.points - sum(one.points for one in found)

        try:
            for chunk in chunks:
                if len(under_way) >= at_once:
                    points += settle()
                under_way.append((chunk, self._pool.submit(self._write_chunk, chunk)))
            while under_way:
                points += settle()
        except ServiceError as exc:
            wait([future for _, future in under_way if not future.cancel()])
            if exc.code == "series_token":
                self._disconnect()  # the file may hold another one by now
            raise
        return points, refused

    def _write_chunk(self, chunk: Chunk) -> list[Refused]:
        refused: list[Refused] = []
        waiting = [chunk]
        while waiting:
            part = waiting.pop()
            problem = self._try(part)
            if problem is None:
                continue
            if part.points > 1 and problem.code != TOO_OLD:
                waiting += _halves(part)
                continue
            refused.append(problem)
            if len(refused) > REFUSED_OF_CHUNK_MAX:
                raise ServiceError(
                    "series_refuses",
                    f"more than {REFUSED_OF_CHUNK_MAX} of {chunk.points} points, the last for {problem.reason}",
                )
        return refused

    def _try(self, chunk: Chunk) -> Refused | None:
        """One request; None when it was taken whole."""
        begin_s = time.monotonic()
        try:
            self._write_api.write(self._bucket, self._org, chunk.body, write_precision=chunk.precision)
        except ApiException as exc:
            return _refusal(exc, chunk)
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            raise ServiceError(
                "series_unreachable", f"{self._options['url']}: {exc}, wanted InfluxDB"
            ) from exc
        finally:
            metrics.SERIES_WRITE.observe(time.monotonic() - begin_s)
        return None

    def _connect(self) -> None:
        if self._client is None:
            token = read_token(self._token_file)
            client = InfluxDBClient(token=token, **self._options)
            _require_influxdb(client, self._options["url"])
            self._client = client
            self._write_api = client.write_api(write_options=SYNCHRONOUS)

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def read_token(path: Path) -> str:
    """A token from its file; ServiceError `series_token`."""
    try:
        token = path.read_text("utf-8")[:TOKEN_BYTES_MAX].strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ServiceError("series_token", f"{path}: {exc}, wanted a file with InfluxDB's token") from exc
    if not token.isascii() or not token.isprintable() or not token:
        raise ServiceError("series_token", f"{path} holds no token, wanted one line of ASCII")
    return token


def _require_influxdb(client: Any, url: str) -> None:
    """Another server might answer writes kindly, and keep nothing. ServiceError `series_unreachable`."""
    try:
        version = client.version()
    except (ApiException, urllib3.exceptions.HTTPError, OSError) as exc:
        raise ServiceError("series_unreachable", f"{url}: {exc}, wanted InfluxDB") from exc
    if not version:
        raise ServiceError("series_unreachable", f"{url} answers, but is no InfluxDB")


def _refusal(exc: Any, chunk: Chunk) -> Refused | None:
    """What InfluxDB said of the lines; ServiceError when it is not about them."""
    status, reason = int(exc.status or 0), _message(exc)
    if status == 400 and "unable to parse" in reason:
        return Refused(UNPARSABLE, reason, chunk.body)
    if status == 422 and (dropped := _DROPPED.search(reason)):
        return Refused(TOO_OLD, reason, b"", min(int(dropped[1]), chunk.points))  # the others were written
    if status == 422 and "partial write" in reason:
        return Refused(CONFLICT, reason, chunk.body)
    if status == 413:
        return Refused(TOO_LARGE, reason, chunk.body)
    raise ServiceError(_STATES.get(status, "series_busy"), f"InfluxDB answers {status}: {reason}")


def _message(exc: Any) -> str:
    """The answer's message; of another server's page its beginning."""
    try:
        text = str(json.loads(exc.body)["message"])
    except (ValueError, KeyError, TypeError):
        text = str(exc.body or exc.reason or exc.message)
    return text[:REASON_CHARS_MAX]


def _halves(chunk: Chunk) -> list[Chunk]:
    lines = chunk.body.splitlines(keepends=True)
    middle = len(lines) // 2
    return [
        Chunk(b"".join(part), len(part), chunk.precision) for part in (lines[middle:], lines[:middle]) if part
    ]
