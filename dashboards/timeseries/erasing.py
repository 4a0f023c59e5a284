"""Erasing readings from InfluxDB, after they are erased from the archive and the log. What was judged of them stays."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.rest import ApiException

from dashboards.timeseries import schema
from dashboards.timeseries.lines import tag_value
from dashboards.timeseries.names import HEX_DIGITS
from dashboards.timeseries.sink import read_token
from lading.errors import ServiceError

ERASED = (schema.READING, schema.POSITION)
TIMEOUT_MS = 600_000
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(2262, 1, 1, tzinfo=UTC)


class Eraser:
    """Deletes with the writer's token: who may write a bucket may delete from it."""

    def __init__(
        self, url: str, org: str, bucket: str, token_file: Path, ca_file: Path | None = None
    ) -> None:
        self._url, self._org, self._bucket = url, org, bucket
        self._token_file, self._ca_file = token_file, ca_file

    def erase_leg(self, leg_id: str, reference: str | None) -> None:
        """Readings and positions of a leg, under its reference and under its id (hex)."""
        for name in (leg_id[:HEX_DIGITS], *([reference] if reference else [])):
            self._delete(f' AND leg="{_quoted(name)}"', _LAST)

    def erase_before(self, time_ms: int) -> None:
        """All readings and positions before a time: InfluxDB deletes up to one, and with it."""
        self._delete("", datetime.fromtimestamp((time_ms - 1) / 1000, UTC))

    def _delete(self, more: str, until: datetime) -> None:
        token = read_token(self._token_file)
        options: dict[str, Any] = {"url": self._url, "token": token, "org": self._org, "timeout": TIMEOUT_MS}
        if self._ca_file:
            options["ssl_ca_cert"] = str(self._ca_file)
        try:
            with InfluxDBClient(**options) as client:
                for measurement in ERASED:
                    predicate = f'_measurement="{measurement.name}"{more}'
                    client.delete_api().delete(_FIRST, until, predicate, self._bucket, self._org)
        except (ApiException, urllib3.exceptions.HTTPError, OSError) as exc:
            raise ServiceError("series_erase", f"{self._url}: {exc}, wanted readings to be gone") from exc


def _quoted(name: str) -> str:
    """A tag's value as InfluxDB keeps it, inside a predicate's quotes. It never holds a backslash."""
    kept = tag_value(name)
    for sign in ",= ":
        kept = kept.replace(f"\\{sign}", sign)
    return kept.replace('"', '\\"')
