"""Tagged CBOR documents: every item under its name in docs/spec, nested formats opened."""

from collections.abc import Callable
from dataclasses import dataclass

from lading.errors import LadingError
from lading.inspect.agreed import read_policy, read_terms, read_terms_v1
from lading.inspect.layouts import BATCH_LEAF, TOTALS, read_layout, read_limits
from lading.inspect.node import Node, Stopped, shown_text, time_note
from lading.inspect.wire import READINGS_SHOWN, Cursor, read_envelope, read_frame

DEPTH_MAX = 8
ITEMS_SHOWN_MAX = 100_000
HEX_SHOWN_MAX = 64


@dataclass(frozen=True, slots=True)
class Item:
    """One CBOR item: all its bytes from `at` to `end`, its content from `body` on."""

    at: int
    body: int
    end: int
    value: int | bytes | str | bool | None
    items: tuple["Item", ...] | None = None


def walk(data: bytes, at: int, depth: int = 0) -> Item:
    """The item at a byte; Stopped says what is there instead."""
    cursor = Cursor(data, at)
    if at >= len(data):
        raise cursor.stop("an item is wanted, the bytes end here")
    major = data[at] >> 5
    if data[at] in _CONSTANTS:
        return Item(at, at + 1, at + 1, _CONSTANTS[data[at]])
    if major not in (0, 1, 2, 3, 4):
        raise cursor.stop(f"{data[at]:02x} is outside the CBOR subset of docs/spec")
    argument = cursor.head("an item", major)
    body = cursor.at
    if major in (0, 1):
        return Item(at, body, body, argument if major == 0 else -1 - argument)
    if argument > len(data) - body or (major == 4 and depth >= DEPTH_MAX):
        raise cursor.stop(
            f"{argument} {'items' if major == 4 else 'bytes'} wanted, {len(data) - body} bytes are left"
        )
    if major == 4:
        return _walk_array(data, at, body, argument, depth)
    content = data[body : body + argument]
    value = content if major == 2 else content.decode("utf-8", "replace")
    return Item(at, body, body + argument, value)


_CONSTANTS: dict[int, bool | None] = {0xF4: False, 0xF5: True, 0xF6: None}


def _walk_array(data: bytes, at: int, body: int, count: int, depth: int) -> Item:
    items: list[Item] = []
    end = body
    for _ in range(count):
        items.append(walk(data, end, depth + 1))
        end = items[-1].end
    return Item(at, body, end, None, tuple(items))


Show = Callable[[bytes, str, Item], Node]


def plain(data: bytes, name: str, item: Item) -> Node:
    """An item as it is."""
    size = item.end - item.at
    if item.items is not None:
        fields = [plain(data, f"{i}", one) for i, one in enumerate(item.items[:ITEMS_SHOWN_MAX])]
        return Node(name, item.at, size, f"{len(item.items)} items", "", tuple(fields))
    value = item.value
    if isinstance(value, bytes):
        cut = value.hex() if len(value) <= HEX_SHOWN_MAX else value[:HEX_SHOWN_MAX].hex() + "…"
        return Node(name, item.at, size, cut, f"{len(value)} bytes" if len(value) > HEX_SHOWN_MAX else "")
    if isinstance(value, str):
        return Node(name, item.at, size, shown_text(value))
    return Node(name, item.at, size, "null" if value is None else str(value).lower())


def _noted(note: Callable[[int], str]) -> Show:
    def show(data: bytes, name: str, item: Item) -> Node:
        node = plain(data, name, item)
        value = item.value
        return (
            node.named(name, note(value)) if isinstance(value, int) and not isinstance(value, bool) else node
        )

    return show


time = _noted(time_note)


def amount(data: bytes, name: str, item: Item) -> Node:
    """A number in 32 bytes."""
    value = item.value
    note = f"{int.from_bytes(value, 'big')} of the token's units" if isinstance(value, bytes) else ""
    return plain(data, name, item).named(name, note)


