"""Product profiles: limits as data files, each with its source (lading/data/profiles/*.toml).

    load("vaccine-2-8").limits({1: "air", 2: "door", 3: "latitude"})

gives the limits of a gateway's channels by the part each plays. A part the profile has no limits for is named by
its quantity and recorded without limits.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any

from lading.errors import ServiceError
from lading.limits import ChannelLimits, Limits
from lading.quantities import Quantity

PROFILE_BYTES_MAX = 65_536

_UNITS_MS = {"hours": 3_600_000, "minutes": 60_000, "seconds": 1_000}
_CHANNEL_FIELDS = {field.name for field in fields(ChannelLimits)} - {"channel", "quantity"}


@dataclass(frozen=True)
class Origin:
    """One limit of a profile: its field, the figure as the file has it, and where that comes from."""

    field: str
    figure: str
    milli: int
    source: str
    note: str


@dataclass(frozen=True)
class Role:
    """The limits of one part that a channel can play."""

    name: str
    quantity: Quantity
    origins: tuple[Origin, ...]


@dataclass(frozen=True)
class Profile:
    """A product's limits by role, with the documents they come from."""

    name: str
    title: str
    note: str
    roles: Mapping[str, Role]

    def limits(self, channels: Mapping[int, str]) -> Limits:
        """Limits of channels by role, or by quantity where the profile has no such role."""
        return Limits(tuple(self._channel(number, role) for number, role in sorted(channels.items())))

    def _channel(self, number: int, name: str) -> ChannelLimits:
        role = self.roles.get(name)
        if role is not None:
            values = {origin.field: origin.milli for origin in role.origins}
            return ChannelLimits(number, role.quantity, **values)
        if name.upper() not in Quantity.__members__:
            known = ", ".join([*self.roles, *(quantity.name.lower() for quantity in Quantity)])
            raise ServiceError("profile", f"{self.name} has no role {name!r}, wanted one of {known}")
        return ChannelLimits(number, Quantity[name.upper()])


def names() -> list[str]:
    """The profiles that come with the package."""
    return sorted(
        path.name.removesuffix(".toml")
        for path in resources.files("lading").joinpath("data/profiles").iterdir()
        if path.name.endswith(".toml")
    )


def load(name: str) -> Profile:
    """A profile of the package by its name."""
    if name not in names():
        raise ServiceError("profile", f"no profile {name!r}, wanted one of {', '.join(names())}")
    text = resources.files("lading").joinpath(f"data/profiles/{name}.toml").read_text("utf-8")
    return parse(name, text)


def load_file(path: Path) -> Profile:
    """A profile from a file of one's own."""
    try:
        data = path.read_bytes()
        if len(data) > PROFILE_BYTES_MAX:
            raise ServiceError("profile", f"{path}: {len(data)} bytes, wanted at most {PROFILE_BYTES_MAX}")
        return parse(path.stem, data.decode("utf-8-sig"))
    except OSError as exc:
        raise ServiceError("profile", f"{path}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ServiceError("profile", f"{path} is not UTF-8") from exc


def parse(name: str, text: str) -> Profile:
    """A profile from its toml text. ServiceError `profile` says what is wrong where."""
    try:
        document = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as exc:
        raise ServiceError("profile", f"{name}: {exc}") from exc
    try:
        sources: dict[str, str] = document["sources"]
        roles = {role: _role(role, table, sources) for role, table in document["roles"].items()}
        return Profile(name, document["title"], document["note"], roles)
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as exc:
        raise ServiceError("profile", f"{name}: {exc} is missing, unknown or of the wrong kind") from exc


def _role(name: str, table: dict[str, Any], sources: Mapping[str, str]) -> Role:
    origins = tuple(_origin(key, entry, sources) for key, entry in table.items() if key != "quantity")
    return Role(name, Quantity[table["quantity"].upper()], origins)


def _origin(key: str, entry: Mapping[str, Any], sources: Mapping[str, str]) -> Origin:
    """`upper = { value = 8, source = "label" }` or `hold = { minutes = 20, source = "own", note = "…" }`."""
    figure = {unit: entry[unit] for unit in entry if unit not in ("source", "note")}
    (unit, number), *more = figure.items()
    if more:
        raise ValueError(f"{key}: two figures")
    field = key if unit == "value" else f"{key}_ms"
    if field not in _CHANNEL_FIELDS:
        raise ValueError(f"{key} in {unit}")
    milli = Decimal(number) * (1000 if unit == "value" else _UNITS_MS[unit])
    if milli != int(milli):
        raise ValueError(f"{key}: {number}, finer than thousandths")
    shown = str(number) if unit == "value" else f"{number} {unit}"
    return Origin(field, shown, int(milli), sources[entry["source"]], entry.get("note", ""))
