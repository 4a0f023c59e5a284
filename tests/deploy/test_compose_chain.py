"""Promise: the trial chain of docker-compose.yml runs on for days within the container's bounds."""

from pathlib import Path

import pytest

from lading.chain import FINALIZED, Chain, HttpRpc
from tests.deploy import compose
from tests.services.anvil import anvil

BLOCKS = 700
"""Past the 500 states that anvil keeps in memory of itself; what comes after goes to files below HOME, 0.2 MB each."""


def test_states_of_old_blocks_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is written for old states, and the finalized one still answers."""
    command = compose.services()["anvil"]["command"]
    monkeypatch.setenv("HOME", str(tmp_path))
    at = command.index("--prune-history")
    with anvil("--slots-in-an-epoch", "4", *command[at : at + 2]) as url:
        chain = Chain(HttpRpc(url))
        chain.rpc.request("anvil_mine", [hex(BLOCKS)])
        assert chain.height(FINALIZED) == BLOCKS - 8
        assert chain.nonce(bytes(20), FINALIZED) == 0
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