def many(show: Show, one: str) -> Show:
    """An array of alike items."""

    def show_all(data: bytes, name: str, item: Item) -> Node:
        if item.items is None:
            return plain(data, name, item)
        fields = tuple(show(data, f"{one} {i}", each) for i, each in enumerate(item.items[:ITEMS_SHOWN_MAX]))
        return Node(name, item.at, item.end - item.at, f"{len(item.items)}", "", fields)

    return show_all


def array(*shown: tuple[str, Show]) -> Show:
    """An array whose items have names."""

    def show(data: bytes, name: str, item: Item) -> Node:
        if item.items is None or len(item.items) != len(shown):
            return plain(data, name, item).named(name, f"wanted {len(shown)} items")
        pairs = zip(shown, item.items, strict=True)
        return Node(name, item.at, item.end - item.at, "", "", tuple(f(data, n, i) for (n, f), i in pairs))

    return show


def nested(read: Callable[[bytes, int], tuple[Node, ...]]) -> Show:
    """A byte string that holds another format."""

    def show(data: bytes, name: str, item: Item) -> Node:
        if not isinstance(item.value, bytes):
            return plain(data, name, item)
        size = item.end - item.at
        try:
            return Node(
                name, item.at, size, f"{len(item.value)} bytes", "", read(data[: item.end], item.body)
            )
        except LadingError as exc:
            before = exc.fields if isinstance(exc, Stopped) else ()
            broken = (*before, Node("stops", item.body, 0, exc.text))
            return Node(name, item.at, size, f"{len(item.value)} bytes", "does not decode", broken)

    return show


def _document(data: bytes, at: int) -> tuple[Node, ...]:
    return read_document(data, at)[1]


envelope = nested(lambda data, at: read_envelope(data, at)[0])
frame = nested(lambda data, at: read_frame(data, at, READINGS_SHOWN)[0])
batch_leaf = nested(lambda data, at: read_layout(data, at, BATCH_LEAF))
totals = nested(lambda data, at: read_layout(data, at, TOTALS))
document = nested(_document)
terms = nested(read_terms)
terms_v1 = nested(read_terms_v1)
policy = nested(read_policy)
uncertainties = many(array(("channel", plain), ("thousandths", plain)), "channel")
disclosure = array(("reference", plain), ("salt", plain), ("limits", nested(read_limits)))
hashes = many(plain, "sibling")

