"""Grafana's HTTP API through grafana-api, by raw paths only: its helpers go by numbers that Grafana 13 drops."""

from typing import Any
from urllib.parse import urlsplit

from lading.errors import ServiceError

ANSWER_S_MAX = 15.0
NOT_FOUND = 404


class Grafana:
    """One server. Every call ends within ANSWER_S_MAX of silence, or in a ServiceError `grafana`."""

    def __init__(self, url: str, token: str) -> None:
        from grafana_api.grafana_api import GrafanaAPI

        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ServiceError("grafana", f"{url!r}, wanted http://HOST or https://HOST")
        prefix = parts.path.strip("/")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self._url = url
        self._api = GrafanaAPI(
            token, host, parts.port, f"{prefix}/" if prefix else "", parts.scheme, timeout=ANSWER_S_MAX
        )

    def get(self, path: str) -> Any:
        """GET; None where there is nothing of that name."""
        return self._call("GET", path)

    def post(self, path: str, document: Any) -> Any:
        """POST."""
        return self._call("POST", path, document)

    def patch(self, path: str, document: Any) -> Any:
        """PATCH; None where there is nothing of that name."""
        return self._call("PATCH", path, document)

    def delete(self, path: str) -> Any:
        """DELETE; None where there is nothing of that name."""
        return self._call("DELETE", path)

    def close(self) -> None:
        """Close its connections."""
        self._api.s.close()

    def _call(self, method: str, path: str, document: Any = None) -> Any:
        import requests
        from grafana_api.grafana_api import GrafanaException

        try:
            return getattr(self._api, method)(path, json=document)
        except GrafanaException as exc:
            if exc.status_code == NOT_FOUND and method != "POST":
                return None
            raise ServiceError("grafana", f"{self._url}: {method} {path}: {exc.message}") from exc
        except (requests.RequestException, ValueError, TypeError, AttributeError) as exc:
            raise ServiceError("grafana", f"{self._url}: {method} {path}: {exc!r}") from exc
