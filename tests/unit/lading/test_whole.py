"""What a full disk leaves: what was there before, and no half file under any name."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lading.account import Account
from lading.cose import KeySigner
from lading.errors import ServiceError
from lading.whole import write_whole

ROOM_BYTES = 10


@contextmanager
def little_room() -> Iterator[None]:
    """Meanwhile no file of this process grows beyond ROOM_BYTES: the kernel cuts the write, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("save", [KeySigner.from_seed(b"x").save, Account.from_seed(b"x").save])
def test_a_key_is_whole_or_not_there(tmp_path: Path, save) -> None:  # type: ignore[no-untyped-def]
    """One that was cut off is taken away, so that it can be made again once there is room."""
    path = tmp_path / "a.key"
    with little_room(), pytest.raises(ServiceError, match=r"key_file: .*a.key: File too large"):
        save(path)
    assert not list(tmp_path.iterdir())
    save(path)
    with pytest.raises(ServiceError, match="File exists"):
        save(path)


def test_a_file_is_replaced_whole_or_stays(tmp_path: Path) -> None:
    """What was there before stays as it was, and no draft lies beside it."""
    path = tmp_path / "a.evidence"
    write_whole(path, b"before")
    with little_room(), pytest.raises(ServiceError, match=r"file: .*a.evidence: File too large"):
        write_whole(path, bytes(1_000))
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"before"]
