"""The note that a restore leaves: which log it put back, so that stages may pass over what came after it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from lading.errors import MalformedError

NAME = "restored.json"


@dataclass(frozen=True, slots=True)
class Restored:
    """`interval_last`: the newest interval of the log that was put back."""

    interval_last: int
    backup_ms: int
    restored_ms: int

    def save(self, data: Path) -> None:
        """Into the data folder."""
        (data / NAME).write_text(json.dumps(asdict(self)) + "\n")

    @staticmethod
    def load(data: Path) -> "Restored | None":
        """None where nothing was restored."""
        path = data / NAME
        if not path.exists():
            return None
        try:
            return Restored(**json.loads(path.read_text()))
        except (ValueError, TypeError) as exc:
            raise MalformedError("restored", f"{path}: {exc}") from exc
