"""The file of gateways: what is written is read, changes are seen, nonsense is refused."""

import json
from pathlib import Path

import pytest

from lading.cose import KeySigner
from lading.errors import ServiceError
from lading.gateways import GatewayEntry, GatewayFile, save_gateways

ONE, TWO = (KeySigner.from_seed(name).public for name in (b"one", b"two"))
ENTRIES = [GatewayEntry(ONE, "demo", 5, None, "truck-1"), GatewayEntry(TWO, "other", 0, 99, "truck-2")]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Every field comes back, found by gateway id; a stranger is not found."""
    path = tmp_path / "gateways.json"
    save_gateways(path, ENTRIES)
    file = GatewayFile(path)
    assert file.all() == ENTRIES
    assert [file.find(entry.public.gateway_id) for entry in ENTRIES] == ENTRIES
    assert file.tenant_of(TWO.gateway_id) == "other"
    assert file.find(bytes(32)) is None
    with pytest.raises(ServiceError, match="gateway_unknown"):
        file.tenant_of(bytes(32))


def test_a_change_is_seen(tmp_path: Path) -> None:
    """Missing, written, written anew, gone: each is seen with the next question."""
    path = tmp_path / "gateways.json"
    file = GatewayFile(path)
    assert file.find(ONE.gateway_id) is None
    for entries in (ENTRIES[:1], ENTRIES, ENTRIES[1:]):
        save_gateways(path, entries)
        assert file.all() == entries
        assert [file.find(entry.public.gateway_id) for entry in entries] == entries
    assert file.find(ONE.gateway_id) is None
    path.unlink()
    assert file.find(TWO.gateway_id) is None


GOOD = {"key": ONE.encode().hex(), "tenant": "demo", "valid_from_ms": 0, "valid_until_ms": None, "name": ""}


@pytest.mark.parametrize(
    "row",
    [
        GOOD | {"key": "00"},
        GOOD | {"key": "zz" * 64},
        GOOD | {"tenant": "No Tenant"},
        GOOD | {"valid_from_ms": -1},
        GOOD | {"valid_until_ms": "tomorrow"},
        GOOD | {"colour": "red"},
        {"key": GOOD["key"]},
        7,
    ],
)
def test_nonsense_is_refused(tmp_path: Path, row: object) -> None:
    """A file that is not what it should be stops who asks, and says which file."""
    path = tmp_path / "gateways.json"
    path.write_text(json.dumps({"gateways": [row]}))
    with pytest.raises(ServiceError, match=r"gateways\.json"):
        GatewayFile(path).find(bytes(32))


def test_a_file_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    """Not one that is missing, which knows no gateway: a folder that fails must not make every gateway unknown."""
    (tmp_path / "folder").write_text("no folder")
    gateways = GatewayFile(tmp_path / "folder" / "gateways.json")
    with pytest.raises(ServiceError, match="gateways_file"):
        gateways.find(bytes(32))
