"""Links from a cell, and from board to board."""

from dashboards.boards.influxql import Json


def to_board(uid: str, title: str, *columns: str) -> Json:
    """From a table's row to a board about it: `columns` become the variables of their names. The range goes along."""
    chosen = "".join(f"&var-{name}=${{__data.fields.{name}:percentencode}}" for name in columns)
    return {"title": title, "url": f"/d/{uid}?${{__url_time_range}}{chosen}", "targetBlank": False}