finding = array(
    ("rule", plain), ("severity", plain), ("channel", plain), ("first_ms", time), ("last_ms", time),
    ("measured", plain), ("limit", plain), ("first_seq", plain), ("last_seq", plain),
    ("frame hashes", many(plain, "frame")),
)  # fmt: skip
DOCUMENTS: dict[str, tuple[str, tuple[tuple[str, Show], ...]]] = {
    "lading/batch/1": ("batch record", (
        ("batch leaf", batch_leaf), ("tenant name", plain), ("interval", plain),
        ("positions", many(array(("partition", plain), ("first", plain), ("last", plain)), "range")),
        ("location", plain), ("batch index", plain), ("batches in interval", plain), ("siblings", hashes),
    )),
    "lading/anchor/1": ("anchor record", (
        ("interval", plain), ("super_root", plain), ("batch_count", plain), ("chain_id", plain), ("registry", plain),
        ("tx hash", plain), ("block number", plain), ("block hash", plain), ("block time ms", time),
        ("gas used", plain), ("state", plain),
    )),
    "lading/verdict/1": ("verdict", (
        ("leg_id", plain), ("gateway_id", plain), ("limits_hash", plain), ("state", plain), ("result", plain),
        ("final", plain),
        ("horizon", array(("first frame_seq", plain), ("last frame_seq", plain), ("last frame hash", plain),
                          ("last time ms", time))),
        ("findings", many(finding, "finding")),
        ("totals", many(array(("channel", plain), ("quantity", plain), ("totals", totals)), "channel")),
    )),
    "lading/verdict-record/1": ("verdict record", (("verdict", document), ("supersedes", plain))),
    "lading/dead/1": ("dead letter", (
        ("code", plain), ("reason", plain), ("origin", plain), ("received_ms", time), ("message", plain),
        ("related", plain),
    )),
    "lading/clone/1": ("clone proof", (("first envelope", envelope), ("second envelope", envelope))),
    "lading/settlement/1": ("settlement", (
        ("agreement", plain), ("leg_id", plain), ("escrow", plain), ("chain_id", plain), ("terms", terms_v1),
        ("kind", plain), ("amount", amount), ("tx hash", plain), ("block number", plain), ("block hash", plain),
        ("gas used", plain),
    )),
    "lading/settlement/2": ("settlement", (
        ("agreement", plain), ("leg index", plain), ("leg_id", plain), ("escrow", plain), ("chain_id", plain),
        ("terms", terms), ("penalty", amount), ("rest", amount), ("owed", amount), ("reached", plain),
        ("uncertainties", uncertainties), ("tx hash", plain),
        ("block number", plain), ("block hash", plain), ("gas used", plain),
    )),
    "lading/agreement/1": ("agreement of the first version", (
        ("terms", terms_v1), ("carrier's signature", plain), ("shipper's signature", plain),
    )),
    "lading/agreement/2": ("agreement", (
        ("chain id", plain), ("escrow", plain), ("terms", terms), ("disclosures", many(disclosure, "leg")),
        ("carrier's signature", plain), ("shipper's signature", plain),
    )),
    "lading/cover/1": ("cover", (
        ("chain id", plain), ("contract", plain), ("policy", policy), ("disclosure", disclosure),
        ("manager's signature", plain),
    )),
    "lading/payout/1": ("payout", (
        ("cover", plain), ("leg_id", plain), ("contract", plain), ("chain_id", plain), ("policy", policy),
        ("payout", amount), ("owed", amount), ("reached", plain), ("uncertainties", uncertainties),
        ("tx hash", plain), ("block number", plain), ("block hash", plain), ("gas used", plain),
    )),
    "lading/evidence/1": ("evidence", (
        ("tenant name", plain), ("gateway key", plain), ("operator key", plain), ("begin", envelope), ("end", envelope),
        ("exported_ms", time),
        ("frames", many(array(("frame", frame), ("batch index", plain), ("leaf index", plain), ("siblings", hashes)),
                        "proof")),
        ("batches", many(array(("batch leaf", batch_leaf), ("anchor index", plain), ("index", plain), ("count", plain),
                               ("siblings", hashes)), "batch")),
        ("anchors", many(document, "anchor")), ("verdict", document), ("clones", many(document, "clone")),
        ("settlements", many(document, "settlement")), ("digest", plain),
    )),
}  # fmt: skip


def read_document(data: bytes, at: int) -> tuple[str, tuple[Node, ...]]:
    """What the document at a byte is, and its fields; Stopped when it is none."""
    item = walk(data, at)
    tag = item.items[0].value if item.items else None
    if not isinstance(tag, str) or tag not in DOCUMENTS or item.items is None:
        shown = shown_text(tag) if isinstance(tag, str) else "none"
        raise Stopped("document", f"byte {at}: tag {shown}, wanted one of {', '.join(DOCUMENTS)}")
    kind, shown_fields = DOCUMENTS[tag]
    nodes = [plain(data, "tag", item.items[0])]
    rest = item.items[1:]
    nodes += [show(data, name, one) for (name, show), one in zip(shown_fields, rest, strict=False)]
    if len(rest) != len(shown_fields):
        raise Stopped(
            "document", f"byte {at}: {len(rest) + 1} items, wanted {len(shown_fields) + 1}", tuple(nodes)
        )
    if item.end != len(data):
        raise Stopped(
            "document", f"byte {item.end}: {len(data) - item.end} bytes after the document", tuple(nodes)
        )
    return kind, tuple(nodes)
