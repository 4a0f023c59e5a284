"""Promises: one file holds the settings, the environment overrides it, and a wrong key never passes unseen."""

from pathlib import Path

import pytest

from lading.errors import LadingError
from lading.settings import Settings, load, load_shared


class EdgeLike(Settings):
    """A stage's table, as stages declare theirs."""

    flush_s: float = 5.0


def write(folder: Path, text: str) -> Path:
    path = folder / "lading.toml"
    path.write_text(text, "utf-8")
    return path


def load_all(path: Path) -> None:
    load_shared(path, {})
    load(path, "edge", EdgeLike, {})


def test_a_stages_table_and_its_environment(tmp_path: Path) -> None:
    """The file's value holds, until LADING_EDGE_FLUSH_S says otherwise."""
    path = write(tmp_path, "[edge]\nflush_s = 2.5\n")
    assert load(path, "edge", EdgeLike, {}).flush_s == 2.5
    assert load(path, "edge", EdgeLike, {"LADING_EDGE_FLUSH_S": "7"}).flush_s == 7.0


def test_data_lies_beside_the_file(tmp_path: Path) -> None:
    """A relative data folder is seen from the settings file, so every process finds the same one."""
    shared = load_shared(write(tmp_path, '[lading]\ndata = "state"\n'), {})
    assert shared.lading.data == tmp_path / "state"
    assert shared.lading.below(shared.log.path) == tmp_path / "state" / "log.sqlite"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[edge]\nflush = 1\n", "edge.flush"),
        ('[edge]\nflush_s = "soon"\n', "edge.flush_s"),
        ("[engine]\n", "engine"),
        ("edge = 3\n", "edge"),
        ("[edge\n", "lading.toml"),
        ('[lading]\ntenant = "No Such"\n', "tenant"),
        ("[mqtt]\nport = 70000\n", "mqtt.port"),
        ('[log]\nkind = "redis"\n', "log.kind"),
        ('[log]\nprefix = "a b"\n', "log.prefix"),
        ("[log]\npartitions = 0\n", "log.partitions"),
        ('[log]\nsecurity_protocol = "SASL_SSL"\n', "password_file"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path: Path, text: str, names: str) -> None:
    """Unknown keys and tables, wrong types and values, broken toml: one error that names the place."""
    path = write(tmp_path, text)
    with pytest.raises(LadingError, match=names):
        load_all(path)


def test_no_file_says_how_to_get_one(tmp_path: Path) -> None:
    """The error names the command that writes a file."""
    with pytest.raises(LadingError, match="lading init"):
        load_shared(tmp_path / "absent.toml", {})


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    """What the environment says wrongly is not looked for in the file; a key that is the file's own is."""
    path = write(tmp_path, "[edge]\nflush_ms = 5\n")
    with pytest.raises(LadingError, match=r"edge.flush_s: .*found 'soon' in LADING_EDGE_FLUSH_S"):
        load(path, "edge", EdgeLike, {"LADING_EDGE_FLUSH_S": "soon"})
    with pytest.raises(LadingError, match=r"edge.flush_ms: no such key, found '5'$"):
        load(path, "edge", EdgeLike, {"LADING_EDGE_FLUSH_S": "5"})


def test_a_byte_order_mark_is_no_syntax_error(tmp_path: Path) -> None:
    """As some editors put it first."""
    path = tmp_path / "lading.toml"
    path.write_bytes(b"\xef\xbb\xbf[edge]\nflush_s = 2.5\n")
    assert load(path, "edge", EdgeLike, {}).flush_s == 2.5
