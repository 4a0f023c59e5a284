"""The worked bytes in docs/spec are those of the frozen vectors."""

import re
from pathlib import Path

import pytest

from tests.vectors.generate import FILES, FOLDER

PAGES = Path(__file__).parents[2] / "docs" / "spec"
DIGITS_MIN = 64


def worked(page: Path) -> list[str]:
    """Runs of hex, joined where they are wrapped over lines of one length."""
    blocks = re.findall(r"```\n([0-9a-f\n]+)\n```", page.read_text("utf-8"))
    joined = [re.sub(r"(?<=[0-9a-f]{112})\n", "", block) for block in blocks]
    singles = re.findall(r"`([0-9a-f]{64})`", page.read_text("utf-8"))
    return [line for block in joined for line in block.split("\n") if len(line) >= DIGITS_MIN] + singles


@pytest.mark.parametrize(("page", "count"), [("tree", 2), ("frame", 4), ("totals", 2)])
def test_worked_bytes_are_in_the_vectors(page: str, count: int) -> None:
    files = "".join((FOLDER / f"{name}.json").read_text("utf-8") for name in FILES)
    found = worked(PAGES / f"{page}.md")
    assert len(found) == count
    for digits in found:
        assert f'"0x{digits}"' in files
