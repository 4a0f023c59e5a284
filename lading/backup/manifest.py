"""What a backup says of itself: each file with size and SHA-256, and where the log stood."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lading import __version__
from lading.errors import MalformedError, ProofError, ServiceError

FORMAT = "lading/backup/1"
NAME, DIGEST = "manifest.json", "manifest.sha256"
MANIFEST_BYTES_MAX = 256 * 2**20
CHUNK_BYTES = 2**20

Positions = dict[str, dict[int, int]]
"""Topic → partition → offset."""


@dataclass(frozen=True, slots=True)
class Copied:
    """A file of the backup. `path` is below it; `original` says where it was, if not below the data folder.

    Kinds: config, store (SQLite), log, chain, archive, key, file.
    """

    path: str
    kind: str
    bytes: int
    sha256: str
    original: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What is not in the backup, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A backup's contents. `log_ends`: where each topic ended when the copies of the states were there already."""

    created_ms: int
    data: str
    log_kind: str
    log_ends: Positions
    files: tuple[Copied, ...]
    left_out: tuple[LeftOut, ...]
    version: str = __version__

    def write(self, folder: Path) -> None:
        """As two files; the second tells whether the first is whole."""
        text = json.dumps({"format": FORMAT, **asdict(self)}, indent=1)
        (folder / NAME).write_text(text)
        (folder / DIGEST).write_text(f"{hashlib.sha256(text.encode()).hexdigest()}  {NAME}\n")

    @staticmethod
    def read(folder: Path) -> "Manifest":
        """ServiceError `backup`: there is none. ProofError: it is damaged. MalformedError: it is another thing."""
        path = folder / NAME
        try:
            if path.stat().st_size > MANIFEST_BYTES_MAX:
                raise MalformedError("backup", f"{path}: larger than {MANIFEST_BYTES_MAX} bytes")
            text, digest = path.read_text(), (folder / DIGEST).read_text().split()[0]
        except OSError as exc:
            raise ServiceError("backup", f"{exc.filename}: {exc.strerror}, wanted a whole backup") from exc
        except (IndexError, UnicodeDecodeError) as exc:
            raise ProofError("backup_damaged", f"{path} or {DIGEST}: {exc}, wanted text") from exc
        found = hashlib.sha256(text.encode()).hexdigest()
        if found != digest:
            raise ProofError("backup_damaged", f"{path}: SHA-256 {found}, wanted {digest}")
        try:
            return _manifest(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise MalformedError("backup", f"{path}: {exc!r}") from exc

    def of_kind(self, *kinds: str) -> list[Copied]:
        """The files of these kinds."""
        return [file for file in self.files if file.kind in kinds]


def _manifest(document: dict[str, Any]) -> Manifest:
    if document.pop("format") != FORMAT:
        raise ValueError(f"wanted the format {FORMAT}")
    ends = {
        topic: {int(partition): int(end) for partition, end in of_topic.items()}
        for topic, of_topic in document.pop("log_ends").items()
    }
    files = tuple(Copied(**file) for file in document.pop("files"))
    for file in files:
        parts = Path(file.path).parts
        if not parts or Path(file.path).is_absolute() or ".." in parts:
            raise ValueError(f"path {file.path!r} leaves the backup")
    left_out = tuple(LeftOut(**one) for one in document.pop("left_out"))
    return Manifest(log_ends=ends, files=files, left_out=left_out, **document)


def digest_of(path: Path) -> str:
    """SHA-256 of a file, hex."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            found.update(chunk)
    return found.hexdigest()
