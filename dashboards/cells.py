"""Tables and the cells in them."""

from collections.abc import Iterable, Sequence

from dashboards.markup import Html, tag


def table(heads: Sequence[str], rows: Iterable[Iterable[object]], cls: str = "") -> Html:
    """A table in a box that scrolls sideways; `th` elements among the cells are kept as they are."""
    head = tag("tr", *(tag("th", head, scope="col") for head in heads))
    body = (tag("tr", *(_cell(cell) for cell in row)) for row in rows)
    inner = tag("table", tag("thead", head), tag("tbody", *body), cls=cls or None)
    return tag("div", inner, cls="scroll", tabindex="0", role="region", aria_label="table")


def _cell(cell: object) -> Html:
    if isinstance(cell, Html) and cell.startswith(("<th", "<td")):
        return cell
    return tag("td", cell)


def figure_cell(shown: object, cls: str = "") -> Html:
    """A right-aligned number."""
    return tag("td", shown, cls=f"n {cls}".strip())


def row_head(*shown: object) -> Html:
    """The cell that names its row."""
    return tag("th", *shown, scope="row")


def hash_text(value: bytes) -> Html:
    """All of a hash: short to the eye, whole to the pointer, to paper and to copy and paste."""
    full = "0x" + value.hex()
    return tag("code", full, cls="hash", title=full)
