"""The vectors are frozen: a changed file is a changed format, and the twin still says the same."""

import pytest

from tests.vectors import generate


def test_files_are_as_they_were_committed() -> None:
    assert generate.DIGESTS.read_text() == generate.sums(generate.FOLDER)


@pytest.mark.parametrize("name", generate.FILES)
def test_twin_reproduces_the_file(name: str) -> None:
    assert generate.text(name) == (generate.FOLDER / f"{name}.json").read_text("utf-8")
