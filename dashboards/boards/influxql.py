"""InfluxQL as Grafana sends it: one statement a query, names in double quotes, time always bounded by `$timeFilter`.

Grafana puts `time >= … and time <= …` in the place of `$timeFilter`, without brackets: join conditions with AND, and
put any OR in brackets. It reads the first statement's result only.
"""

from typing import Any

Json = dict[str, Any]

DATASOURCE_UID = "lading-influxdb"
DATASOURCE: Json = {"type": "influxdb", "uid": DATASOURCE_UID}
TIME = "$timeFilter"
ROWS_MAX = 500


def chosen(*variables: str) -> str:
    """Tags that match what is chosen in the variables of their name. All is `.*`, which a missing tag matches too.

    The format is given, since Grafana's own for InfluxQL leaves a value that begins with a digit unescaped.
    """
    return " AND ".join(f'"{name}" =~ /^${{{name}:regex}}$/' for name in variables)


def where(*conditions: str) -> str:
    """WHERE with the range of the board."""
    return "WHERE " + " AND ".join([*(condition for condition in conditions if condition), TIME])


def series(select: str, measurement: str, condition: str, *tags: str, fill: str = "none") -> str:
    """One value a series and step of the board."""
    by = ", ".join(["time($__interval)", *(f'"{tag}"' for tag in tags)])
    return f'SELECT {select} FROM "{measurement}" {where(condition)} GROUP BY {by} fill({fill})'


def newest(select: str, measurement: str, condition: str, *tags: str) -> str:
    """One row a series, of the whole range: `select` is of selectors such as last()."""
    by = f" GROUP BY {', '.join(quoted(tags))}" if tags else ""
    return f'SELECT {select} FROM "{measurement}" {where(condition)}{by}'


def rows(fields: tuple[str, ...], tags: tuple[str, ...], measurement: str, condition: str) -> str:
    """Points as they are, newest first, tags as columns."""
    columns = ", ".join([*(f'"{tag}"::tag AS "{tag}"' for tag in tags), *quoted(fields)])
    order = f"ORDER BY time DESC LIMIT {ROWS_MAX}"
    return f'SELECT {columns} FROM "{measurement}" {where(condition)} {order}'


def of_newest(outer: str, field: str, name: str, measurement: str, condition: str, *tags: str) -> str:
    """A figure over the newest value of each series: `outer` is of `name`."""
    inner = newest(f'last("{field}") AS "{name}"', measurement, condition, *tags)
    return f"SELECT {outer} FROM ({inner})"


def quoted(names: tuple[str, ...]) -> list[str]:
    """Identifiers."""
    return [f'"{name}"' for name in names]
