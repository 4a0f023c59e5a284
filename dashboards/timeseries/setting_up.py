"""A new InfluxDB made ready: first user, organisation, bucket, InfluxQL database, and tokens of least privilege.

What is there already stays, so it can be run at every start. InfluxDB makes the tokens of the writer and the boards
itself: they go into files that only their owner reads, and an existing file is left as it is.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.domain.authorization import Authorization
from influxdb_client.domain.bucket_retention_rules import BucketRetentionRules
from influxdb_client.domain.dbrp_create import DBRPCreate
from influxdb_client.domain.onboarding_request import OnboardingRequest
from influxdb_client.domain.permission import Permission
from influxdb_client.domain.permission_resource import PermissionResource
from influxdb_client.rest import ApiException
from influxdb_client.service.dbr_ps_service import DBRPsService
from influxdb_client.service.setup_service import SetupService

from dashboards.timeseries.sink import read_token
from lading.errors import ServiceError

USER = "lading"
RETENTION_POLICY = "autogen"
TOKEN_BYTES = 32
TIMEOUT_MS = 30_000
PAGE = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """What there shall be. `retention_s` 0 keeps points for ever; without `password_file` nobody knows the password."""

    url: str
    org: str
    bucket: str
    admin_file: Path
    writer_file: Path
    boards_file: Path
    password_file: Path | None = None
    retention_s: int = 0
    ca_file: Path | None = None


def set_up(wanted: Wanted) -> dict[str, str]:
    """Make what is missing; what became of each part: made, or there. ServiceError `series_…`."""
    done: dict[str, str] = {}
    with _errors(wanted.url):
        done["user"] = "made" if _set_up_server(wanted) else "there"
        with _client(wanted, read_token(wanted.admin_file)) as client:
            org_id, done["organisation"] = _ensure_org(client, wanted)
            bucket_id, done["bucket"] = _ensure_bucket(client, wanted, org_id)
            done["database"] = _ensure_database(client, wanted, org_id, bucket_id)
            for name, action, path in (
                ("writer_token", "write", wanted.writer_file),
                ("boards_token", "read", wanted.boards_file),
            ):
                done[name] = _ensure_token(client, org_id, bucket_id, action, path)
    return done


def write_secret(path: Path, secret: str) -> None:
    """A file that only its owner reads, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _set_up_server(wanted: Wanted) -> bool:
    """True when the server was new."""
    with _client(wanted, None) as client:
        service = SetupService(client.api_client)
        if not service.get_setup().allowed:
            return False
        if not wanted.admin_file.exists():
            write_secret(wanted.admin_file, secrets.token_urlsafe(TOKEN_BYTES))
        given = wanted.password_file
        request = OnboardingRequest(
            username=USER,
            password=read_token(given) if given else secrets.token_urlsafe(TOKEN_BYTES),
            org=wanted.org,
            bucket=wanted.bucket,
            retention_period_seconds=wanted.retention_s,
            token=read_token(wanted.admin_file),
        )
        service.post_setup(request)
    return True


def _ensure_org(client: Any, wanted: Wanted) -> tuple[str, str]:
    api = client.organizations_api()
    for org in api.find_organizations():
        if org.name == wanted.org:
            return org.id, "there"
    return api.create_organization(name=wanted.org).id, "made"


def _ensure_bucket(client: Any, wanted: Wanted, org_id: str) -> tuple[str, str]:
    api = client.buckets_api()
    for bucket in api.find_buckets(name=wanted.bucket, org_id=org_id, limit=PAGE).buckets:
        if bucket.name == wanted.bucket:
            return bucket.id, "there"
    rules = [BucketRetentionRules(type="expire", every_seconds=wanted.retention_s)]
    made = api.create_bucket(bucket_name=wanted.bucket, org_id=org_id, retention_rules=rules)
    return made.id, "made"


def _ensure_database(client: Any, wanted: Wanted, org_id: str, bucket_id: str) -> str:
    """The InfluxQL database of the bucket's name. A virtual one is no promise: it goes where a real one is made."""
    service = DBRPsService(client.api_client)
    for mapping in service.get_dbr_ps(org_id=org_id, db=wanted.bucket).content:
        if mapping.virtual:
            continue
        if mapping.bucket_id != bucket_id:
            raise ServiceError(
                "series_database",
                f"InfluxQL's {wanted.bucket} is bucket {mapping.bucket_id}, wanted {bucket_id}",
            )
        return "there"
    service.post_dbrp(
        DBRPCreate(
            org_id=org_id,
            bucket_id=bucket_id,
            database=wanted.bucket,
            retention_policy=RETENTION_POLICY,
            default=True,
        )
    )
    return "made"


def _ensure_token(client: Any, org_id: str, bucket_id: str, action: str, path: Path) -> str:
    """A token that may do one thing with one bucket."""
    if path.exists():
        return "there"
    resource = PermissionResource(type="buckets", id=bucket_id, org_id=org_id)
    asked = Authorization(org_id=org_id, permissions=[Permission(action=action, resource=resource)])
    asked.description = f"lading: {action} one bucket"
    made = client.authorizations_api().create_authorization(authorization=asked)
    write_secret(path, made.token)
    return "made"


def _client(wanted: Wanted, token: str | None) -> Any:
    options: dict[str, Any] = {"url": wanted.url, "token": token, "org": wanted.org, "timeout": TIMEOUT_MS}
    if wanted.ca_file:
        options["ssl_ca_cert"] = str(wanted.ca_file)
    return InfluxDBClient(**options)


@contextmanager
def _errors(url: str) -> Iterator[None]:
    try:
        yield
    except ApiException as exc:
        code = "series_token" if exc.status in (401, 403) else "series_refuses"
        raise ServiceError(code, f"{url} answers {exc.status}: {exc.body or exc.reason}") from exc
    except urllib3.exceptions.HTTPError as exc:
        raise ServiceError("series_unreachable", f"{url}: {exc}, wanted InfluxDB") from exc
    except OSError as exc:
        raise ServiceError("series_token", f"{exc}, wanted a place for tokens") from exc
