"""Files that fail with EIO beneath running stages, one after another, while a leg goes its way.

`python -m tests.simulation.failing_files --seed 1`, on the embedded parts; it wants Linux and a C compiler (`cc`). The
end is held against an undisturbed run, as in the crash drill.
"""

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.simulation.drill import SPEED, Drill, undisturbed
from tests.simulation.full_disk import codes_of
from tests.simulation.installation import Installation
from tests.simulation.kills import Progress
from tests.simulation.outcome import differences

SOURCE = Path(__file__).with_suffix(".c")
SLOW = 16.0  # how much slower than in the crash drill gateways sample, so that every file fails meanwhile
HOLD_S, PAUSE_S = 2.5, 2.0
STORES = (
    "edge/away/outbox.sqlite",
    "edge/cool/outbox.sqlite",
    "edge/warm/outbox.sqlite",
    "/outbox.sqlite",  # all three
    "ingest.sqlite",
    "anomaly.sqlite",
    "log.sqlite",
    "anchor-index.sqlite",
    "anchor-outbox.sqlite",
    "settle-ledger.sqlite",
    "settle-outbox.sqlite",
    "chain.sqlite",
    "broker.sqlite",
)


class FailingFiles:
    """A disturbance of a drill: reads fail, then writes, then all, of one file after another; at last the archive."""

    def __init__(self, flag: Path) -> None:
        self._flag = flag
        self._plan = [*itertools.product("rwa", STORES), ("w", "/archive/")]
        self._due_s: float | None = None
        self.done = 0

    @property
    def left(self) -> int:
        """See `Disturbance`."""
        return len(self._plan) - self.done

    def step(self, progress: Progress) -> None:
        """Fail, hold, heal, rest."""
        now_s = time.monotonic()
        if self._due_s is None:
            self._due_s = now_s if progress.is_sampling else None
        elif not self.left or now_s < self._due_s:
            return
        elif self._flag.exists():
            self.calm()
            self._due_s = now_s + PAUSE_S
        else:
            self._flag.write_text(" ".join(self._plan[self.done]))
            self._due_s = now_s + HOLD_S

    def calm(self) -> None:
        """Let all be well."""
        if self._flag.exists():
            self._flag.unlink()
            self.done += 1


def main() -> int:
    """0 where all ended as if undisturbed, and no process told of a fault of ours."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    seed = parser.parse_args().seed
    with tempfile.TemporaryDirectory() as name:
        folder, flag, library = Path(name) / "disturbed", Path(name) / "flag", Path(name) / "failing.so"
        calm = undisturbed(Path(name) / "undisturbed", seed, 1, print)
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
        os.environ |= {
            "LD_PRELOAD": str(library),
            "FAILING_FLAG": str(flag),
        }  # of what is started from here on
        folder.mkdir()
        site = Installation(folder, seed, SPEED / SLOW, is_real=False)
        found = Drill(site, FailingFiles(flag), 1, print).run()
        said = differences(found, calm)
        for log in sorted(folder.glob("*.log")):
            print(log.stem, dict(codes_of(log, 0)))
            said += [f"{log.stem}: a traceback"] if "Traceback" in log.read_text(errors="replace") else []
    print("\n".join(said) or "no differences")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
