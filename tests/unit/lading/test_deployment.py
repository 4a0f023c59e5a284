"""deployment.json: what is written is read, older files stay readable, and nothing else is taken."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lading.deployment import ESCROWS_BEFORE_MAX, Deployment, known_deployments, read_known
from lading.errors import MalformedError

OLD = Deployment(31_337, 7, *(bytes([n]) * 20 for n in range(1, 6)))
FULL = replace(OLD, cover=b"\6" * 20, manager=b"\7" * 20, escrows_before=(b"\x08" * 20, b"\x09" * 20))


@pytest.mark.parametrize("deployment", [OLD, FULL], ids=["as in 0.1", "with all fields"])
def test_what_is_saved_is_loaded(deployment: Deployment, tmp_path: Path) -> None:
    """Every field comes back; one without cover, manager and earlier escrows is written as 0.1 wrote it."""
    path = tmp_path / "deployment.json"
    deployment.save(path)
    assert Deployment.load(path) == deployment
    names = {"chain_id", "block", "gateways", "anchors", "vault", "escrow", "token"}
    assert (set(json.loads(path.read_text())) == names) == (deployment is OLD)


@pytest.mark.parametrize(
    "change",
    [
        {"cover": "0x00"},
        {"cover": None},
        {"escrows_before": ["0x00"]},
        {"escrows_before": ["0x" + "11" * 20] * (ESCROWS_BEFORE_MAX + 1)},
        {"token": None},
    ],
    ids=["short cover", "no text", "short escrow", "too many escrows", "token missing"],
)
def test_another_thing_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    """Addresses of another length, and more earlier escrows than the limit, are MalformedError."""
    path = tmp_path / "deployment.json"
    FULL.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(MalformedError):
        Deployment.load(path)


def test_known_deployments_are_read_by_chain(tmp_path: Path) -> None:
    """What deploy wrote may be published under its chain's id; under another id it is refused. Ours is readable."""
    path = tmp_path / "deployment.json"
    FULL.save(path)
    entry = json.loads(path.read_text())
    assert read_known({"chains": {"31337": entry}}) == {31_337: FULL}
    for document in ({"chains": {"1": entry}}, {"chains": {"x": entry}}, {}):
        with pytest.raises(MalformedError):
            read_known(document)
    assert all(one.chain_id == chain_id for chain_id, one in known_deployments().items())


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """As a torn disk leaves them."""
    (tmp_path / "deployment.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MalformedError, match=r"deployment.json: 'utf-8' codec"):
        Deployment.load(tmp_path / "deployment.json")
