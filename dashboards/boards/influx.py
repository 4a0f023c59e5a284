"""InfluxQL over HTTP, as Grafana's data source asks it: POST /query, one statement, times in ms."""

import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from lading.errors import ServiceError

ANSWER_BYTES_MAX = 64 * 2**20
ANSWER_S_MAX = 30.0


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an answer. A row's values are in the order of `columns`; the first is its time, if asked for."""

    name: str
    tags: dict[str, str]
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


class QueryError(Exception):
    """The server refused this statement; its words."""


class InfluxQL:
    """One database of one server."""

    def __init__(self, url: str, database: str, token: str) -> None:
        self._url = f"{url.rstrip('/')}/query?{urllib.parse.urlencode({'db': database, 'epoch': 'ms'})}"
        self._headers = {
            "Authorization": f"Token {token}",
            "Content-Type": "application/x-www-form-urlencoded",
        }

    def ask(self, query: str) -> list[Series]:
        """The answer's series; QueryError where the statement is refused, ServiceError `influxdb` else."""
        try:
            document = json.loads(self._post(urllib.parse.urlencode({"q": query}).encode()))
            result = document["results"][0]
            if "error" in result:
                raise QueryError(result["error"])
            return [_series(found) for found in result.get("series", ())]
        except (ValueError, KeyError, IndexError, TypeError) as exc:
            raise ServiceError("influxdb", f"{self._url}: no answer of InfluxQL: {exc!r}") from exc

    def _post(self, body: bytes) -> bytes:
        request = urllib.request.Request(self._url, body, self._headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_S_MAX) as answer:
                data: bytes = answer.read(ANSWER_BYTES_MAX + 1)
        except urllib.error.HTTPError as exc:
            words = exc.read(2000).decode("utf-8", "replace")
            if exc.code == 400:
                raise QueryError(words) from exc
            raise ServiceError("influxdb", f"{self._url}: {exc.code} {words}") from exc
        except (OSError, HTTPException) as exc:
            raise ServiceError("influxdb", f"{self._url}: {exc!r}") from exc
        if len(data) > ANSWER_BYTES_MAX:
            raise ServiceError("influxdb", f"an answer of more than {ANSWER_BYTES_MAX} bytes")
        return data


def _series(found: dict[str, Any]) -> Series:
    rows = tuple(tuple(row) for row in found.get("values", ()))
    return Series(found.get("name", ""), found.get("tags", {}), tuple(found["columns"]), rows)
